"""Names of tables, quoted."""

from dataclasses import dataclass
from typing import Final

from typing_extensions import override

_MAX_NAME_BYTES: Final = 63  # PostgreSQL silently cuts longer names
_MIGRATIONS: Final = "_migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableName:
    """The main table of a component, and the table of its version beside it.

    Raises:
        ValueError: PostgreSQL does not allow such a name.

    Example:
        >>> name = TableName(schema='a "shop" of mine', table="machines")
        >>> print(name.quoted, name.migrations)
        "a ""shop"" of mine"."machines" machines_migrations
    """

    schema: str
    """The name of the schema, not quoted."""
    table: str
    """The name of the table without its schema, not quoted."""

    def __post_init__(self) -> None:
        _check("schema", self.schema, max_bytes=_MAX_NAME_BYTES)
        _check("table", self.table, max_bytes=_MAX_NAME_BYTES - len(_MIGRATIONS))

    @override
    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def migrations(self) -> str:
        """The name of the table that records which migrations were run, not quoted."""
        return self.table + _MIGRATIONS

    @property
    def quoted_schema(self) -> str:
        """The schema's name, quoted for SQL."""
        return _quoted(self.schema)

    @property
    def quoted(self) -> str:
        """The table's name with its schema, quoted for SQL."""
        return f"{_quoted(self.schema)}.{_quoted(self.table)}"

    @property
    def quoted_migrations(self) -> str:
        """The name of the table of migrations with its schema, quoted for SQL."""
        return f"{_quoted(self.schema)}.{_quoted(self.migrations)}"

    def beside(self, suffix: str) -> str:
        """Return another table of the component, as SQL writes it: its name and `suffix`.

        Args:
            suffix: No longer than `_migrations`, so that PostgreSQL does not cut the name.
        """
        return f"{_quoted(self.schema)}.{_quoted(self.table + suffix)}"


def is_storable(text: str) -> bool:
    r"""Return whether a column of type `text` can store a string.

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


def _check(what: str, name: str, *, max_bytes: int) -> None:
    if not name or not is_storable(name) or len(name.encode()) > max_bytes:
        raise ValueError(
            f"{what} must be a name of 1 to {max_bytes} bytes without NUL, got {name!r}"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
