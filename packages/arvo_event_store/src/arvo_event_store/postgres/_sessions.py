"""Where the statements of a log run: on a pool, or in a transaction."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final, TypeVar

from arvo_event_store._errors import SchemaError
from arvo_postgres import (
    Connections,
    Migrations,
    OpenTransaction,
    Rows,
    RunsStatements,
    StatementRunner,
)
from arvo_time import BackendError, Backoff, Clock, ClosedError, Outcome

from ._failures import asks_for_another_try
from ._tables import Tables

T = TypeVar("T")

_MOST_TRIES: Final = 10
_BACKOFF: Final = Backoff(initial=timedelta(milliseconds=5), maximum=timedelta(milliseconds=500))

_SEQUENCE: Final = """
SELECT coalesce((SELECT max(position) FROM {event}), 0) AS highest,
    (SELECT last_value FROM {sequence}) AS last,
    (SELECT seqcache FROM pg_sequence WHERE seqrelid = $1::text::regclass) AS cache"""


class Schema:
    """The schema of a store, checked once, at the first call.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Tables) -> None:
        self.migrations: Migrations = tables.migrations()
        """What makes it."""
        self._tables = tables
        self._sequence = tables.sql(_SEQUENCE)
        self._is_checked = False

    async def check(self, runner: RunsStatements) -> None:
        """Check the versions of the tables, and the sequence of positions.

        Raises:
            SchemaError: The sequence could give a position below one that was given before.
            BackendError: The tables are missing, older or newer, or the database failed.
        """
        if self._is_checked:
            return
        await self.migrations.check(runner)
        name = self._tables.sequence
        row = (await runner.run("SCHEMA", self._sequence, name)).row
        if row["cache"] != 1:
            raise SchemaError(
                f"the sequence {name} has a cache of {row['cache']}, so that positions would not grow; "
                f"run `ALTER SEQUENCE {name} CACHE 1`"
            )
        if row["last"] < row["highest"]:
            raise SchemaError(
                f"the sequence {name} is at {row['last']}, behind the last event at {row['highest']}; "
                f"run `SELECT setval('{name}', {row['highest']})`"
            )
        self._is_checked = True


class PooledSession:
    """Runs each statement by itself, on a connection of a pool.

    Args:
        connections: The pool.
        tables: The tables.
        schema: Their schema.
        statement_timeout: How long one statement may take.
        clock: For the pauses between tries.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        tables: Tables,
        schema: Schema,
        statement_timeout: timedelta,
        clock: Clock,
    ) -> None:
        self._runner = StatementRunner(
            connections, table=tables.event, statement_timeout=statement_timeout, clock=clock
        )
        self._schema = schema
        self._clock = clock
        self._closed = False

    def close(self) -> None:
        """Refuse all statements from now on."""
        self._closed = True

    def check_open(self, operation: str) -> None:
        """Check that it was not closed.

        Raises:
            ClosedError: It was.
        """
        if self._closed:
            raise ClosedError(
                f"the store was closed, so {operation} was not sent; open another one"
            )

    async def run(self, operation: str, sql: str, *args: object) -> Rows:
        """Run a statement that, when it is sent again, finds what it did the first time.

        It is sent again if the connection is lost, or if the database asks for that because of other
        transactions.

        Raises:
            SchemaError: See `Schema.check`.
            BackendError: It failed.
        """
        await self.ready(operation)
        return await self._repeated(lambda: self._runner.run(operation, sql, *args))

    async def run_or_undo(self, operation: str, sql: str, *args: object) -> Rows:
        """Do the same: each statement is a transaction of its own."""
        return await self.run(operation, sql, *args)

    async def ready(self, operation: str) -> None:
        """Check that statements can be run.

        Raises:
            SchemaError: See `Schema.check`.
            BackendError: It was closed, the tables are not there, or the database failed.
        """
        self.check_open(operation)
        await self._schema.check(self._runner)

    def transaction(self, operation: str) -> AbstractAsyncContextManager[OpenTransaction]:
        """Begin a transaction; see `StatementRunner.transaction`. Call `ready` before."""
        return self._runner.transaction(operation)

    async def in_transaction(
        self, operation: str, work: Callable[[OpenTransaction], Awaitable[T]]
    ) -> T:
        """Run work that may be repeated in a transaction, again if the database asks for that.

        Raises:
            SchemaError: See `Schema.check`.
            BackendError: It failed.
        """
        await self.ready(operation)

        async def once() -> T:
            async with self._runner.transaction(operation) as transaction:
                return await work(transaction)

        return await self._repeated(once)

    async def _repeated(self, call: Callable[[], Awaitable[T]]) -> T:
        tried = 0
        outcome: Outcome = "failed"
        while True:
            try:
                return await call()
            except BackendError as error:
                tried += 1
                if error.outcome == "unknown":
                    outcome = error.outcome
                if tried == _MOST_TRIES or not asks_for_another_try(error.__cause__):
                    error.outcome = outcome
                    raise
            await self._clock.sleep(_BACKOFF.delay(tried - 1))


class JoinedSession:
    """Runs statements in a transaction.

    Args:
        transaction: The transaction.
        schema: The schema of the tables.
    """

    def __init__(self, transaction: OpenTransaction, *, schema: Schema) -> None:
        self._transaction = transaction
        self._schema = schema

    async def run(self, operation: str, sql: str, *args: object) -> Rows:
        """Run a statement; an error may leave a transaction that can only be rolled back."""
        await self._schema.check(self._transaction)
        return await self._transaction.run(operation, sql, *args)

    async def run_or_undo(self, operation: str, sql: str, *args: object) -> Rows:
        """Run a statement under a savepoint."""
        await self._schema.check(self._transaction)
        return await self._transaction.run_or_undo(operation, sql, *args)
