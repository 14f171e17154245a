"""Runs statements on connections of a pool, each held for one statement or one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

from arvo_time import SYSTEM_CLOCK, Backoff, Clock, Judgement, Outcome, repeated
from arvo_time.cancellation import timeout
from arvo_time.settings import check_clock, check_duration

from ._connections import Connections
from ._failures import backend_error, closed, is_connection_lost, is_refusal, judged
from ._open_transaction import OpenTransaction
from ._pool import DAY
from ._rows import Rows
from ._statement_span import statement_span
from ._table_name import TableName

_THIRTY_SECONDS: Final = timedelta(seconds=30)
_BACKOFF: Final = Backoff(
    initial=timedelta(milliseconds=20), maximum=timedelta(milliseconds=200), jitter=False
)


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
        self._table = table
        self._statement_timeout = statement_timeout
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
        with statement_span(operation, table=str(self._table)):
            allowed = self._timeout
            if within is not None:
                allowed = min(allowed, within.total_seconds())
            statement = _Statement(self._connections, operation, sql, args, allowed)
            rows, doubt = await repeated(
                statement.send, judge=statement.judged, backoff=_BACKOFF, clock=self._clock
            )
            return Rows(rows=rows, repeated=doubt is not None)

    @asynccontextmanager
    async def transaction(self, operation: str) -> AsyncIterator[OpenTransaction]:
        """Begin a transaction on a connection of the pool, and commit it at the end of the block.

        An exception of the block undoes it, and propagates. Its isolation is READ COMMITTED.

        Args:
            operation: The name of the operation in errors.

        Raises:
            BackendError: It could not begin, or not be committed. It is "unknown" whether it was if
                the connection was lost during the commit, and otherwise it was not.
        """
        if self._connections.is_closed:
            raise closed(operation)
        beginning = _Beginning(self._connections, operation, self._timeout)
        (connection, transaction), _ = await repeated(
            beginning.send, judge=beginning.judged, backoff=_BACKOFF, clock=self._clock
        )
        opened = OpenTransaction(
            connection, table=self._table, statement_timeout=self._statement_timeout
        )
        try:
            try:
                yield opened
                await opened.check(operation)
            except BaseException as error:
                opened.end()
                # If the connection is lost, the server undoes it by itself.
                with suppress(Exception):
                    async with timeout(self._timeout):
                        await transaction.__aexit__(type(error), error, None)
                raise
            opened.end()
            try:
                async with timeout(self._timeout):
                    await transaction.__aexit__(None, None, None)
            except Exception as error:
                outcome: Outcome = "failed" if is_refusal(error) else "unknown"
                raise backend_error(error, what=operation, outcome=outcome) from error
        except BaseException as error:
            lost = is_connection_lost(error.__cause__ or error)
            await self._connections.drop(connection, lost=lost)
            raise
        await self._connections.give_back(connection)


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


class _Beginning:
    """The begin of a transaction."""

    __slots__ = ("_connections", "_operation", "_timeout")

    def __init__(self, connections: Connections, operation: str, timeout: float) -> None:
        self._connections = connections
        self._operation = operation
        self._timeout = timeout

    async def send(self) -> tuple[Any, Any]:
        """Return a connection, and its transaction as an open context manager of asyncpg."""
        connection = await self._connections.take(self._operation)
        try:
            transaction = connection.transaction(isolation="read_committed")
            async with timeout(self._timeout):
                await transaction.__aenter__()
        except BaseException as error:
            await self._connections.drop(connection, lost=is_connection_lost(error))
            raise
        return connection, transaction

    def judged(self, error: Exception) -> Judgement:
        """Return what an error of the last `send` means; nothing is stored in any case."""
        return judged(error, what=self._operation, sent=False)
