"""The tables of a store, by their names in a database."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from arvo_postgres import Migrations, TableName, is_storable, migration_files

_NAMES: Final = {
    **{
        name: name
        for name in (
            *("stream", "event", "private", "snapshot"),
            *("reaction", "target", "listed", "parked"),
        )
    },
    "sequence": "event_position_seq",
    "append_only": "event_is_append_only",
}
"""What SQL calls them in braces, and their names without the prefix."""
# The longest name and this are as long as `TableName` allows.
_MAX_PREFIX_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables of a store, and what else it has in its schema.

    Raises:
        ValueError: PostgreSQL does not allow such a name.
    """

    schema: str
    """The schema."""
    prefix: str
    """How the names of the tables begin; may be empty."""

    def __post_init__(self) -> None:
        TableName(schema=self.schema, table="event")
        length = len(self.prefix.encode("utf-8", "surrogatepass"))
        if length > _MAX_PREFIX_BYTES or not is_storable(self.prefix):
            raise ValueError(
                f"prefix must have at most {_MAX_PREFIX_BYTES} bytes, without NUL, got {self.prefix!r}"
            )

    @property
    def event(self) -> TableName:
        """The table of events, which stands for all of them in spans and versions."""
        return self.named("event")

    @property
    def sequence(self) -> str:
        """The sequence of positions, quoted for SQL."""
        return self.named(_NAMES["sequence"]).quoted

    @property
    def namespace(self) -> int:
        """The first 16 bits of the advisory locks that appends hold, of 64.

        Stores whose namespaces are equal by chance hold each other's horizons back, and no more.
        """
        digest = blake2b(f"{self.schema}\0{self.prefix}".encode(), digest_size=2).digest()
        return int.from_bytes(digest, "big")

    @property
    def channel(self) -> str:
        """The channel on which processes tell each other of changes."""
        digest = blake2b(f"{self.schema}\0{self.prefix}".encode(), digest_size=16)
        return f"arvo_events_{digest.hexdigest()}"

    def sql(self, template: str) -> str:
        """Put the names of the tables, in braces, into SQL."""
        return _filled_in(template, self)

    def migrations(self) -> Migrations:
        """Return the migrations that create the tables and bring them up to date."""
        files = migration_files("arvo_event_store.postgres")
        return Migrations(
            table=self.event,
            sql={number: self.sql(sql) for number, sql in files.items()},
            distribution="arvo-event-store",
        )

    def named(self, name: str) -> TableName:
        """Return the name of a table, or of something else in the schema."""
        return TableName(schema=self.schema, table=self.prefix + name)


@lru_cache(maxsize=1024)
def _filled_in(template: str, tables: Tables) -> str:
    for name, table in _NAMES.items():
        template = template.replace(f"{{{name}}}", tables.named(table).quoted)
    return template.replace("{namespace}", str(tables.namespace)).strip()
