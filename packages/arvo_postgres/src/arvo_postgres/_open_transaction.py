"""Statements inside a transaction that is open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import asyncpg

from arvo_time import BackendError

from ._failures import backend_error
from ._rows import Rows
from ._statement_span import statement_span
from ._table_name import TableName

_SAVEPOINT: Final = "arvo_step"


class OpenTransaction:
    """Runs statements on a connection with an open transaction; whoever began it ends it.

    Whatever fails has had no effect: nothing is stored before the transaction is committed. Tasks
    that use it concurrently take turns.

    Args:
        connection: A connection of asyncpg.
        table: The table that the statements work on, for spans.
        statement_timeout: How long one statement may take.
    """

    def __init__(self, connection: Any, *, table: TableName, statement_timeout: timedelta) -> None:
        self.connection = connection
        """The connection."""
        self._table = str(table)
        self._timeout = statement_timeout.total_seconds()
        self._turn = asyncio.Lock()
        self._ended = False

    def end(self) -> None:
        """Refuse further statements."""
        self._ended = True

    async def run(self, operation: str, sql: str, *args: object) -> Rows:
        """Run a statement; if it fails, the server accepts no further one but a rollback.

        Args:
            operation: The name of the operation in spans and errors.
            sql: The statement.
            *args: Its parameters.

        Raises:
            BackendError: It failed, or no transaction is open; the outcome is "failed".
        """
        async with self._turn:
            return await self._run(operation, sql, args)

    async def run_or_undo(self, operation: str, sql: str, *args: object) -> Rows:
        """Run a statement; if it fails, only itself is undone, and the transaction goes on.

        Args:
            operation: The name of the operation in spans and errors.
            sql: The statement.
            *args: Its parameters.

        Raises:
            BackendError: It failed, or no transaction is open; the outcome is "failed".
        """
        async with self._turn, self._savepoint(operation):
            return await self._run(operation, sql, args)

    async def check(self, operation: str) -> None:
        """Check that the transaction can be committed.

        The server answers the commit of one in which a statement failed as if nothing were wrong, and
        undoes it.

        Args:
            operation: The name of the operation in errors.

        Raises:
            BackendError: A statement failed, or no transaction is open; the outcome is "failed".
        """
        self._check_open(operation)
        await self._execute(operation, "SELECT")

    async def _run(self, operation: str, sql: str, args: tuple[object, ...]) -> Rows:
        with statement_span(operation, table=self._table):
            self._check_open(operation)
            try:
                rows = await self.connection.fetch(sql, *args, timeout=self._timeout)
            except Exception as error:
                raise backend_error(error, what=operation, outcome="failed") from error
            return Rows(rows=rows, repeated=False)

    @asynccontextmanager
    async def _savepoint(self, operation: str) -> AsyncIterator[None]:
        self._check_open(operation)
        await self._execute(operation, f"SAVEPOINT {_SAVEPOINT}")
        try:
            yield
        except BaseException:
            # If this fails too, the transaction is lost, and the first error says why.
            with suppress(BackendError):
                await self._execute(operation, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
                await self._execute(operation, f"RELEASE SAVEPOINT {_SAVEPOINT}")
            raise
        await self._execute(operation, f"RELEASE SAVEPOINT {_SAVEPOINT}")

    async def _execute(self, operation: str, sql: str) -> None:
        try:
            await self.connection.execute(sql, timeout=self._timeout)
        except Exception as error:
            raise backend_error(error, what=operation, outcome="failed") from error

    def _check_open(self, operation: str) -> None:
        try:
            lost = self.connection.is_closed()
            ended = self._ended or not (lost or self.connection.is_in_transaction())
        except asyncpg.InterfaceError as error:  # it went back to its pool, as it was lost
            raise backend_error(error, what=operation, outcome="failed") from error
        if ended:
            raise BackendError(
                f"the transaction has ended, so {operation} was not sent; begin another one",
                retryable=False,
                outcome="failed",
            )
