"""A log inside a transaction."""

from collections.abc import Sequence
from typing import Any, Protocol

from typing_extensions import override

from arvo_event_store._append import Appended
from arvo_event_store._log import IEventLog
from arvo_postgres import OpenTransaction

from ._appending import last_position
from ._event_log import PostgresEventLog
from ._sessions import JoinedSession, Schema
from ._tables import Tables


class PostgresTransaction(IEventLog, Protocol):
    """An event log inside a transaction: what is appended is stored if and when that is committed.

    `PostgresEventStore.transaction` and `PostgresEventStore.join` make one. It sees its own appends in
    `read`; `read_all` ends before them. A refusal, such as a conflict, undoes nothing else in the
    transaction. A failure of the database may leave one that can only be rolled back. From its first
    append until it ends, `read_all` of everybody ends before it, so it should be short.
    """

    @property
    def connection(self) -> Any:
        """Asyncpg's connection, for statements of your own."""
        ...


class JoinedLog(PostgresEventLog, PostgresTransaction):
    """The log inside a transaction.

    Args:
        transaction: The transaction.
        tables: The tables.
        schema: Their schema.
        max_payload_bytes: See `PostgresEventStore`.
    """

    def __init__(
        self,
        transaction: OpenTransaction,
        *,
        tables: Tables,
        schema: Schema,
        max_payload_bytes: int,
    ) -> None:
        super().__init__(
            JoinedSession(transaction, schema=schema),
            tables=tables,
            max_payload_bytes=max_payload_bytes,
            joined=True,
        )
        self._connection = transaction.connection
        self.last: int | None = None
        """The highest position that was appended; None if nothing was."""

    @override
    def _appended(self, answers: Sequence[Appended]) -> None:
        last = last_position(answers)
        if last is not None:
            self.last = last

    @property
    @override
    def connection(self) -> Any:
        return self._connection
