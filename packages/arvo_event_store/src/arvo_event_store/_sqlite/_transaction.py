"""SQL of the user inside a transaction that others share."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isawaitable, iscoroutine
from typing import Final, TypeVar

from arvo_event_store._errors import StoreFailure

from ._refusal import Refusal

T = TypeVar("T")

_SAVEPOINT: Final = "arvo_work"
_MUST_NOT_END: Final = (
    "SQL must not begin, commit or roll back a transaction here, also not by `with connection`: other "
    "calls share it; in work, raise an exception to undo what it did"
)


class Transaction:
    """A transaction, for as long as the work runs that it was given to.

    Args:
        connection: The connection that has it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection

    @property
    def connection(self) -> sqlite3.Connection:
        """Its connection.

        Raises:
            StoreFailure: The work has ended.
            sqlite3.OperationalError: SQLite has rolled the transaction back.
        """
        connection = self._connection
        if connection is None:
            raise StoreFailure(
                "the work that this log was given to has ended; call `write` again",
                retryable=False,
                outcome="failed",
            )
        if not connection.in_transaction:
            # After an error that the work has caught; what follows would be stored by itself.
            raise sqlite3.OperationalError("SQLite has rolled back the transaction of this work")
        return connection

    def end(self) -> None:
        """Refuse to give the connection from now on."""
        self._connection = None


@contextmanager
def kept(connection: sqlite3.Connection, *, savepoints: bool = False) -> Iterator[None]:
    """Let no statement within the block begin or end a transaction of the connection.

    To commit would store a part of what others do in it, and then, when they are run again, all of it.
    One that was begun by a reader would show it an old state from then on.

    Args:
        connection: The connection.
        savepoints: Whether savepoints may be set; otherwise they count as transactions.

    Raises:
        StoreFailure: A statement tried to; it was not run.
    """
    connection.set_authorizer(_refuse_ends if savepoints else _refuse_savepoints_too)
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_AUTH:
            raise
        raise StoreFailure(_MUST_NOT_END, retryable=False, outcome="failed") from error
    finally:
        connection.set_authorizer(None)


def in_savepoint(connection: sqlite3.Connection, work: Callable[[Transaction], T]) -> T | Refusal:
    """Run work so that it can be undone alone.

    Args:
        connection: One in a transaction.
        work: What to run. What it raises is a refusal, but for errors of SQLite.

    Returns:
        What it returned, or why all that it did was undone.

    Raises:
        sqlite3.Error: SQLite refused a statement, so the transaction may be lost.
        sqlite3.Warning: Python's module refused one.
    """
    transaction = Transaction(connection)
    connection.execute(f"SAVEPOINT {_SAVEPOINT}")
    try:
        with kept(connection, savepoints=True):
            result = work(transaction)
        check_plain(result)
    except (sqlite3.Error, sqlite3.Warning):
        raise
    except BaseException as error:
        connection.execute(f"ROLLBACK TO {_SAVEPOINT}")
        connection.execute(f"RELEASE {_SAVEPOINT}")
        return Refusal(error)
    finally:
        transaction.end()
    connection.execute(f"RELEASE {_SAVEPOINT}")
    return result


def check_plain(result: object) -> None:
    """Check that work did not return something to await.

    Raises:
        TypeError: It did.
    """
    if isawaitable(result):
        if iscoroutine(result):
            result.close()  # it would warn that nobody awaited it
        raise TypeError("work must be a plain function, not an async one")


def _refuse_ends(action: int, operation: str | None, name: str | None, *_: str | None) -> int:
    # SQLite does not mind their case.
    if action == sqlite3.SQLITE_SAVEPOINT and name is not None and name.lower() != _SAVEPOINT:
        return sqlite3.SQLITE_OK
    return _refuse_savepoints_too(action, operation, name)


def _refuse_savepoints_too(action: int, *_: str | None) -> int:
    ends = action in {sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT}
    return sqlite3.SQLITE_DENY if ends else sqlite3.SQLITE_OK
