"""What operators ask of a machine memory and do to it."""

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from arvo_time.settings import check_count

from ._machine_key import machine_key
from ._statement_runner import Answer
from ._statements import Statements
from ._stored_workflow import StoredWorkflow

WorkflowStatus: TypeAlias = Literal["active", "done", "failure"]


class WorkflowQueries:
    """Queries over the rows of all workflows. Forgotten workflows are not in them.

    None of these calls is needed to run workflows. Each raises `MachineMemoryError` as `read` does.
    """

    _sql: Statements

    async def _ask(self, operation: str, sql: str, *args: object) -> Answer:
        raise NotImplementedError

    async def children(self, root: str) -> list[StoredWorkflow]:
        """Return every workflow below a root, at any depth, oldest first; not the root itself.

        Args:
            root: Subject of the workflow at the top.
        """
        machine_key(root)
        return _workflows(await self._ask("CHILDREN", self._sql.children, root))

    async def root(self, subject: str) -> str | None:
        """Return the subject of the workflow at the top of another's.

        Returns:
            `subject` itself when nobody asked for it; None when it is not stored here or is no
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
        """Return workflows, those first whose records are oldest. Reads the whole table.

        Args:
            status: Only those that stand so; None for all.
            updated_before: Only those not written since, such as those that are stuck; a datetime
                with a time zone. None for all.
            limit: How many at most.

        Raises:
            ValueError: `limit` is below 1, or `updated_before` has no time zone.
        """
        check_count(limit, name="limit", least=1)
        if updated_before is not None and updated_before.tzinfo is None:
            raise ValueError("updated_before needs a time zone, such as datetime.now(UTC)")
        return _workflows(await self._ask("FIND", self._sql.find, status, updated_before, limit))

    async def cleanup(self, machine_id: str) -> bool:
        """Forget a workflow and its lease at once; whoever loaded its record fails to commit.

        An event of it that comes late starts it again.

        Returns:
            Whether there was anything to forget.
        """
        answer = await self._ask("CLEANUP", self._sql.cleanup, machine_key(machine_id))
        return answer.row is not None or answer.repeated

    async def delete_finished(self, *, older_than: timedelta, batch: int = 1000) -> int:
        """Delete the rows of workflows that are done or failed; nobody else does.

        Args:
            older_than: How long ago they finished. Longer than any event can be late: a late one
                would start its workflow again.
            batch: How many rows one transaction deletes.

        Returns:
            How many there were.

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


def _workflows(answer: Answer) -> list[StoredWorkflow]:
    return [StoredWorkflow(**dict(row)) for row in answer.rows]
