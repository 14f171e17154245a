"""What an error of SQLite means to whoever uses the memory."""

import sqlite3
from typing import Final, Literal

from arvo_event_handler import MachineMemoryError

# Primary result codes; see https://www.sqlite.org/rescode.html.
_PASSING: Final = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    )
)


def primary_code(error: Exception) -> int | None:
    """Return SQLite's result code without its details; None when Python's module raised it."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def memory_error(
    error: Exception, *, where: str, outcome: Literal["failed", "unknown"]
) -> MachineMemoryError:
    """Make the error to raise `from` another.

    Args:
        error: What SQLite said, or Python's module about what it was given.
        where: The file.
        outcome: Whether a change may have happened.
    """
    if not isinstance(error, sqlite3.Error):
        # What such an error says may quote a record.
        return MachineMemoryError(
            f"{where}: SQLite cannot be given this: {type(error).__name__}",
            retryable=False,
            outcome=outcome,
        )
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return MachineMemoryError(
        f"{where}: {error} ({name})", retryable=primary_code(error) in _PASSING, outcome=outcome
    )
