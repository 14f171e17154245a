"""The event store on PostgreSQL.

It needs the extra: `pip install 'arvo-event-store[postgres]'`.
"""

try:
    from ._store import PostgresEventStore
    from ._transaction import PostgresTransaction
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        "PostgresEventStore needs asyncpg, install it with\n"
        "    pip install 'arvo-event-store[postgres]'",
        name=_error.name,
    ) from _error

__all__ = ["PostgresEventStore", "PostgresTransaction"]
