"""Opens connections to one file."""

import os
import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias

from arvo_time import BackendError

from ._failure import backend_error, primary_code
from ._schema import Component, check, check_current, migrate

Synchronous: TypeAlias = Literal["full", "normal"]
"""When a write is acknowledged: after it is on the disk, or after the operating system has it."""

IN_MEMORY: Final = ":memory:"
"""SQLite's name for a database without a file."""

_STRICT_SINCE: Final = (3, 37, 0)
_JOURNAL_LIMIT: Final = 64 * 1024 * 1024

# What SQLite says where it cannot make the file that it shares with writers.
_NO_SHARED_MEMORY: Final = frozenset((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN))

_creating = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where the data is and how to open it."""

    path: str
    """The file, as a full path, or `:memory:`."""
    components: tuple[Component, ...]
    """What the file must hold."""
    synchronous: Synchronous
    """When a write is acknowledged."""
    busy_timeout: timedelta
    """How long to wait while another process writes."""
    read_only: bool = False
    """Whether nothing may be written, not even a newer schema."""
    is_still: bool = False
    """Whether the file is read as if nobody could write it, because its folder cannot be written:
    SQLite cannot make the file there through which it would learn of writers."""

    @property
    def in_memory(self) -> bool:
        """Whether there is no file, so that no second connection can be opened."""
        return self.path == IN_MEMORY

    def open_writer(self) -> sqlite3.Connection:
        """Open the connection that writes, and create or migrate the file first.

        Raises:
            BackendError: The file cannot be used.
        """
        if sqlite3.sqlite_version_info < _STRICT_SINCE:
            raise BackendError(
                f"SQLite {sqlite3.sqlite_version} is too old: expected 3.37 or newer; "
                "use a newer build of Python",
                retryable=False,
                outcome="failed",
            )
        try:
            if not self.in_memory:
                _create_private(self.path)
            return self._prepared()
        except sqlite3.Error as error:
            raise backend_error(error, where=self.path, outcome="failed") from error
        except OSError as error:
            raise BackendError(
                f"{self.path}: {error.strerror}", retryable=False, outcome="failed"
            ) from error

    def versions(self) -> dict[str, int]:
        """Return the version of each component in the file, 0 for one that it does not hold.

        It does not create the file, and changes nothing if the database is read-only.

        Raises:
            BackendError: The file cannot be read, is a database of another program, or a component of
                it is newer than this program.
        """
        try:
            with closing(self.open_reader()) as connection:
                return check(connection, self.components, where=self.path)
        except sqlite3.Error as error:
            raise backend_error(error, where=self.path, outcome="failed") from error

    def opened_read_only(self) -> Self:
        """Check that the file can be read and is up to date, and return how to open it.

        Raises:
            OlderSchemaError: A component is missing, or older than this program.
            BackendError: The file does not exist, cannot be read, is not one of Arvo, or is newer.
        """
        if not os.path.exists(self.path):
            raise BackendError(
                f"{self.path}: there is no such file; only opening it for writing creates it",
                retryable=False,
                outcome="failed",
            )
        try:
            _check_readable(self)
        except BackendError as error:
            if primary_code(error.__cause__) not in _NO_SHARED_MEMORY or self.has_writer():
                raise
        else:
            return self
        still = replace(self, is_still=True)
        _check_readable(still)
        return still

    def has_writer(self) -> bool:
        """Return whether there is a write-ahead log: what it holds is not in the file yet."""
        return os.path.exists(f"{self.path}-wal")

    def open_reader(self) -> sqlite3.Connection:
        """Open a connection that cannot write.

        Raises:
            sqlite3.Error: The file cannot be opened.
        """
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def set_durable(self, connection: sqlite3.Connection, *, durable: bool) -> None:
        """Set whether the next transactions must be on the disk when they are acknowledged."""
        level = "FULL" if durable and self.synchronous == "full" else "NORMAL"
        connection.execute(f"PRAGMA synchronous = {level}")

    def _prepared(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            # Before anything is changed: turning WAL on changes the file.
            check(connection, self.components, where=self.path)
            if not self.in_memory:
                self._turn_wal_on(connection)
                # For macOS, where fsync alone does not flush; no effect elsewhere.
                connection.execute("PRAGMA fullfsync = ON")
                connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT}")
            # Otherwise REPLACE deletes rows past the triggers that refuse to delete them.
            connection.execute("PRAGMA recursive_triggers = ON")
            self.set_durable(connection, durable=True)
            migrate(connection, self.components, where=self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _turn_wal_on(self, connection: sqlite3.Connection) -> None:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise BackendError(
                f"{self.path}: this file system cannot hold a write-ahead log; "
                "put the file on a local disk",
                retryable=False,
                outcome="failed",
            )

    def _connect(self) -> sqlite3.Connection:
        # A file that was removed must be an error; by default SQLite would create an empty one, not
        # private to its user.
        mode = "mode=ro" if self.read_only else "mode=rw"
        if self.is_still:
            mode += "&immutable=1"
        return sqlite3.connect(
            self.path if self.in_memory else f"{Path(self.path).as_uri()}?{mode}",
            uri=not self.in_memory,
            timeout=self.busy_timeout.total_seconds(),
            isolation_level=None,
            check_same_thread=False,
        )


def _check_readable(database: Database) -> None:
    try:
        with closing(database.open_reader()) as connection:
            check_current(connection, database.components, where=database.path)
    except sqlite3.Error as error:
        raise backend_error(error, where=database.path, outcome="failed") from error


def _create_private(path: str) -> None:
    """Create the file, private to its user; SQLite gives its -wal and -shm the same mode."""
    # Closing any descriptor of a file drops all locks that the process has on it, so nothing in
    # this process may connect between the two calls.
    # With O_EXCL a dangling link counts as an existing file, and SQLite needs its target.
    with _creating, suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
