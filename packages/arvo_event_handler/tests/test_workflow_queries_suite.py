"""The suite for queries passes on a correct memory and fails, by name, on broken ones."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Self

import pytest
from typing_extensions import override

from arvo_event_handler import MachineMemoryError, TransactionViolation
from arvo_event_handler.memory import (
    Record,
    RecordWrite,
    StoredWorkflow,
    WorkflowCount,
    WorkflowPage,
    WorkflowQuery,
)
from arvo_event_handler.testing import (
    ConnectLeasedMachineMemory,
    LetTimePass,
    WorkflowQueriesSuite,
    record_write,
)
from arvo_time.testing import FakeClock

from .queried_memory import QueriedMemory


class TestQueriedMemory(WorkflowQueriesSuite):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def memory(self, clock: FakeClock) -> QueriedMemory:
        return QueriedMemory(clock=clock)

    @pytest.fixture
    def connect(self, memory: QueriedMemory) -> ConnectLeasedMachineMemory:
        return lambda: nullcontext(memory.another_client())

    @pytest.fixture
    def let_pass(self, clock: FakeClock) -> LetTimePass:
        return clock.run_for


class MemoryWithoutTrees(QueriedMemory):
    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        query.check_answerable("this one", lacks={"root"})
        return super().found(query)


class TestAMemoryThatCannotSearchByRoot(TestQueriedMemory):
    lacks = frozenset({"root"})

    @override
    @pytest.fixture
    def memory(self, clock: FakeClock) -> QueriedMemory:
        return MemoryWithoutTrees(clock=clock)


# --- what is listed ---------------------------------------------------------


class ListsAnEmptyPageForEver(QueriedMemory):
    @override
    async def workflows(self, query: WorkflowQuery, **page: Any) -> WorkflowPage:
        found = await super().workflows(query, **page)
        return replace(found, next=found.next or "more")


class OrdersByLastStep(QueriedMemory):
    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        self._started += 1
        self._known[machine_id] = replace(self._known[machine_id], number=self._started)


class OrdersBySubject(QueriedMemory):
    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        for number, (_, found) in enumerate(
            sorted(super().found(query), key=lambda each: each[1].subject)
        ):
            yield number, found


class ListsWhatThisClientStored(QueriedMemory):
    @override
    def another_client(self) -> Self:
        other = super().another_client()
        other._known = {}
        return other


class IgnoresTheDirection(QueriedMemory):
    @override
    async def workflows(
        self, query: WorkflowQuery, *, oldest_first: bool = False, **page: Any
    ) -> WorkflowPage:
        return await super().workflows(query, **page)


class ListsLeases(QueriedMemory):
    """A row is a row."""

    @override
    def _take(self, machine_id: str, owner: str) -> str:
        if machine_id not in self._stored:
            self._store(machine_id, record_write({}), by=owner)
        return super()._take(machine_id, owner)


class ListsTheForgotten(QueriedMemory):
    @override
    def listed(self) -> Iterator[tuple[str, StoredWorkflow]]:
        stored = self._stored
        self._stored = {key: replace(each, forgotten_at=None) for key, each in stored.items()}
        yield from list(super().listed())
        self._stored = stored


class KeepsThePlaceOfALifeBefore(QueriedMemory):
    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        before = self._known.get(machine_id)
        super()._store(machine_id, write, by=by)
        if before is not None:
            known = replace(self._known[machine_id], number=before.number)
            self._known[machine_id] = known


# --- pages ------------------------------------------------------------------


class HasACursorWhenAPageIsFull(QueriedMemory):
    @override
    async def workflows(
        self, query: WorkflowQuery, *, limit: int = 50, **page: Any
    ) -> WorkflowPage:
        found = await super().workflows(query, limit=limit, **page)
        if found.next is None and len(found.workflows) == limit:
            return replace(found, next="full")
        return found


class RepeatsTheFirstPage(QueriedMemory):
    @override
    async def workflows(
        self, query: WorkflowQuery, *, after: str | None = None, **page: Any
    ) -> WorkflowPage:
        await super().workflows(query, after=after, **page)
        return await super().workflows(query, **page)


class UsesCursorsUp(QueriedMemory):
    def __init__(self, *, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self._used: set[str] = set()

    @override
    async def workflows(
        self, query: WorkflowQuery, *, after: str | None = None, **page: Any
    ) -> WorkflowPage:
        assert after not in self._used
        self._used.update(() if after is None else [after])
        return await super().workflows(query, after=after, **page)


class CountsPlaces(QueriedMemory):
    """A cursor says how many were shown, and what ends or starts meanwhile moves them."""

    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        for place, (_, found) in enumerate(sorted(super().found(query), key=lambda each: each[0])):
            yield place, found


# --- which ------------------------------------------------------------------


def ignoring(field: str) -> type[QueriedMemory]:
    """Make a memory that does not look at a field of the query."""

    class Ignores(QueriedMemory):
        @override
        def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
            ignored: Any = frozenset[str]() if field == "status" else None
            return super().found(replace(query, **{field: ignored}))

    Ignores.__name__ = f"Ignores_{field}"
    return Ignores


class FindsByTheFirstStatus(QueriedMemory):
    """That of the first commit."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        known = self._known.get(machine_id)
        super()._store(machine_id, write, by=by)
        if known is not None:
            summary = replace(write.summary, status=known.summary.status)
            self._known[machine_id] = replace(self._known[machine_id], summary=summary)


