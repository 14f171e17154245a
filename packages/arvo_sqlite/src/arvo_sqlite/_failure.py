"""What an error of SQLite means to the caller.

The question is whether the same call may succeed later. It may if the file, the disk, a permission or
a trigger added by an operator was in the way, and after errors that are not known here. It cannot if
the statement or the table is wrong, or the file is damaged.
"""

import sqlite3
from typing import Final

from arvo_time import BackendError, DamagedError, Outcome

# Result codes, see https://www.sqlite.org/rescode.html: primary ones, and extended ones whose meaning
# differs from that of their primary one.
_DAMAGED: Final = frozenset(
    (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_DATA,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        # When reading. An operation that writes handles a value that is too large itself.
        sqlite3.SQLITE_TOOBIG,
    )
)
_PERMANENT: Final = frozenset(
    (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_INTERNAL,
        sqlite3.SQLITE_NOTFOUND,
        sqlite3.SQLITE_EMPTY,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_RANGE,
    )
)
_PASSING_EXTENDED: Final = frozenset((sqlite3.SQLITE_ERROR_RETRY, sqlite3.SQLITE_ERROR_SNAPSHOT))


def primary_code(error: BaseException | None) -> int | None:
    """Return SQLite's primary result code; None if Python's module raised the error itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def backend_error(error: Exception, *, where: str, outcome: Outcome) -> BackendError:
    """Return the error to raise `from` the given one.

    Args:
        error: What SQLite raised, or what Python raised about values passed to SQLite.
        where: The file.
        outcome: Whether a change may have happened.
    """
    if not isinstance(error, sqlite3.Error):
        # The message of such an error may quote the value.
        return BackendError(
            f"{where}: SQLite cannot take this value: {type(error).__name__}",
            retryable=False,
            outcome=outcome,
        )
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if _is_damage(error) and outcome == "failed":
        # The messages of Python's module may quote what is stored.
        said = (
            "a stored string is not UTF-8" if primary_code(error) is None else f"{error} ({name})"
        )
        return DamagedError(f"{where}: {said}")
    return BackendError(f"{where}: {error} ({name})", retryable=_may_pass(error), outcome=outcome)


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Python's module raises one of these itself only for a string that it cannot decode.
        return isinstance(error, sqlite3.OperationalError)
    return not _DAMAGED.isdisjoint((code, code & 0xFF))


def _may_pass(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    # A code that is not known here may mean anything, and a retry costs little.
    return code in _PASSING_EXTENDED or (code & 0xFF) not in _PERMANENT | _DAMAGED
