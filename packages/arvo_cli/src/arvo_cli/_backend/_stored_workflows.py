"""Opens a memory to look at its workflows, and finds one of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from arvo_cli._errors import CommandError, RefusedError, one_line
from arvo_event_handler import IMachineMemory
from arvo_event_handler.memory import (
    IWorkflowQueries,
    StoredDetails,
    StoredWorkflow,
    WorkflowPage,
    WorkflowQuery,
    stored_details,
)

from ._concurrency import DEFAULT
from ._engine_url import scheme_of
from ._memory_url import memory_for, read_only_memory

_MOST_AT_ONCE = 1000
"""How many workflows a memory lists in one call."""
_SHOWN_NAMESAKES = 5


class WorkflowMemory(IMachineMemory, IWorkflowQueries, Protocol):
    """A memory that can list its workflows."""


@asynccontextmanager
async def looked_into(url: str) -> AsyncIterator[WorkflowMemory]:
    """Keep a memory open within the block, to be looked at only.

    Args:
        url: Its URL.

    Raises:
        CommandError: It cannot be reached or cannot list its workflows, or fails within the block.
    """
    check_shared(url)
    async with memory_for("look into", read_only_memory(url)) as memory:
        yield listed(memory)


def check_shared(url: str) -> None:
    """Check that a memory outlives its process, or there would be nothing to see.

    Raises:
        CommandError: It does not.
    """
    if scheme_of(url) == scheme_of(DEFAULT):
        raise CommandError(
            f"--memory {DEFAULT} is within one process, so it has no workflows of another one; give "
            "the URL of the memory that the workflows run over"
        )


def listed(memory: IMachineMemory) -> WorkflowMemory:
    """Return a memory as one that can list its workflows.

    Raises:
        CommandError: It cannot.
    """
    if not isinstance(memory, IWorkflowQueries):
        raise CommandError("this memory cannot list its workflows")
    return memory


async def page_of(
    memory: IWorkflowQueries, query: WorkflowQuery, *, after: str | None, limit: int
) -> WorkflowPage:
    """Return one page of workflows, newest first.

    Raises:
        CommandError: The memory cannot search by one of the fields, or `after` is no cursor of it.
    """
    try:
        return await memory.workflows(query, after=after, limit=limit)
    except ValueError as error:
        raise CommandError(one_line(error)) from error


async def active_workflows(memory: IWorkflowQueries) -> AsyncIterator[StoredWorkflow]:
    """Yield all workflows that have not ended, newest first."""
    async for workflow in all_pages(memory, WorkflowQuery(status=frozenset({"active"}))):
        yield workflow


async def all_pages(
    memory: IWorkflowQueries, query: WorkflowQuery
) -> AsyncIterator[StoredWorkflow]:
    """Yield all workflows of a query, newest first.

    Raises:
        ValueError: The memory cannot search by one of the fields.
    """
    after: str | None = None
    while True:
        page = await memory.workflows(query, after=after, limit=_MOST_AT_ONCE)
        for workflow in page.workflows:
            yield workflow
        after = page.next
        if after is None:
            return


async def workflow_named(memory: IWorkflowQueries, name: str) -> StoredWorkflow:
    """Return the workflow with a subject, or a key.

    Raises:
        RefusedError: There is none, or several have the key.
        CommandError: The name is empty, or no name.
    """
    if not name:
        raise CommandError("SUBJECT is empty; give the subject or the key of a workflow")
    found = await memory.workflow(name)
    if found is not None:
        return found
    try:
        query = WorkflowQuery(key=name)
    except ValueError as error:
        raise CommandError(one_line(error)) from error
    page = await page_of(memory, query, after=None, limit=_SHOWN_NAMESAKES)
    if len(page.workflows) == 1:
        return page.workflows[0]
    if not page.workflows:
        raise RefusedError(
            f"the memory has no workflow with the subject or key {name!r:.200}; it has not started, "
            "or was forgotten since: `arvo workflow list` shows those that are there"
        )
    more = " and more" if page.next else ""
    subjects = "".join(f"\n  {each.source}  {each.subject}" for each in page.workflows)
    raise RefusedError(
        f"several workflows have the key {name!r}; give the subject:{subjects}{more}"
    )


async def details_of(memory: IMachineMemory, workflow: StoredWorkflow) -> StoredDetails:
    """Return what the record of a workflow says about its failure and its timers.

    Raises:
        RefusedError: It was forgotten since it was listed.
        MachineMemoryError: The record cannot be read.
    """
    record = await memory.read(workflow.subject)
    if record is None:
        raise RefusedError(f"the workflow {workflow.key} was forgotten just now")
    return stored_details(record, subject=workflow.subject)