class FailsForGood(QueriedMemory):
    """Takes the status of a workflow that has ended for its last."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        known = self._known.get(machine_id)
        super()._store(machine_id, write, by=by)
        if known is not None and known.summary.finished:
            summary = replace(write.summary, status=known.summary.status)
            self._known[machine_id] = replace(self._known[machine_id], summary=summary)


class KnowsOneStatusAtATime(QueriedMemory):
    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        return super().found(replace(query, status=frozenset(sorted(query.status)[:1])))


class FindsSourcesThatBeginSo(QueriedMemory):
    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        for each in super().found(replace(query, source=None)):
            if each[1].source.startswith(query.source or ""):
                yield each


class HasOneWorkflowAKey(QueriedMemory):
    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        found = list(super().found(query))
        return iter(found if query.key is None else found[-1:])


class TakesTheRootFromTheCommit(QueriedMemory):
    @override
    def listed(self) -> Iterator[tuple[str, StoredWorkflow]]:
        for subject, workflow in super().listed():
            yield subject, replace(workflow, root=self._known[subject].summary.root)


class LooksForTheRootAtEachStep(QueriedMemory):
    """And the parent is forgotten by then."""

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        super()._store(machine_id, write, by=by)
        parent = write.summary.parent
        if parent is not None and self._current(parent) is None:
            self._known[machine_id] = replace(self._known[machine_id], root=parent)


class LeavesOutTheRoot(QueriedMemory):
    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        for each in super().found(query):
            if each[1].subject != query.root:
                yield each


class FindsPartsOfTypes(QueriedMemory):
    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        for each in super().found(replace(query, waits_for=None)):
            if (query.waits_for or "") in " ".join(each[1].waits_for):
                yield each


class FindsPartsOfErrors(QueriedMemory):
    @override
    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        for each in super().found(replace(query, error=None)):
            if (query.error or "") in (each[1].error or ""):
                yield each


class TakesTheLastStepForTheStart(QueriedMemory):
    @override
    def listed(self) -> Iterator[tuple[str, StoredWorkflow]]:
        for subject, workflow in super().listed():
            yield subject, replace(workflow, created_at=workflow.updated_at)


class TakesTheStartForTheLastStep(QueriedMemory):
    @override
    def listed(self) -> Iterator[tuple[str, StoredWorkflow]]:
        for subject, workflow in super().listed():
            yield subject, replace(workflow, updated_at=workflow.created_at)


# --- counts and facts -------------------------------------------------------


class CountsOnePage(QueriedMemory):
    @override
    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        found = await super().count(query, at_most=at_most)
        return replace(found, exact=found.value < at_most)


class CountsAll(QueriedMemory):
    @override
    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        return await super().count(query, at_most=max(at_most, 1000))


class ShowsNoError(QueriedMemory):
    @override
    def listed(self) -> Iterator[tuple[str, StoredWorkflow]]:
        for subject, workflow in super().listed():
            yield subject, replace(workflow, error=None)


class ShowsWhoeverHeldItLast(QueriedMemory):
    @override
    def leased_until(self, subject: str) -> Any:
        held = self._held.get(subject)
        return None if held is None else held.until


class ShowsNoLease(QueriedMemory):
    @override
    def leased_until(self, subject: str) -> None:
        return None


class KnowsCommitsOnly(QueriedMemory):
    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id, record, previous)
        summary = record_write(record).summary
        self._known[machine_id] = replace(self._known[machine_id], summary=summary)


# --- bad input --------------------------------------------------------------


class TakesAnyLimit(QueriedMemory):
    @override
    async def workflows(
        self, query: WorkflowQuery, *, limit: int = 50, **page: Any
    ) -> WorkflowPage:
        return await super().workflows(query, limit=min(max(limit, 1), 1000), **page)


class CountsUpToAnything(QueriedMemory):
    @override
    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        return await super().count(query, at_most=max(at_most, 1))


class BeginsAnewAtACursorItCannotRead(QueriedMemory):
    @override
    async def workflows(
        self, query: WorkflowQuery, *, after: str | None = None, **page: Any
    ) -> WorkflowPage:
        try:
            return await super().workflows(query, after=after, **page)
        except ValueError as error:
            if "after" not in str(error):
                raise
            return await super().workflows(query, **page)


class TakesAnyQuery(QueriedMemory):
    @override
    async def workflows(self, query: WorkflowQuery, **page: Any) -> WorkflowPage:
        given: object = query
        return await super().workflows(
            given if isinstance(given, WorkflowQuery) else WorkflowQuery(), **page
        )


class TakesAnySubject(QueriedMemory):
    @override
    async def workflow(self, subject: str) -> StoredWorkflow | None:
        return await super().workflow(subject) if subject else None


BROKEN: dict[str, list[type[QueriedMemory]]] = {
    "test_an_empty_memory_lists_nothing": [ListsAnEmptyPageForEver],
    "test_workflows_are_listed_by_start_newest_first": [
        OrdersByLastStep,
        OrdersBySubject,
        ListsWhatThisClientStored,
    ],
    "test_the_oldest_can_come_first": [IgnoresTheDirection],
    "test_a_workflow_that_was_never_written_is_not_listed": [ListsLeases],
    "test_a_forgotten_workflow_is_not_listed": [ListsTheForgotten, KeepsThePlaceOfALifeBefore],
    "test_pages_follow_each_other": [HasACursorWhenAPageIsFull, RepeatsTheFirstPage],
    "test_a_cursor_serves_other_clients": [UsesCursorsUp],
    "test_paging_shows_once_what_is_there_throughout": [CountsPlaces, OrdersByLastStep],
    "test_workflows_are_found_by_status": [
        FindsByTheFirstStatus,
        FailsForGood,
        KnowsOneStatusAtATime,
        ignoring("status"),
    ],
    "test_workflows_are_found_by_source": [FindsSourcesThatBeginSo, ignoring("source")],
    "test_workflows_are_found_by_key": [HasOneWorkflowAKey, ignoring("key")],
    "test_workflows_are_found_by_root": [
        TakesTheRootFromTheCommit,
        LooksForTheRootAtEachStep,
        LeavesOutTheRoot,
        MemoryWithoutTrees,
    ],
    "test_workflows_are_found_by_what_they_wait_for": [FindsPartsOfTypes, ignoring("waits_for")],
    "test_workflows_are_found_by_their_error": [FindsPartsOfErrors, ignoring("error")],
    "test_workflows_are_found_by_their_start": [
        TakesTheLastStepForTheStart,
        ignoring("started_after"),
        ignoring("started_before"),
    ],
    "test_workflows_are_found_by_their_last_step": [
        TakesTheStartForTheLastStep,
        ignoring("no_step_since"),
    ],
    "test_all_of_a_query_must_apply": [
        ignoring("status"),
        ignoring("source"),
        ignoring("key"),
        ignoring("started_after"),
    ],
    "test_counting_ends_at_the_bound": [CountsOnePage, CountsAll],
    "test_a_workflow_shows_what_its_last_commit_said": [ShowsNoError, TakesTheLastStepForTheStart],
    "test_a_workflow_shows_until_when_it_is_leased": [ShowsWhoeverHeldItLast, ShowsNoLease],
    "test_a_bare_write_is_listed_by_what_its_record_says": [KnowsCommitsOnly],
    "test_a_wrong_limit_is_refused": [TakesAnyLimit, CountsUpToAnything],
    "test_a_cursor_that_is_not_of_this_listing_is_refused": [BeginsAnewAtACursorItCannotRead],
    "test_a_query_that_is_none_is_refused": [TakesAnyQuery],
    "test_an_empty_subject_is_refused_by_workflow": [TakesAnySubject],
}


def test_every_behaviour_has_a_memory_that_breaks_it() -> None:
    behaviours = {name for name in dir(WorkflowQueriesSuite) if name.startswith("test_")}
    assert {name for name, memories in BROKEN.items() if memories} == behaviours


@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        pytest.param(behaviour, memory, id=f"{behaviour}-{memory.__name__}")
        for behaviour, memories in BROKEN.items()
        for memory in memories
    ],
)
async def test_a_broken_memory_fails_by_name(behaviour: str, broken: type[QueriedMemory]) -> None:
    clock = FakeClock()
    memory = broken(clock=clock)
    fixtures: dict[str, object] = {
        "memory": memory,
        "connect": lambda: nullcontext(memory.another_client()),
        "let_pass": clock.run_for,
    }
    test: Callable[..., Awaitable[None]] = getattr(WorkflowQueriesSuite(), behaviour)
    wanted = {name: fixtures[name] for name in inspect.signature(test).parameters}
    with pytest.raises((AssertionError, MachineMemoryError, TransactionViolation, ValueError)):
        await test(**wanted)
