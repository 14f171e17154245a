"""What every machine memory that answers queries must do, as tests to subclass."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any, ClassVar, Final, Protocol

from arvo_core import ArvoOrchestrationSubject
from arvo_event_handler import TransactionViolationCause
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    IWorkflowQueries,
    RecordWrite,
    StoredWorkflow,
    WorkflowCount,
    WorkflowPage,
    WorkflowQuery,
    WorkflowStatus,
    WorkflowSummary,
)

from ._contention import ConnectLeasedMachineMemory, LetTimePass, after_ttl, granted
from ._refusal import refused_with, refuses

_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_ALL: Final = WorkflowQuery()
_EVERY: Final = frozenset[WorkflowStatus](("active", "done", "failure"))


class QueriedMachineMemory(ILeasedMachineMemory, IWorkflowQueries, Protocol):
    """A memory with leases that answers queries."""


class WorkflowQueriesSuite:
    """What every `IWorkflowQueries` must do, one test for each promise.

    Subclass it beside `LeasedMachineMemorySuite` and supply the same three fixtures. `let_pass` also
    has to move starts and steps: if it makes data older, then the time of each start and of each
    latest step too. It is asked for minutes, so it must not really wait. Name in `lacks` the fields of `WorkflowQuery` by which your memory cannot search.

    Example:
        ```python
        class TestMyQueries(WorkflowQueriesSuite):
            lacks = frozenset({"root"})

            @pytest.fixture
            async def memory(self, connect: ConnectLeasedMachineMemory) -> AsyncIterator[MyMemory]:
                async with connect() as memory:
                    yield memory
        ```
    """

    lacks: ClassVar[frozenset[str]] = frozenset()
    """The fields by which the memory cannot search."""

    # --- what is listed -----------------------------------------------------

    async def test_an_empty_memory_lists_nothing(self, memory: QueriedMachineMemory) -> None:
        """And says at `isinstance` that it can be asked."""
        assert isinstance(memory, IWorkflowQueries)
        assert await memory.workflows(_ALL) == WorkflowPage(workflows=(), next=None)
        assert await memory.count(_ALL) == WorkflowCount(value=0, exact=True)
        assert await memory.workflow("order-7") is None

    async def test_workflows_are_listed_by_start_newest_first(
        self, memory: QueriedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """A later step moves no workflow. All clients list the same."""
        for subject in ["b", "c", "a"]:
            await _step(memory, subject)
        await _step(memory, "b")
        await _step(memory, "c", status="done")
        async with connect() as other:
            assert isinstance(other, IWorkflowQueries)
            for client in [memory, other]:
                assert await _subjects(client) == ["a", "c", "b"]

    async def test_the_oldest_can_come_first(self, memory: QueriedMachineMemory) -> None:
        """In the reverse order, with or without a status."""
        for subject in ["b", "c", "a"]:
            await _step(memory, subject)
        for query in [_ALL, WorkflowQuery(status={"active"}), WorkflowQuery(status=_EVERY)]:
            assert await _subjects(memory, query, oldest_first=True) == ["b", "c", "a"]

    async def test_a_workflow_that_was_never_written_is_not_listed(
        self, memory: QueriedMachineMemory
    ) -> None:
        """A lease is not a workflow."""
        await granted(memory, "a")
        assert await _subjects(memory) == []
        assert (await memory.count(_ALL)).value == 0
        assert await memory.workflow("a") is None

    async def test_a_forgotten_workflow_is_not_listed(
        self, memory: QueriedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """If it begins again, it is the newest."""
        await _step(memory, "a", expires_in=_MINUTE, status="done")
        await _step(memory, "b", status="done")
        assert await _subjects(memory) == ["b", "a"]
        await let_pass(_MINUTE * 1.5)
        for query in [_ALL, WorkflowQuery(status={"done"}), WorkflowQuery(key="key-a")]:
            assert "a" not in await _subjects(memory, query)
        assert (await memory.count(_ALL)).value == 1
        assert await memory.workflow("a") is None
        await _step(memory, "a")
        assert await _subjects(memory) == ["a", "b"]

    # --- pages --------------------------------------------------------------

    async def test_pages_follow_each_other(self, memory: QueriedMachineMemory) -> None:
        """In both directions, of any size; the last one has no cursor, even when it is full."""
        subjects = [f"order-{number}" for number in range(6)]
        for subject in subjects:
            await _step(memory, subject)
        for oldest_first, expected in [(True, subjects), (False, subjects[::-1])]:
            for limit in [1, 2, 4, 6, 7]:
                pages = await _pages(memory, limit=limit, oldest_first=oldest_first)
                assert [subject for page in pages for subject in page] == expected
                assert [len(page) for page in pages] == [
                    min(limit, 6 - start) for start in range(0, 6, limit)
                ]

    async def test_a_cursor_serves_other_clients(
        self, memory: QueriedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """And again: it holds nothing that is used up."""
        for subject in ["a", "b", "c"]:
            await _step(memory, subject)
        cursor = (await memory.workflows(_ALL, limit=1)).next
        async with connect() as other:
            assert isinstance(other, IWorkflowQueries)
            for client in [memory, other, memory]:
                page = await client.workflows(_ALL, after=cursor)
                assert [workflow.subject for workflow in page.workflows] == ["b", "a"]

    async def test_paging_shows_once_what_is_there_throughout(
        self, memory: QueriedMachineMemory
    ) -> None:
        """Whatever starts, steps and ends between two pages."""
        random = Random(7)  # noqa: S311 - the same workflows in every run
        for oldest_first in [False, True]:
            for query in [_ALL, WorkflowQuery(status={"active", "failure"})]:
                before = [f"{random.random()}" for _ in range(12)]
                for subject in before:
                    await _step(memory, subject)
                throughout = set(before)
                seen: list[str] = []
                cursor: str | None = None
                while True:
                    page = await memory.workflows(
                        query, after=cursor, limit=3, oldest_first=oldest_first
                    )
                    seen += [workflow.subject for workflow in page.workflows]
                    cursor = page.next
                    if cursor is None:
                        break
                    one, ends, fails = random.sample(before, 3)
                    await _step(memory, one)
                    await _step(memory, fails, status="failure")
                    await _step(memory, ends, status="done")
                    throughout.discard(ends)
                    if not oldest_first:  # from the oldest on, the new ones would never end
                        await _step(memory, f"{random.random()}")
                assert len(seen) == len(set(seen))
                assert throughout <= set(seen)

    # --- which --------------------------------------------------------------

    async def test_workflows_are_found_by_status(self, memory: QueriedMachineMemory) -> None:
        """By that of their last commit, and by several; None named means all."""
        ends: list[WorkflowStatus] = ["active", "done", "failure", "active"]
        for status in ends:
            subject = f"{status}-{len(await _subjects(memory))}"
            await _step(memory, subject)
            await _step(memory, subject, status=status)
        # A failure can be taken back.
        await _step(memory, "active-3", status="failure")
        await _step(memory, "active-3")
        expected: list[tuple[set[WorkflowStatus], list[str]]] = [
            ({"active"}, ["active-3", "active-0"]),
            ({"done"}, ["done-1"]),
            ({"failure"}, ["failure-2"]),
            ({"active", "failure"}, ["active-3", "failure-2", "active-0"]),
            ({"done", "failure"}, ["failure-2", "done-1"]),
            (set(_EVERY), ["active-3", "failure-2", "done-1", "active-0"]),
            (set(), ["active-3", "failure-2", "done-1", "active-0"]),
        ]
        for statuses, subjects in expected:
            query = WorkflowQuery(status=statuses)
            assert await _subjects(memory, query) == subjects
            assert (await memory.count(query)).value == len(subjects)
            pages = await _pages(memory, query, limit=1)
            assert [subject for page in pages for subject in page] == subjects

    async def test_workflows_are_found_by_source(self, memory: QueriedMachineMemory) -> None:
        """With and without a status."""
        await _step(memory, "a", source="com.a", status="done")
        await _step(memory, "b", source="com.b")
        await _step(memory, "c", source="com.a")
        assert await _subjects(memory, WorkflowQuery(source="com.a")) == ["c", "a"]
        assert await _subjects(memory, WorkflowQuery(source="com.b")) == ["b"]
        assert await _subjects(memory, WorkflowQuery(source="com")) == []
        done = WorkflowQuery(source="com.a", status={"done"})
        assert await _subjects(memory, done) == ["a"]

    async def test_workflows_are_found_by_key(self, memory: QueriedMachineMemory) -> None:
        """Several may have the same one."""
        await _step(memory, "a", key="order-7")
        await _step(memory, "b", key="order-8")
        await _step(memory, "c", key="order-7")
        assert await _subjects(memory, WorkflowQuery(key="order-7")) == ["c", "a"]
        assert await _subjects(memory, WorkflowQuery(key="c")) == []

    async def test_workflows_are_found_by_root(
        self, memory: QueriedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """The root itself and all below it, at every depth, also once a parent is forgotten."""
        if await self._refuses(memory, "root", WorkflowQuery(root="top")):
            return
        await _step(memory, "top")
        await _step(memory, "child", parent="top", expires_in=_MINUTE)
        await _step(memory, "other")
        await _step(memory, "grandchild", parent="child")
        await let_pass(_MINUTE * 1.5)
        await _step(memory, "grandchild", parent="child")
        await _step(memory, "orphan", parent="elsewhere")
        assert await _subjects(memory, WorkflowQuery(root="top")) == ["grandchild", "top"]
        assert await _subjects(memory, WorkflowQuery(root="elsewhere")) == ["orphan"]
        assert await _subjects(memory, WorkflowQuery(root="child")) == []

    async def test_workflows_are_found_by_what_they_wait_for(
        self, memory: QueriedMachineMemory
    ) -> None:
        """By any one of the types, as of the last commit, and not by a part of one."""
        if await self._refuses(memory, "waits_for", WorkflowQuery(waits_for="evt.pay.done")):
            return
        await _step(memory, "a", waits_for=("evt.pay.done", "timer"))
        await _step(memory, "b", waits_for=("evt.pay.done.late",))
        await _step(memory, "c", waits_for=("evt.pay.done",))
        await _step(memory, "c")
        assert await _subjects(memory, WorkflowQuery(waits_for="evt.pay.done")) == ["a"]
        assert await _subjects(memory, WorkflowQuery(waits_for="timer")) == ["a"]

    async def test_workflows_are_found_by_their_error(self, memory: QueriedMachineMemory) -> None:
        """By its name, whole."""
        if await self._refuses(memory, "error", WorkflowQuery(error="KeyError")):
            return
        await _step(memory, "a", status="failure", error="KeyError")
        await _step(memory, "b", status="failure", error="ValueError")
        assert await _subjects(memory, WorkflowQuery(error="KeyError")) == ["a"]
        assert await _subjects(memory, WorkflowQuery(error="Error")) == []

    async def test_workflows_are_found_by_their_start(
        self, memory: QueriedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Later and earlier than a time, not at it; in any zone."""
        for subject in ["a", "b", "c"]:
            await _step(memory, subject)
            await let_pass(_MINUTE)
        await _step(memory, "a")
        b = (await _known(memory, "b")).created_at.astimezone()
        assert await _subjects(memory, WorkflowQuery(started_after=b)) == ["c"]
        assert await _subjects(memory, WorkflowQuery(started_before=b)) == ["a"]
        around = WorkflowQuery(started_after=b - _SECOND, started_before=b + _SECOND)
        assert await _subjects(memory, around) == ["b"]

    async def test_workflows_are_found_by_their_last_step(
        self, memory: QueriedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Those that made none since a time."""
        if await self._refuses(memory, "no_step_since", WorkflowQuery(no_step_since=_now())):
            return
        for subject in ["a", "b"]:
            await _step(memory, subject)
        await let_pass(_MINUTE)
        await _step(memory, "a")
        a = (await _known(memory, "a")).updated_at
        assert await _subjects(memory, WorkflowQuery(no_step_since=a)) == ["b"]

    async def test_all_of_a_query_must_apply(self, memory: QueriedMachineMemory) -> None:
        """Each part alone finds more."""
        await _step(memory, "a", source="com.a", key="one", status="done")
        await _step(memory, "b", source="com.a", key="one")
        await _step(memory, "c", source="com.b", key="one", status="done")
        await _step(memory, "d", source="com.a", key="two", status="done")
        query = WorkflowQuery(source="com.a", key="one", status={"done"})
        assert await _subjects(memory, query) == ["a"]
        assert await memory.count(query) == WorkflowCount(value=1, exact=True)
        latest = (await _known(memory, "d")).created_at
        assert await _subjects(memory, replace(query, started_after=latest)) == []

    # --- counts -------------------------------------------------------------

    async def test_counting_ends_at_the_bound(self, memory: QueriedMachineMemory) -> None:
        """And says whether that was all."""
        for number in range(5):
            await _step(memory, f"{number}", status="done" if number else "active")
        for query, total in [(_ALL, 5), (WorkflowQuery(status={"done", "failure"}), 4)]:
            for at_most in [1, total - 1, total, total + 1]:
                assert await memory.count(query, at_most=at_most) == WorkflowCount(
                    value=min(at_most, total), exact=at_most >= total
                )

    # --- one workflow -------------------------------------------------------

    async def test_a_workflow_shows_what_its_last_commit_said(
        self, memory: QueriedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """All of it, by subject and in the listing; the start stays."""
        since = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
        await _step(memory, "top")
        await _step(memory, "a", parent="top")
        first = await _known(memory, "a")
        await let_pass(_MINUTE)
        summary = replace(
            _SUMMARY,
            status="failure",
            finished=True,
            key="a key with \u00fcnicode",
            parent="top",
            root="top",
            waits_for=("evt.pay.done", "evt.ship.done"),
            waits_since=since,
            due=since + _MINUTE,
            error="PaymentError",
        )
        await _commit(memory, "a", summary, expires_in=_MINUTE)
        shown = await _known(memory, "a")
        said = asdict(shown)
        assert {name: said[name] for name in asdict(summary)} == asdict(summary)
        assert (shown.subject, shown.record_version) == ("a", 2)
        assert abs(shown.created_at - (first.created_at)) < _MINUTE * 2
        assert shown.created_at <= shown.updated_at - _MINUTE
        assert shown.expires_at is not None
        assert abs(shown.expires_at - shown.updated_at - _MINUTE) < _SECOND
        assert (first.record_version, first.expires_at, first.error) == (1, None, None)
        assert (await memory.workflows(WorkflowQuery(status={"failure"}))).workflows == (shown,)

    async def test_a_workflow_shows_until_when_it_is_leased(
        self, memory: QueriedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """None when it is not, or when the lease expired."""
        await _step(memory, "a")
        assert (await _known(memory, "a")).lease_until is None
        lease = await granted(memory, "a")
        leased = await _known(memory, "a")
        assert leased.lease_until is not None
        assert leased.lease_until > leased.updated_at
        await memory.release(lease)
        assert (await _known(memory, "a")).lease_until is None
        await granted(memory, "a")
        await after_ttl(memory, let_pass=let_pass)
        assert (await _known(memory, "a")).lease_until is None

    async def test_a_bare_write_is_listed_by_what_its_record_says(
        self, memory: QueriedMachineMemory
    ) -> None:
        """An imported workflow is found like any other."""
        subject = ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.order", version="1.2.3", initiator="com.app.main"
        )
        await memory.write(
            subject,
            {"executionStatus": "normal", "status": "done", "initEventId": "order-0297"},
            None,
        )
        await memory.write("no-orchestration-subject", {"count": 1}, None)
        query = WorkflowQuery(status={"done"}, source="arvo.orc.order", key="order-0297")
        assert await _subjects(memory, query) == [subject]
        shown = await _known(memory, subject)
        assert (shown.version, shown.initiator, shown.root) == ("1.2.3", "com.app.main", subject)
        assert (await _known(memory, "no-orchestration-subject")).status == "active"

    # --- bad input ----------------------------------------------------------

    async def test_a_wrong_limit_is_refused(self, memory: QueriedMachineMemory) -> None:
        """By name, for pages and for counts."""
        for limit in [0, -1, 1001]:
            await refused_with(memory.workflows(_ALL, limit=limit), "limit", error=ValueError)
        for at_most in [0, -1]:
            await refused_with(memory.count(_ALL, at_most=at_most), "at_most", error=ValueError)

    async def test_a_cursor_that_is_not_of_this_listing_is_refused(
        self, memory: QueriedMachineMemory
    ) -> None:
        """Of another memory, for the other direction, altered, or not a cursor at all."""
        for subject in ["a", "b", "c"]:
            await _step(memory, subject)
        cursor = (await memory.workflows(_ALL, limit=1)).next
        assert cursor is not None
        await refused_with(
            memory.workflows(_ALL, after=cursor, oldest_first=True), "after", error=ValueError
        )
        altered = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
        for text in ["", "0", "\u00fc", "a b", cursor[:-1], cursor + "A", altered, "a" * 10_000]:
            await refused_with(memory.workflows(_ALL, after=text), "after", error=ValueError)

    async def test_a_query_that_is_none_is_refused(self, memory: QueriedMachineMemory) -> None:
        """Before anything is asked."""
        no_query: Any = {"status": "active"}
        await refused_with(memory.workflows(no_query), "query", error=TypeError)
        await refused_with(memory.count(no_query), "query", error=TypeError)

    async def test_an_empty_subject_is_refused_by_workflow(
        self, memory: QueriedMachineMemory
    ) -> None:
        """With a cause saying that a retry cannot help."""
        with refuses(TransactionViolationCause.INVALID_SUBJECT, by="workflow"):
            await memory.workflow("")

    async def _refuses(
        self, memory: QueriedMachineMemory, field: str, query: WorkflowQuery
    ) -> bool:
        """Return whether the memory cannot search by a field, and check that it says so."""
        if field not in self.lacks:
            return False
        await refused_with(memory.workflows(query), field, error=ValueError)
        await refused_with(memory.count(query), field, error=ValueError)
        return True


_SUMMARY: Final = WorkflowSummary(
    status="active",
    finished=False,
    source="suite.order",
    key="order-7",
    version="1.0.0",
    initiator="com.suite.main",
    root="order-7",
)


async def _step(
    memory: ILeasedMachineMemory,
    subject: str,
    *,
    status: WorkflowStatus = "active",
    source: str = "suite.order",
    key: str | None = None,
    parent: str | None = None,
    waits_for: tuple[str, ...] = (),
    error: str | None = None,
    expires_in: timedelta | None = None,
) -> None:
    """Commit a step of a workflow."""
    summary = replace(
        _SUMMARY,
        status=status,
        finished=status != "active",
        source=source,
        key=key or f"key-{subject}",
        parent=parent,
        root=parent or subject,
        waits_for=waits_for,
        error=error,
    )
    await _commit(memory, subject, summary, expires_in=expires_in)


async def _commit(
    memory: ILeasedMachineMemory,
    subject: str,
    summary: WorkflowSummary,
    *,
    expires_in: timedelta | None,
) -> None:
    lease = await granted(memory, subject)
    record = {"status": summary.status}
    await memory.commit(
        lease, RecordWrite(record={**record}, summary=summary, expires_in=expires_in)
    )


async def _known(memory: IWorkflowQueries, subject: str) -> StoredWorkflow:
    workflow = await memory.workflow(subject)
    assert workflow is not None, f"workflow({subject!r}) must return a workflow that is stored"
    return workflow


async def _subjects(
    memory: IWorkflowQueries, query: WorkflowQuery = _ALL, *, oldest_first: bool = False
) -> list[str]:
    page = await memory.workflows(query, oldest_first=oldest_first)
    for one, next_one in pairwise(page.workflows):
        assert (one.created_at <= next_one.created_at) or not oldest_first
    return [workflow.subject for workflow in page.workflows]


async def _pages(
    memory: IWorkflowQueries,
    query: WorkflowQuery = _ALL,
    *,
    limit: int,
    oldest_first: bool = False,
) -> Sequence[Sequence[str]]:
    pages: list[list[str]] = []
    cursor: str | None = None
    while len(pages) < 100:
        page = await memory.workflows(query, after=cursor, limit=limit, oldest_first=oldest_first)
        pages.append([workflow.subject for workflow in page.workflows])
        cursor = page.next
        if cursor is None:
            return pages
    raise AssertionError("workflows must come to a page without a cursor")


def _now() -> datetime:
    return datetime.now(UTC)
