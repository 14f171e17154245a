"""Runs statements on connections of a pool, each held for one statement only."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from arvo_time import SYSTEM_CLOCK, Backoff, Clock, Judgement, repeated
from arvo_time.settings import check_clock, check_duration
from arvo_time.telemetry import client_span

from ._connections import Connections
from ._failures import closed, is_connection_lost, judged
from ._pool import DAY
from ._table_name import TableName

_THIRTY_SECONDS: Final = timedelta(seconds=30)
_BACKOFF: Final = Backoff(
    initial=timedelta(milliseconds=20), maximum=timedelta(milliseconds=200), jitter=False
)
_SYSTEM: Final = {"db.system.name": "postgresql"}


# Not frozen, which would triple the cost of making one for every statement.
@dataclass(slots=True, kw_only=True)
class Rows:
    """What a statement returned."""

    rows: list[Any]
    """All of them, as asyncpg's records."""
    repeated: bool
    """Whether an earlier try may have taken effect too: its answer was lost."""

    @property
    def row(self) -> Any:
        """The first row; None when there is none."""
        return self.rows[0] if self.rows else None


class StatementRunner:
    """Runs statements that may be repeated, and repeats them when a connection is lost.

    Args:
        connections: What it runs them on.
        table: What spans call the table that it works on.
        statement_timeout: How long one statement may take; above 0, a day at most.
        clock: For the pauses between tries.

    Raises:
        TypeError: `statement_timeout` is no timedelta, or `clock` no `Clock`.
        ValueError: `statement_timeout` is 0 or above a day.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        table: TableName,
        statement_timeout: timedelta = _THIRTY_SECONDS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_duration(statement_timeout, name="statement_timeout", above_zero=True, most=DAY)
        self._connections = connections
        self._table = str(table)
        self._timeout = statement_timeout.total_seconds()
        self._clock = check_clock(clock)

    async def run(self, operation: str, sql: str, *args: object) -> Rows:
        """Run a statement that finds what it did when it is sent again.

        Args:
            operation: What spans and errors call it.
            sql: The statement.
            *args: Its parameters.

        Raises:
            BackendError: It could not be run, three times if connections were lost.
        """
        if self._connections.is_closed:
            raise closed(operation)  # without a span: nothing is sent
        with client_span(
            operation, scope="arvo_postgres", attributes=_SYSTEM, collection=self._table
        ):
            statement = _Statement(self._connections, operation, sql, args, self._timeout)
            rows, doubt = await repeated(
                statement.send, judge=statement.judged, backoff=_BACKOFF, clock=self._clock
            )
            return Rows(rows=rows, repeated=doubt is not None)


class _Statement:
    """A statement under way."""

    __slots__ = ("_args", "_connections", "_operation", "_sent", "_sql", "_timeout")

    def __init__(
        self,
        connections: Connections,
        operation: str,
        sql: str,
        args: tuple[object, ...],
        timeout: float,
    ) -> None:
        self._connections = connections
        self._operation = operation
        self._sql = sql
        self._args = args
        self._timeout = timeout
        self._sent = False

    async def send(self) -> list[Any]:
        """Send it once."""
        self._sent = False
        connection = await self._connections.take(self._operation)
        self._sent = True
        try:
            rows: list[Any] = await connection.fetch(self._sql, *self._args, timeout=self._timeout)
        except BaseException as error:
            await self._connections.drop(connection, lost=is_connection_lost(error))
            raise
        await self._connections.give_back(connection)
        return rows

    def judged(self, error: Exception) -> Judgement:
        """Return what an error of the last `send` means."""
        return judged(error, what=self._operation, sent=self._sent)
