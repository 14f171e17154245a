"""The table of workflows, and what operators do with it."""

from contextlib import suppress
from datetime import timedelta
from operator import itemgetter
from typing import Any, Final

import asyncpg
from typing_extensions import override

from arvo_event_handler import MachineMemoryError, QueryTimeoutError, UnreadableRecordError
from arvo_event_handler.memory import (
    QUERY_TIMEOUT,
    CountRequest,
    IWorkflowQueries,
    PageRequest,
    Record,
    StoredWorkflow,
    WorkflowCount,
    WorkflowPage,
    WorkflowQuery,
    machine_memory_error,
    summary_of_record,
)
from arvo_postgres import (
    Connections,
    MissingSchemaError,
    Rows,
    StatementRunner,
    TableName,
)
from arvo_time import BackendError, Clock, ClosedError
from arvo_time.settings import check_count

from ._queries import WORKFLOW, Question, position, stored_workflow
from ._rows import WorkflowColumns, machine_key, stored_record, summary_columns
from ._statements import Statements, in_table, migrations_of

_READS: Final = frozenset(
    ("READ", "CHUNKS", "WORKFLOWS", "COUNT", "WORKFLOW", "STEPS", "TIMES", "NEXT")
)
_FILLED_TOGETHER: Final = 500
_MOST_BYTES: Final = 2**31


