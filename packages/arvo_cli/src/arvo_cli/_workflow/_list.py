"""`arvo workflow list` and `due`: which workflows there are, and what they wait until."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from heapq import nsmallest

from arvo_cli._backend._stored_workflows import (
    WorkflowMemory,
    active_workflows,
    details_of,
    looked_into,
    page_of,
    workflow_named,
)
from arvo_cli._errors import CommandError, RefusedError, one_line
from arvo_cli._options._values import WorkflowStatusName
from arvo_cli._terminal._listing import print_json, print_table
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_event_handler.memory import (
    StoredTimer,
    StoredWorkflow,
    WorkflowPage,
    WorkflowQuery,
    WorkflowStatus,
)
from arvo_time import SYSTEM_CLOCK

from ._rows import (
    TIMER_COLUMNS,
    WORKFLOW_COLUMNS,
    timer_json,
    timer_row,
    workflow_json,
    workflow_row,
)

_STORED: dict[WorkflowStatusName, WorkflowStatus] = {
    "active": "active",
    "failed": "failure",
    "done": "done",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowListJob:
    """The options of `arvo workflow list`."""

    memory: str
    """The memory's URL."""
    status: WorkflowStatusName | None
    """Only workflows that stand so; None means all."""
    type: str | None
    """Only workflows of this type; None means all."""
    older: timedelta | None
    """Only workflows that have started longer ago; None means all."""
    root: str | None
    """Only the workflow with this subject or key and those below it; None means all."""
    after: str | None
    """The cursor of the page before; None for the first page."""
    limit: int
    """How many at most."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print one page of workflows, and return the exit status.

        Raises:
            CommandError: The memory cannot be used, or cannot search so.
        """
        page = asyncio.run(self._page())
        if self.json:
            print_json(map(workflow_json, page.workflows))
        elif page.workflows:
            now = SYSTEM_CLOCK.now()
            print_table(WORKFLOW_COLUMNS, (workflow_row(each, now=now) for each in page.workflows))
        more = "" if page.next is None else f"; for more, add: --after {page.next}"
        say(f"{counted(len(page.workflows), 'workflow')}{more}")
        return 0

    async def _page(self) -> WorkflowPage:
        async with looked_into(self.memory) as memory:
            root = None
            if self.root is not None:
                root = (await workflow_named(memory, self.root)).subject
            before = None if self.older is None else SYSTEM_CLOCK.now() - self.older
            try:
                query = WorkflowQuery(
                    status=frozenset(() if self.status is None else (_STORED[self.status],)),
                    source=self.type,
                    root=root,
                    started_before=before,
                )
            except ValueError as error:
                raise CommandError(one_line(error)) from error
            return await page_of(memory, query, after=self.after, limit=self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDueJob:
    """The options of `arvo workflow due`."""

    memory: str
    """The memory's URL."""
    within: timedelta | None
    """Only timers that are due within this time; None means all."""
    limit: int
    """How many at most."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print the timers that are due next, and return the exit status.

        Raises:
            CommandError: The memory cannot be used.
        """
        found = asyncio.run(self._found())
        if self.json:
            print_json(
                {
                    "subject": workflow.subject,
                    "key": workflow.key,
                    "type": workflow.source,
                    "version": workflow.version,
                    **timer_json(timer),
                }
                for workflow, timer in found
            )
        elif found:
            now = SYSTEM_CLOCK.now()
            print_table(TIMER_COLUMNS, (timer_row(*each, now=now) for each in found))
        more = "; --limit shows more" if len(found) == self.limit else ""
        say(f"{counted(len(found), 'timer')}{more}")
        return 0

    async def _found(self) -> list[tuple[StoredWorkflow, StoredTimer]]:
        async with looked_into(self.memory) as memory:
            workflows = await self._earliest(memory)
            timers = [each for found in workflows for each in await self._timers(memory, found)]
        return nsmallest(self.limit, timers, key=lambda each: each[1].at)

    async def _earliest(self, memory: WorkflowMemory) -> list[StoredWorkflow]:
        """Return the workflows whose next timers are the earliest ones."""
        latest = None if self.within is None else SYSTEM_CLOCK.now() + self.within
        earliest: list[StoredWorkflow] = []
        async for workflow in active_workflows(memory):
            if workflow.due is not None and (latest is None or workflow.due <= latest):
                earliest.append(workflow)
                if len(earliest) >= 2 * self.limit + 1000:
                    earliest = nsmallest(self.limit, earliest, key=_due)
        return nsmallest(self.limit, earliest, key=_due)

    async def _timers(
        self, memory: WorkflowMemory, workflow: StoredWorkflow
    ) -> list[tuple[StoredWorkflow, StoredTimer]]:
        try:
            details = await details_of(memory, workflow)
        except RefusedError:  # it was forgotten since
            return []
        latest = None if self.within is None else SYSTEM_CLOCK.now() + self.within
        return [(workflow, each) for each in details.timers if latest is None or each.at <= latest]


def _due(workflow: StoredWorkflow) -> float:
    return float("inf") if workflow.due is None else workflow.due.timestamp()
