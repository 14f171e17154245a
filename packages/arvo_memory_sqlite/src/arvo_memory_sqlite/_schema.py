"""The table, and how a file of an older version gets it."""

import sqlite3
from typing import Final

from arvo_event_handler import MachineMemoryError

_APPLICATION_ID: Final = 0x4172766F  # "Arvo", shown by file(1)

# What brings a file from each version to the next; the file has its version as `user_version`.
# One row a machine. A row of version 0 is a lease on a workflow that was never written. Times are
# milliseconds since 1970. No index on what every step changes.
_MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE machine (
            id TEXT NOT NULL PRIMARY KEY,
            owner TEXT,
            lease_end INTEGER NOT NULL DEFAULT 0,
            version INTEGER NOT NULL DEFAULT 0,
            last_owner TEXT,
            status TEXT,
            parent TEXT,
            root TEXT,
            updated_at INTEGER NOT NULL,
            expires_at INTEGER,
            codec TEXT,
            state BLOB
        ) STRICT
        """,
        "CREATE INDEX machine_status ON machine (status) WHERE status IS NOT NULL",
        "CREATE INDEX machine_root ON machine (root) WHERE parent IS NOT NULL",
        "CREATE INDEX machine_expires_at ON machine (expires_at) WHERE expires_at IS NOT NULL",
    ),
)


def check(connection: sqlite3.Connection, *, where: str) -> None:
    """Make sure that a file is a machine memory or empty, and change nothing in it.

    Args:
        connection: Without a transaction.
        where: The file, for errors.

    Raises:
        MachineMemoryError: The file has a newer version, or is no machine memory.
        sqlite3.Error: The file cannot be read.
    """
    # One snapshot, lest it be half that of another process which makes the file meanwhile.
    connection.execute("BEGIN")
    try:
        _version(connection, where=where)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def migrate(connection: sqlite3.Connection, *, where: str) -> None:
    """Bring a file to the present version, whoever else does so at the same time.

    Args:
        connection: Without a transaction.
        where: The file, for errors.

    Raises:
        MachineMemoryError: The file has a newer version, or is no machine memory.
        sqlite3.Error: The file cannot be read or written.
    """
    present = len(_MIGRATIONS)
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, where=where)
        for statements in _MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        # Also when nothing is missing: a file that may only be read is to fail here and now.
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {present}")
        connection.execute("ROLLBACK" if version == present else "COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, *, where: str) -> int:
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    ours = application == _APPLICATION_ID if version or tables else application == 0
    if not ours:
        raise MachineMemoryError(
            f"{where}: this database belongs to something else; name a file of its own for the "
            "machine memory",
            retryable=False,
            outcome="failed",
        )
    if version > len(_MIGRATIONS):
        raise MachineMemoryError(
            f"{where}: the file has schema version {version}, and this arvo-memory-sqlite knows "
            f"none above {len(_MIGRATIONS)}; install a newer arvo-memory-sqlite",
            retryable=False,
            outcome="failed",
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
