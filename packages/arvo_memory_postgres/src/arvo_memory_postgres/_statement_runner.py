"""Runs statements on connections of a pool, each held for one statement only."""

from datetime import timedelta
from typing import Any, Final, NamedTuple

import asyncpg
from typing_extensions import override

from arvo_event_handler import SYSTEM_CLOCK, Backoff, Clock, MachineMemoryError

from ._failures import Outcome, closed, is_connection_lost, memory_error, pool_exhausted
from ._telemetry import traced

_BACKOFF: Final = Backoff(
    initial=timedelta(milliseconds=20), maximum=timedelta(milliseconds=200), jitter=False
)
_TRIES: Final = 3


class PlainConnection(asyncpg.Connection):  # type: ignore[misc] # untyped
    """A connection that is given back as it is: our statements leave nothing to reset."""

    @override
    def get_reset_query(self) -> str:
        return ""


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
        pool: asyncpg.Pool,
        *,
        table: str,
        pool_timeout: timedelta,
        statement_timeout: timedelta,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._pool = pool
        self._table = table
        self._pool_timeout = pool_timeout.total_seconds()
        self._statement_timeout = statement_timeout.total_seconds()
        self._clock = clock
        self.is_closed = False
        """Set when no more statements may run."""

    async def run(self, operation: str, sql: str, *args: object) -> Answer:
        """Run a statement that finds what it did when it is sent again.

        Raises:
            MachineMemoryError: It could not be run, three times if connections were lost.
        """
        return await traced(operation, self._table, lambda: self._run(operation, sql, args))

    async def _run(self, operation: str, sql: str, args: tuple[object, ...]) -> Answer:
        sent = False
        for tried in range(_TRIES):
            if tried:
                await self._clock.sleep(_BACKOFF.delay(tried - 1))
            try:
                connection = await self._connection(operation)
                repeated, sent = sent, True
                try:
                    rows = await connection.fetch(sql, *args, timeout=self._statement_timeout)
                except Exception as error:
                    if is_connection_lost(error):
                        connection.terminate()  # or the pool may hand it out again
                    raise
                finally:
                    await self._pool.release(connection)
            except MachineMemoryError as error:
                if sent and error.outcome == "failed":
                    error.outcome = "unknown"
                raise
            except Exception as error:
                if not is_connection_lost(error) or tried == _TRIES - 1:
                    outcome: Outcome = "unknown" if sent else "failed"
                    raise memory_error(error, what=operation, outcome=outcome) from error
            else:
                return Answer(rows, repeated)
        raise AssertionError("the last try returns or raises")

    async def _connection(self, operation: str) -> Any:
        if self.is_closed or self._pool.is_closing():
            raise closed(operation)
        try:
            return await self._pool.acquire(timeout=self._pool_timeout)
        except TimeoutError as error:
            raise pool_exhausted(operation) from error
