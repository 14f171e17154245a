"""Every error of sqlite3 becomes a BackendError, and each has a known meaning."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from arvo_sqlite import SqliteClient
from arvo_sqlite._failure import backend_error
from arvo_time import BackendError, DamagedError

PASSES: Final = "may pass or be mended: tried again"
LASTS: Final = "the statement or the table is wrong: not tried again"
DAMAGED: Final = "the file is damaged: not tried again, an operator has to look"

# By the name of a result code without SQLITE_, or by its beginning; the longest match counts.
MEANING: Final = {
    "ERROR": LASTS,
    "ERROR_MISSING_COLLSEQ": LASTS,
    "ERROR_RETRY": PASSES,
    "ERROR_SNAPSHOT": PASSES,
    "INTERNAL": LASTS,
    "PERM": PASSES,
    "ABORT": PASSES,
    "BUSY": PASSES,
    "LOCKED": PASSES,
    "NOMEM": PASSES,
    "READONLY": PASSES,
    "INTERRUPT": PASSES,
    "IOERR": PASSES,
    "IOERR_DATA": DAMAGED,
    "IOERR_CORRUPTFS": DAMAGED,
    "CORRUPT": DAMAGED,
    "NOTFOUND": LASTS,
    "FULL": PASSES,
    "CANTOPEN": PASSES,
    "PROTOCOL": PASSES,
    "EMPTY": LASTS,
    "SCHEMA": PASSES,
    "TOOBIG": DAMAGED,  # when reading; an operation that writes handles it itself
    "CONSTRAINT": PASSES,  # a trigger or rule of an operator: the tables have none that could fail
    "MISMATCH": LASTS,
    "MISUSE": LASTS,
    "NOLFS": LASTS,
    "AUTH": PASSES,
    "FORMAT": LASTS,
    "RANGE": LASTS,
    "NOTADB": DAMAGED,
}
NO_ERRORS: Final = ("OK", "ROW", "DONE", "NOTICE", "WARNING")
# Constants of the module that are not result codes: limits, settings, and actions of an authorizer.
OTHERS: Final = (
    *("LIMIT", "DBCONFIG", "DENY", "IGNORE", "CREATE", "DROP", "ALTER", "DELETE", "INSERT"),
    *("PRAGMA", "READ", "SELECT", "TRANSACTION", "UPDATE", "ATTACH", "DETACH", "REINDEX"),
    *("ANALYZE", "FUNCTION", "SAVEPOINT", "RECURSIVE", "COPY", "KEYWORDS"),
)


def result_codes() -> Iterator[tuple[str, int]]:
    """Yield every result code that Python names, primary and extended."""
    for constant, value in vars(sqlite3).items():
        prefix, _, name = constant.partition("_")
        if prefix != "SQLITE" or not isinstance(value, int):
            continue
        if begins(name, NO_ERRORS) or (not begins(name, MEANING) and begins(name, OTHERS)):
            continue
        yield name, value


def begins(name: str, known: Any) -> str:
    """Return the longest of the known names that this one is, or begins with."""
    return max((each for each in known if f"{name}_".startswith(f"{each}_")), key=len, default="")


def judged(error: sqlite3.Error) -> str:
    made = backend_error(error, where="state.db", outcome="failed")
    if isinstance(made, DamagedError):
        return DAMAGED
    return PASSES if made.retryable else LASTS


@pytest.mark.parametrize(("name", "code"), list(result_codes()))
def test_every_result_code_has_a_meaning(name: str, code: int) -> None:
    """A code of a new Python that the table lacks fails here."""
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode, error.sqlite_errorname = code, f"SQLITE_{name}"
    assert judged(error) == MEANING[begins(name, MEANING)]


def test_all_primary_result_codes_are_covered() -> None:
    """In SQLite's own list, 1 to 26 are errors, and 27 and 28 are for its log."""
    primary = {code for _, code in result_codes() if code < 256}
    assert primary >= {*range(1, 27)} - {22} | {sqlite3.SQLITE_NOLFS}


@pytest.mark.parametrize("code", range(1, 27))
def test_an_unknown_extended_code_means_what_its_primary_code_means(code: int) -> None:
    """SQLite has more extended codes than Python names, and every version adds some."""
    assert judged(with_code(code | 0x7F00)) == judged(with_code(code))


def with_code(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


def test_an_unknown_result_code_is_tried_again() -> None:
    error = sqlite3.DatabaseError("from a later version")
    error.sqlite_errorcode = 99
    assert judged(error) == PASSES


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), LASTS),
        (sqlite3.InterfaceError("bad parameter"), LASTS),
        (sqlite3.OperationalError("Could not decode to UTF-8 column"), DAMAGED),
    ],
)
def test_errors_that_pythons_module_raises_itself_have_a_meaning(
    error: sqlite3.Error, meaning: str
) -> None:
    assert judged(error) == meaning


# Without a result code, as Python's module raises them itself.
CLASSES: Final = {
    "DataError": LASTS,
    "DatabaseError": LASTS,
    "Error": LASTS,
    "IntegrityError": LASTS,
    "InterfaceError": LASTS,
    "InternalError": LASTS,
    "NotSupportedError": LASTS,
    "OperationalError": DAMAGED,  # only for a string that it cannot decode
    "ProgrammingError": LASTS,
    "Warning": LASTS,
}
KINDS: Final = [
    kind
    for kind in vars(sqlite3).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_of_pythons_module_has_a_meaning(kind: type[sqlite3.Error]) -> None:
    """A class of a new Python that the table lacks fails here."""
    assert judged(kind("as Python says it")) == CLASSES[kind.__name__]


def test_damage_does_not_hide_that_a_change_may_have_happened() -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    made = backend_error(error, where="state.db", outcome="unknown")
    assert (type(made), made.retryable, made.outcome) == (BackendError, False, "unknown")


# --- raised by the client -------------------------------------------------------


@pytest.fixture(params=["file", "memory"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteClient]:
    path = tmp_path / "state.db" if request.param == "file" else ":memory:"
    async with SqliteClient.connect(path, components=[]) as client:
        yield client


def raising(error: Exception) -> Any:
    def operation(connection: sqlite3.Connection) -> None:
        raise error

    return operation


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_error_class_of_the_driver_is_a_backend_error(
    client: SqliteClient, kind: type[sqlite3.Error]
) -> None:
    error = kind("as the driver says it")
    for call in (client.write, client.read):
        with pytest.raises(BackendError) as caught:
            await call(raising(error), name="FAIL", collection="note")
        assert caught.value.__cause__ is error
        assert caught.value.outcome == "failed"


@pytest.mark.parametrize(("name", "code"), list(result_codes()))
async def test_every_result_code_is_a_backend_error(
    client: SqliteClient, name: str, code: int
) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode, error.sqlite_errorname = code, f"SQLITE_{name}"
    with pytest.raises(BackendError) as caught:
        await client.write(raising(error), name="FAIL", collection="note")
    assert caught.value.__cause__ is error
    assert isinstance(caught.value, DamagedError) is (judged(error) == DAMAGED)


async def test_a_value_that_sqlite_cannot_take_is_not_quoted(client: SqliteClient) -> None:
    with pytest.raises(
        BackendError, match="SQLite cannot take this value: UnicodeEncodeError"
    ) as caught:
        await client.read(
            lambda connection: connection.execute("SELECT ?", ("\ud800secret",)),
            name="READ",
            collection="note",
        )
    assert "secret" not in str(caught.value)
    assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
