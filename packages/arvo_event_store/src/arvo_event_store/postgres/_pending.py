"""Who still needs events of a stream: targets that read it, with a mark above their watermark."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from typing import Final

from arvo_event_store.stores import PENDING_TARGETS
from arvo_postgres import OpenTransaction

from ._tables import Tables

PENDING: Final = f"""
SELECT grp, reaction, key FROM {{target}} WHERE stream = $1 AND at < mark
ORDER BY grp, reaction, key LIMIT {PENDING_TARGETS}"""

NEEDED: Final = """
SELECT t.at, (
    SELECT min(e.version) FROM {event} AS e WHERE e.stream = $1 AND e.position > t.at
) AS version
FROM (SELECT min(at) AS at FROM {target} WHERE stream = $1 AND at < mark) AS t
WHERE t.at IS NOT NULL"""


async def pending_targets(
    transaction: OpenTransaction, stream: str, *, tables: Tables
) -> list[tuple[str, str, str]]:
    """Return group, reaction and key of the first targets that have work in a stream.

    Args:
        transaction: The one that closes or deletes the stream, whose head it has locked.
        stream: The stream.
        tables: The tables.
    """
    rows = (await transaction.run("PENDING", tables.sql(PENDING), stream)).rows
    return [(row["grp"], row["reaction"], row["key"]) for row in rows]


async def lowest_needed(transaction: OpenTransaction, stream: str, *, tables: Tables) -> int | None:
    """Return the version of the first event of a stream that a target still has to read.

    Args:
        transaction: The one that cuts the stream off, whose head it has locked.
        stream: The stream.
        tables: The tables.

    Returns:
        The version; None if no target has work in the stream.
    """
    row = (await transaction.run("PENDING", tables.sql(NEEDED), stream)).row
    return None if row is None else row["version"]
