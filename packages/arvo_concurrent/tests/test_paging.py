"""Paging loses nothing and shows nothing twice, whatever happens between two pages."""

import asyncio
from dataclasses import replace
from typing import Literal, TypeAlias

from hypothesis import given, strategies as st

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler.memory import WorkflowQuery, WorkflowStatus
from arvo_event_handler.testing import record_write
from arvo_time.testing import FakeClock

SUBJECTS = [f"order-{number}" for number in range(8)]

STATUSES: list[WorkflowStatus] = ["active", "done", "failure"]

# A step of a workflow with the status after it, or that it is forgotten.
Happening: TypeAlias = tuple[str, WorkflowStatus | Literal["gone"]]
happenings: st.SearchStrategy[list[Happening]] = st.lists(
    st.tuples(st.sampled_from(SUBJECTS), st.sampled_from([*STATUSES, "gone"])), max_size=4
)


class Workflows:
    """The workflows of a memory, and which of them a query is about."""

    def __init__(self, query: WorkflowQuery) -> None:
        self.memory = ConcurrentMachineMemory(clock=FakeClock())
        self._query = query
        # A workflow that was forgotten and begins again is another one.
        self.lives = dict.fromkeys(SUBJECTS, 0)
        self.matching: set[tuple[str, int]] = set()

    async def happens(self, subject: str, status: WorkflowStatus | Literal["gone"]) -> None:
        self.matching.discard((subject, self.lives[subject]))
        if status == "gone":
            await self.memory.cleanup(subject)
            self.lives[subject] += 1
            return
        await step(self.memory, subject, status)
        if status in self._query.statuses:
            self.matching.add((subject, self.lives[subject]))


async def step(memory: ConcurrentMachineMemory, subject: str, status: WorkflowStatus) -> None:
    lease = await memory.acquire(subject)
    assert lease is not None
    write = record_write({"status": status})
    await memory.commit(lease, replace(write, summary=replace(write.summary, status=status)))


@given(
    st.lists(st.sampled_from(STATUSES), min_size=3, max_size=len(SUBJECTS)),
    st.lists(st.tuples(st.integers(1, 2), happenings), max_size=8),
    st.sets(st.sampled_from(STATUSES)),
    st.booleans(),
)
def test_paging_shows_once_what_is_there_throughout(
    started: list[WorkflowStatus],
    pages: list[tuple[int, list[Happening]]],
    statuses: set[WorkflowStatus],
    oldest_first: bool,
) -> None:
    query = WorkflowQuery(status=statuses)

    async def page_through() -> None:
        workflows = Workflows(query)
        for subject, status in zip(SUBJECTS, started, strict=False):
            await workflows.happens(subject, status)
        throughout = set(workflows.matching)
        seen: list[tuple[str, int]] = []
        cursor: str | None = None
        for limit, meanwhile in [*pages, (1000, [])]:
            page = await workflows.memory.workflows(
                query, after=cursor, limit=limit, oldest_first=oldest_first
            )
            shown = [(each.subject, workflows.lives[each.subject]) for each in page.workflows]
            assert set(shown) <= workflows.matching
            seen += shown
            cursor = page.next
            if cursor is None:
                break
            for subject, now in meanwhile:
                await workflows.happens(subject, now)
                throughout &= workflows.matching
        assert len(seen) == len(set(seen))
        assert throughout <= set(seen)

    asyncio.run(page_through())