class WorkflowTable(IWorkflowQueries):
    """The rows of all workflows. Queries do not return forgotten workflows.

    None of these calls is needed to run workflows. Each raises `MachineMemoryError` as `read` does.
    """

    def __init__(
        self,
        client: asyncpg.Pool | Connections,
        *,
        name: TableName,
        pool_timeout: timedelta,
        statement_timeout: timedelta,
        clock: Clock,
    ) -> None:
        self._name = name
        self._sql = Statements.of(name)
        self._migrations = migrations_of(name)
        self._schema_checked = False
        self._own_client: Connections | None = None
        self._connections = (
            client
            if isinstance(client, Connections)
            else Connections(client, pool_timeout=pool_timeout, clock=clock)
        )
        self._closed = False
        self._runner = StatementRunner(
            self._connections, table=name, statement_timeout=statement_timeout, clock=clock
        )

    async def aclose(self) -> None:
        """Refuse further calls, and close the pool if `connect` opened it. Idempotent."""
        self._closed = True
        if self._own_client is not None:
            await self._own_client.aclose()

    async def migrate(self, *, dry_run: bool = False) -> str:
        """Create the schema, or bring it up to date; several processes may do so concurrently.

        Args:
            dry_run: Only return the SQL, and change nothing.

        Returns:
            The SQL that was run, or would be; empty if the schema is up to date.

        Raises:
            MachineMemoryError: The schema is newer than this package, the memory was opened
                read-only, or the database failed.
        """
        self._check_writable("MIGRATE")
        try:
            sql = await self._migrations.run(self._connections, dry_run=dry_run)
        except BackendError as error:
            raise self._error(error, doing="MIGRATE") from error.__cause__
        self._schema_checked = self._schema_checked or not dry_run
        if sql and not dry_run:
            await self._fill_from_records()
        return sql

    @override
    async def workflows(
        self,
        query: WorkflowQuery,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> WorkflowPage:
        request = PageRequest.of(
            query,
            after=after,
            limit=limit,
            oldest_first=oldest_first,
            cursors="postgresql",
            length=2,
        )
        rows = await self._query("WORKFLOWS", Question.page(request))
        # Each branch comes in order; there are at most three, each at most as long as the page.
        found = sorted(((position(row), row) for row in rows), key=itemgetter(0))
        if not oldest_first:
            found.reverse()
        return request.page([(place, stored_workflow(row)) for place, row in found[: limit + 1]])

    @override
    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        request = CountRequest.of(query, at_most=at_most)
        (row,) = await self._query("COUNT", Question.count(request))
        return request.count(row["found"])

    @override
    async def workflow(self, subject: str) -> StoredWorkflow | None:
        question = Question()
        question.sql, question.values = WORKFLOW, [machine_key(subject)]
        rows = await self._query("WORKFLOW", question)
        return stored_workflow(rows[0]) if rows else None

    async def cleanup(self, machine_id: str) -> bool:
        """Forget a workflow and its lease immediately; commits over a record loaded before fail.

        A late event of the workflow starts it again.

        Returns:
            Whether there was anything to forget.
        """
        answer = await self._ask("CLEANUP", self._sql.cleanup, machine_key(machine_id))
        return answer.row is not None or answer.repeated

    async def delete_finished(self, *, older_than: timedelta, batch: int = 1000) -> int:
        """Delete the rows of workflows that are done or failed; nothing else deletes them.

        Args:
            older_than: How long ago they finished. It must be longer than any event can be late: a
                late event would start its workflow again.
            batch: How many rows one transaction deletes.

        Returns:
            How many rows were deleted.

        Raises:
            ValueError: `older_than` is negative or `batch` below 1.
        """
        check_count(batch, name="batch", least=1)
        if older_than < timedelta(0):
            raise ValueError(f"older_than must not be negative, got {older_than}")
        deleted = 0
        while True:
            sql = self._sql.delete_finished
            answer = await self._ask("DELETE_FINISHED", sql, older_than, batch)
            deleted += len(answer.rows)
            # Rows that others hold are skipped, so a batch can be short before the end.
            if not answer.rows:
                return deleted

    def _error(self, error: BackendError, *, doing: str) -> MachineMemoryError:
        return memory_error(error, doing=doing, read_only=self._connections.read_only)

    def _check_writable(self, doing: str) -> None:
        self._check_usable(doing)
        if self._connections.read_only:
            raise MachineMemoryError(
                f"the memory was opened read-only; {doing} needs one that is not",
                retryable=False,
                outcome="failed",
            )

    def _check_usable(self, doing: str) -> None:
        if self._closed or self._connections.is_closed:
            raise memory_error(ClosedError("closed"), doing=doing)

    async def _fill_from_records(self) -> None:
        """Fill the columns that are searched from the records of the version before.

        If this ends half-way, the others are filled by their next step.
        """
        last = b""
        while rows := (await self._ask("MIGRATE", self._sql.unfilled, last, _FILLED_TOGETHER)).rows:
            columns: list[WorkflowColumns] = []
            for row in rows:
                record: Record | None = None
                # A damaged one is listed by what its subject says.
                with suppress(UnreadableRecordError):
                    record = stored_record(row, max_bytes=_MOST_BYTES)
                summary = summary_of_record(record or {}, subject=row["machine_id"])
                columns.append(summary_columns(summary))
            last = rows[-1]["key"]
            await self._ask(
                "MIGRATE",
                self._sql.fill,
                [row["key"] for row in rows],
                [each.workflow_key for each in columns],
                [each.contract_version for each in columns],
                [each.error for each in columns],
            )

    async def _query(self, operation: str, question: Question) -> list[Any]:
        sql = in_table(question.sql, self._name)
        try:
            return (await self._ask(operation, sql, *question.values, within=QUERY_TIMEOUT)).rows
        except MachineMemoryError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise QueryTimeoutError from error.__cause__
            raise

    async def _check_schema(self) -> None:
        """Check that the schema is there and up to date.

        Raises:
            MachineMemoryError: It is missing, older or newer.
        """
        if not self._schema_checked:
            try:
                await self._migrations.check(self._runner)
            except BackendError as error:
                raise self._error(error, doing="SCHEMA") from error.__cause__
            self._schema_checked = True

    async def _ask(
        self, operation: str, sql: str, *args: object, within: timedelta | None = None
    ) -> Rows:
        if operation in _READS:
            self._check_usable(operation)
        else:
            self._check_writable(operation)
        await self._check_schema()
        try:
            return await self._runner.run(operation, sql, *args, within=within)
        except BackendError as error:
            raise self._error(error, doing=operation) from error.__cause__


def memory_error(error: BackendError, *, doing: str, read_only: bool = False) -> MachineMemoryError:
    """Return the memory's error for one of the client; raise it from the driver's."""
    match error:
        case ClosedError():
            message = f"the memory is closed, so {doing} was not sent; use it inside its block"
        case MissingSchemaError() if read_only:
            message = f"{error}; run `arvo memory migrate --memory URL`"
        case MissingSchemaError():
            message = (
                f"{error}; run `arvo memory migrate --memory URL` or `await memory.migrate()` once, "
                "for example when you deploy"
            )
        case _:
            message = str(error)
    return machine_memory_error(error, message=message)
