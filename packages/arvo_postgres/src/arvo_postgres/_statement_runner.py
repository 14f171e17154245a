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


# Not frozen: that would triple the cost of making one for every statement.
@dataclass(slots=True, kw_only=True)
class Rows:
    """What a statement returned."""

    rows: list[Any]
    """All rows, as asyncpg's records."""
    repeated: bool
    """Whether an earlier try may have taken effect too: its answer was lost."""

    @property
    def row(self) -> Any:
        """The first row; None if there is none."""
        return self.rows[0] if self.rows else None


class StatementRunner:
    """Runs statements that may be repeated, and repeats them when a connection is lost.

    Args:
        connections: Where to run the statements.
        table: The table that they work on, for spans.
        statement_timeout: How long one statement may take; above 0, at most a day.
        clock: For the pauses between tries.

    Raises:
        TypeError: `statement_timeout` is not a timedelta, or `clock` is not a `Clock`.
        ValueError: `statement_timeout` is not above 0, or is above a day.
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

    async def run(
        self, operation: str, sql: str, *args: object, within: timedelta | None = None
    ) -> Rows:
        """Run a statement that, when it is sent again, finds what it did the first time.

        Args:
            operation: The name of the operation in spans and errors.
            sql: The statement.
            *args: Its parameters.
            within: How long the statement may take, if that is less than `statement_timeout`.

        Raises:
            BackendError: It failed; after lost connections it was tried three times.
        """
        if self._connections.is_closed:
            raise closed(operation)  # without a span: nothing is sent
        with client_span(
            operation, scope="arvo_postgres", attributes=_SYSTEM, collection=self._table
        ):
            allowed = self._timeout
            if within is not None:
                allowed = min(allowed, within.total_seconds())
            statement = _Statement(self._connections, operation, sql, args, allowed)
            rows, doubt = await repeated(
                statement.send, judge=statement.judged, backoff=_BACKOFF, clock=self._clock
            )
            return Rows(rows=rows, repeated=doubt is not None)


class _Statement:
    """A statement that is being run."""

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
        """Send the statement once."""
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
