"""Runs statements on connections of a pool, each held for one statement only."""

from datetime import timedelta
from typing import Any, Final, NamedTuple

from arvo_event_handler import MachineMemoryError
from arvo_time import SYSTEM_CLOCK, Backoff, Clock

from ._connections import Connections
from ._failures import Outcome, is_connection_lost, is_refusal, memory_error
from ._table_name import TableName
from ._telemetry import traced

_BACKOFF: Final = Backoff(
    initial=timedelta(milliseconds=20), maximum=timedelta(milliseconds=200), jitter=False
)
_TRIES: Final = 3


class Answer(NamedTuple):
    """What a statement gave."""

    rows: list[Any]
    """The rows."""
    repeated: bool
    """Whether an earlier try may have taken effect too: its answer was lost."""

    @property
    def row(self) -> Any:
        """The first row; None when there is none."""
        return self.rows[0] if self.rows else None


class StatementRunner:
    """Runs statements that may be repeated, and repeats them when a connection is lost."""

    def __init__(
        self,
        connections: Connections,
        *,
        table: TableName,
        timeout: timedelta,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._connections = connections
        self._table = str(table)
        self._timeout = timeout.total_seconds()
        self._clock = clock

    async def run(self, operation: str, sql: str, *args: object) -> Answer:
        """Run a statement that finds what it did when it is sent again.

        Raises:
            MachineMemoryError: It could not be run, three times if connections were lost.
        """
        return await traced(operation, self._table, lambda: self._run(operation, sql, args))

    async def _run(self, operation: str, sql: str, args: tuple[object, ...]) -> Answer:
        in_doubt = False
        for tried in range(_TRIES):
            if tried:
                await self._clock.sleep(_BACKOFF.delay(tried - 1))
            sent = False
            try:
                connection = await self._connections.take(operation)
                sent = True
                return Answer(await self._fetch(connection, sql, args), in_doubt)
            except MachineMemoryError as error:
                if in_doubt:
                    error.outcome = "unknown"
                raise
            except Exception as error:
                in_doubt = in_doubt or (sent and not is_refusal(error))
                if is_connection_lost(error) and tried < _TRIES - 1:
                    continue
                outcome: Outcome = "unknown" if in_doubt else "failed"
                raise memory_error(error, what=operation, outcome=outcome) from error
        raise AssertionError("the last try returns or raises")

    async def _fetch(self, connection: Any, sql: str, args: tuple[object, ...]) -> list[Any]:
        try:
            rows: list[Any] = await connection.fetch(sql, *args, timeout=self._timeout)
        except BaseException as error:
            await self._connections.drop(connection, lost=is_connection_lost(error))
            raise
        await self._connections.give_back(connection)
        return rows
