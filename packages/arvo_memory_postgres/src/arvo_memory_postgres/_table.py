"""The table of workflows, and what operators do with it."""

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import asyncpg

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import machine_memory_error
from arvo_postgres import (
    Connections,
    MissingSchemaError,
    Rows,
    StatementRunner,
    TableName,
)
from arvo_time import BackendError, Clock, ClosedError
from arvo_time.settings import check_count

from ._rows import StoredWorkflow, machine_key
from ._statements import Statements, migrations_of

WorkflowStatus: TypeAlias = Literal["active", "done", "failure"]


class WorkflowTable:
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
            MachineMemoryError: The schema is newer than this package, or the database failed.
        """
        self._check_usable("MIGRATE")
        try:
            sql = await self._migrations.run(self._connections, dry_run=dry_run)
        except BackendError as error:
            raise memory_error(error, doing="MIGRATE") from error.__cause__
        self._schema_checked = self._schema_checked or not dry_run
        return sql

    async def children(self, root: str) -> list[StoredWorkflow]:
        """Return the workflows below a root workflow, at every depth, in the order of their start.

        Args:
            root: The subject of the root workflow.
        """
        machine_key(root)
        return _workflows(await self._ask("CHILDREN", self._sql.children, root))

    async def root(self, subject: str) -> str | None:
        """Return the subject of a workflow's root workflow.

        Returns:
            `subject` itself if no workflow started it; None if it is not stored here or is not an
            orchestration subject.
        """
        row = (await self._ask("ROOT", self._sql.root, machine_key(subject))).row
        found: str | None = None if row is None else row["root"]
        return found

    async def find(
        self,
        *,
        status: WorkflowStatus | None = None,
        updated_before: datetime | None = None,
        limit: int = 100,
    ) -> list[StoredWorkflow]:
        """Return workflows, the least recently written first. Reads the whole table.

        Args:
            status: Only workflows of this status; None means all.
            updated_before: Only workflows not written since then, such as those that are stuck; an
                aware datetime. None means all.
            limit: How many at most.

        Raises:
            ValueError: `limit` is below 1, or `updated_before` has no time zone.
        """
        check_count(limit, name="limit", least=1)
        if updated_before is not None and updated_before.tzinfo is None:
            raise ValueError(
                f"updated_before must have a time zone, got {updated_before!r}; "
                "write for example datetime.now(UTC)"
            )
        return _workflows(await self._ask("FIND", self._sql.find, status, updated_before, limit))

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

    def _check_usable(self, doing: str) -> None:
        if self._closed or self._connections.is_closed:
            raise memory_error(ClosedError("closed"), doing=doing)

    async def _ask(self, operation: str, sql: str, *args: object) -> Rows:
        self._check_usable(operation)
        try:
            if not self._schema_checked:
                await self._migrations.check(self._runner)
                self._schema_checked = True
            return await self._runner.run(operation, sql, *args)
        except BackendError as error:
            raise memory_error(error, doing=operation) from error.__cause__


def memory_error(error: BackendError, *, doing: str) -> MachineMemoryError:
    """Return the memory's error for one of the client; raise it from the driver's."""
    match error:
        case ClosedError():
            message = f"the memory is closed, so {doing} was not sent; use it inside its block"
        case MissingSchemaError():
            message = (
                f"{error}; run `arvo memory migrate --memory URL` or `await memory.migrate()` once, "
                "for example when you deploy"
            )
        case _:
            message = str(error)
    return machine_memory_error(error, message=message)


def _workflows(answer: Rows) -> list[StoredWorkflow]:
    return [StoredWorkflow(**dict(row)) for row in answer.rows]
