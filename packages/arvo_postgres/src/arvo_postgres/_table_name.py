"""Names of tables, quoted."""

from dataclasses import dataclass
from typing import Final

from typing_extensions import override

_LONGEST: Final = 63  # bytes; PostgreSQL cuts longer names without a word
_MIGRATIONS: Final = "_migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableName:
    """The table of a component, and beside it the one that says its version.

    Raises:
        ValueError: PostgreSQL knows no such names.

    Example:
        >>> name = TableName(schema='a "shop" of mine', table="machines")
        >>> print(name.quoted, name.migrations)
        "a ""shop"" of mine"."machines" machines_migrations
    """

    schema: str
    """Not quoted."""
    table: str
    """Not quoted."""

    def __post_init__(self) -> None:
        _check("schema", self.schema, longest=_LONGEST)
        _check("table", self.table, longest=_LONGEST - len(_MIGRATIONS))

    @override
    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def migrations(self) -> str:
        """The name of the table that says which migrations were made, not quoted."""
        return self.table + _MIGRATIONS

    @property
    def quoted_schema(self) -> str:
        """The schema, as SQL writes it."""
        return _quoted(self.schema)

    @property
    def quoted(self) -> str:
        """The table, as SQL writes it."""
        return f"{_quoted(self.schema)}.{_quoted(self.table)}"

    @property
    def quoted_migrations(self) -> str:
        """The table of migrations, as SQL writes it."""
        return f"{_quoted(self.schema)}.{_quoted(self.migrations)}"

    def beside(self, suffix: str) -> str:
        """Return another table of the component, as SQL writes it: its name and `suffix`.

        Args:
            suffix: No longer than `_migrations`, so that PostgreSQL does not cut the name.
        """
        return f"{_quoted(self.schema)}.{_quoted(self.table + suffix)}"


def is_storable(text: str) -> bool:
    r"""Return whether a column of type text takes it.

    Example:
        >>> is_storable("a"), is_storable("a NUL: \0"), is_storable("half a character: \ud800")
        (True, False, False)
    """
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(what: str, name: str, *, longest: int) -> None:
    if not name or not is_storable(name) or len(name.encode()) > longest:
        raise ValueError(f"{what} must be a name of 1 to {longest} bytes without NUL, got {name!r}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
