"""What every machine memory that keeps a history must do, as tests to subclass."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Final, Protocol

from arvo_event_handler import (
    TransactionViolationCause,
    UnreadableRecordError,
)
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    IStepHistory,
    StoredStep,
)

from ._committed_journal import Commit, CommittedJournal
from ._contention import ConnectLeasedMachineMemory, LetTimePass, granted
from ._counted_steps import TOOK, CountedSteps
from ._refusal import refused_with, refuses

_MINUTE: Final = timedelta(minutes=1)
_MANY: Final = 150
_MOST_TIMES: Final = 64
# As a workflow does it that goes on for long: chunks are freed twice.
_LONG: Final[tuple[Commit, ...]] = (
    "tail",
    "tail",
    "chunk",
    "tail",
    "base",
    "chunk",
    "tail",
    "base",
)


class HistoricMachineMemory(ILeasedMachineMemory, IStepHistory, Protocol):
    """A memory with leases that keeps a history."""

    async def cleanup(self, machine_id: str) -> object:
        """Forget a workflow immediately."""
        ...


class StepHistorySuite:
    """What every `IStepHistory` must do, one test for each promise.

    Subclass it beside `LeasedMachineMemorySuite` and supply the same three fixtures, with `memory` and
    what `connect` opens made with `history=StepHistorySuite.history`. A fourth one, `forgetful`, is a
    memory without history; it may share the data of `memory` or have its own. If `let_pass` makes data
    older, then the times at which chunks were freed too. It is asked for an hour, so it must not really
    wait.

    Example:
        ```python
        class TestMyHistory(StepHistorySuite):
            @pytest.fixture
            async def memory(self) -> AsyncIterator[MyMemory]:
                async with MyMemory.connect(history=self.history) as memory:
                    yield memory
        ```
    """

    history: ClassVar[timedelta] = timedelta(hours=1)
    """For how long the memory must keep what nobody needs any more."""

    # --- what is shown ------------------------------------------------------

    async def test_a_workflow_that_is_not_stored_has_no_steps(
        self, memory: HistoricMachineMemory
    ) -> None:
        """Nor has one that is leased and was never written. The memory says that it keeps a history."""
        assert isinstance(memory, IStepHistory)
        assert memory.history == self.history
        await granted(memory, "order-7")
        assert await memory.steps("order-7") == []
        assert await memory.steps("order-8", after=-3) == []
        assert await memory.times(["order-7", "order-8"]) == {"order-7": [], "order-8": []}
        assert await memory.times([]) == {}

    async def test_a_workflow_is_shown_step_by_step(self, memory: HistoricMachineMemory) -> None:
        """Each step with its events, when it was stored, how long it took, and what it led to."""
        workflow = CountedSteps(memory)
        await workflow.run(5, until=4)
        steps = await memory.steps(workflow.subject)
        assert [step.number for step in steps] == [1, 2, 3, 4]
        assert [step.version for step in steps] == [1, 2, 3, 4]
        assert [step.at for step in steps] == workflow.stored
        assert [step.took for step in steps] == [TOOK] * 4
        assert [_count(step) for step in steps] == [1, 2, 3, 4]
        assert {(step.has_state, step.error, step.state) for step in steps} == {(True, None, None)}
        for step, (event, emitted) in zip(steps, workflow.handled, strict=True):
            assert step.consumed == event.to_dict()
            assert [*step.produced] == [each.to_dict() for each in emitted]

    async def test_a_step_is_shown_after_each_commit(
        self, memory: HistoricMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """However it was written, and to other clients too."""
        journal = CommittedJournal("order-7", history=True)
        async with connect() as other:
            assert isinstance(other, IStepHistory)
            for how in _LONG:
                await journal.commit(memory, how)
                assert await memory.steps("order-7") == journal.entries
                assert await other.steps("order-7") == journal.entries

    async def test_a_large_state_is_measured_and_not_kept(
        self, memory: HistoricMachineMemory
    ) -> None:
        """Above 16 KiB. That of the latest step is shown anyway: the record has it."""
        workflow = CountedSteps(memory)
        workflow.note = "x" * 17 * 1024
        await workflow.run(9, until=2)
        first, latest = await memory.steps(workflow.subject)
        assert (first.has_state, first.context) == (False, None)
        assert first.state_bytes is not None
        assert 17 * 1024 < first.state_bytes < 18 * 1024
        assert (latest.has_state, latest.state_bytes, _count(latest)) == (True, None, 2)
        workflow.note = "short"
        await workflow.go_on()
        assert [step.has_state for step in await memory.steps(workflow.subject)] == [
            False,
            False,
            True,
        ]

    async def test_a_refused_commit_shows_no_step(self, memory: HistoricMachineMemory) -> None:
        """A step that is shown was committed."""
        journal = CommittedJournal("order-7", history=True)
        stale = await granted(memory)
        await memory.release(stale)
        refused = CommittedJournal("order-7", history=True).write(stale, "chunk")
        await journal.commit(memory, "chunk")
        with refuses(TransactionViolationCause.VERSION_MOVED, by="commit"):
            await memory.commit(stale, refused)
        await journal.commit(memory, "tail")
        assert await memory.steps("order-7") == journal.entries

    async def test_a_repeated_commit_shows_its_step_once(
        self, memory: HistoricMachineMemory
    ) -> None:
        """Also one that frees what was before, or ends the workflow."""
        journal = CommittedJournal("order-7", history=True)
        commits: tuple[Commit, ...] = ("chunk", "base", "tail", "end")
        for how in commits:
            lease = await granted(memory)
            write = journal.write(lease, how)
            for _ in range(2):
                await memory.commit(lease, write)
            assert await memory.steps("order-7") == journal.entries

    # --- pages --------------------------------------------------------------

    async def test_steps_come_in_pages(self, memory: HistoricMachineMemory) -> None:
        """After a step, of any length; a negative number counts from the end."""
        journal = await _committed(memory, *_LONG)
        steps = journal.entries
        for after in range(len(steps) + 2):
            for limit in [1, 3, 200]:
                page = await memory.steps("order-7", after=after, limit=limit)
                assert page == steps[after : after + limit]
        for last in range(1, len(steps) + 2):
            assert await memory.steps("order-7", after=-last) == steps[-last:]
        assert await memory.steps("order-7", after=-5, limit=2) == steps[-5:-3]

    async def test_pages_go_back_through_any_number_of_chunks(
        self, memory: HistoricMachineMemory
    ) -> None:
        """Those of a long workflow are not read all together."""
        journal = CommittedJournal("order-7", history=True)
        for number in range(_MANY):
            await journal.commit(memory, "base" if number % 40 == 39 else "chunk")
        await journal.commit(memory, "tail")
        steps = journal.entries
        assert await memory.steps("order-7") == steps
        assert await memory.steps("order-7", limit=2) == steps[:2]
        assert await memory.steps("order-7", after=70, limit=20) == steps[70:90]
        assert await memory.steps("order-7", after=-2) == steps[-2:]
        assert await memory.steps("order-7", after=-140, limit=1) == steps[-140:-139]

    # --- failures -----------------------------------------------------------

    async def test_a_failed_step_is_shown_until_its_retry(
        self, memory: HistoricMachineMemory
    ) -> None:
        """With what was raised, and where the workflow stood before; then its retry has its place."""
        workflow = CountedSteps(memory)
        await workflow.run(5, until=2)
        workflow.fails = True
        await workflow.go_on()
        *_, before, failed = await memory.steps(workflow.subject)
        error: Any = failed.error
        assert (failed.number, failed.version) == (3, 3)
        assert (error["name"], error["message"]) == ("LookupError", "no number")
        assert failed.consumed == workflow.handled[-1][0].to_dict()
        assert [*failed.produced] == [each.to_dict() for each in workflow.handled[-1][1]]
        assert _count(failed) == _count(before) == 2
        assert before.error is None
        assert failed.at is not None
        workflow.fails = False
        emitted = await workflow.retry()
        steps = await memory.steps(workflow.subject)
        assert [(step.number, step.error) for step in steps] == [(1, None), (2, None), (3, None)]
        assert [*steps[-1].produced] == [each.to_dict() for each in emitted]

    async def test_a_failed_step_has_its_place_in_pages(
        self, memory: HistoricMachineMemory
    ) -> None:
        """As the last one; also of a workflow whose first step failed."""
        journal = await _committed(memory, "chunk", "tail", "failed")
        numbers = [(0, 2, [1, 2]), (2, 200, [3]), (3, 200, []), (-1, 200, [3]), (-2, 200, [2, 3])]
        for after, limit, expected in numbers:
            page = await memory.steps("order-7", after=after, limit=limit)
            assert [step.number for step in page] == expected
        first = CommittedJournal("order-8", history=True)
        await first.commit(memory, "failed")
        (failed,) = await memory.steps("order-8")
        assert (failed.number, failed.error is None) == (1, False)
        await journal.commit(memory, "tail")
        assert await memory.steps("order-7") == journal.entries

    # --- what is kept -------------------------------------------------------

    async def test_freed_chunks_stay_and_are_not_needed(
        self, memory: HistoricMachineMemory
    ) -> None:
        """Those who run the workflow do not get them, nor do those who read it."""
        journal = CommittedJournal("order-7", history=True)
        for how in _LONG:
            await journal.commit(memory, how)
            record, tail, chunks = journal.stored
            lease = await granted(memory)
            assert (lease.record, lease.tail, [*lease.chunks]) == (record, tail, [*chunks])
            assert [*await memory.chunks(lease)] == [*chunks]
            await memory.release(lease)
            assert await memory.read("order-7") == journal.whole
        assert await memory.steps("order-7") == journal.entries

    async def test_freed_chunks_go_when_their_time_is_over(
        self, memory: HistoricMachineMemory, let_pass: LetTimePass
    ) -> None:
        """With the next commit that frees some; those freed later stay, and what is needed does."""
        journal = await _committed(memory, "chunk", "tail", "base")
        await let_pass(self.history * 0.6)
        await journal.commit(memory, "base")
        assert await memory.steps("order-7") == journal.entries
        await let_pass(self.history * 0.6)
        await journal.commit(memory, "base")
        assert await memory.steps("order-7") == journal.entries[1:]
        await let_pass(self.history * 1.1)
        assert await memory.steps("order-7", after=-2) == journal.entries[-2:]
        await journal.commit(memory, "base")
        assert await memory.steps("order-7") == journal.entries[-2:]

    async def test_a_completed_workflow_keeps_all_its_steps(
        self, memory: HistoricMachineMemory
    ) -> None:
        """Whoever acquires it then reads no journal."""
        workflow = CountedSteps(memory)
        await workflow.run(6)
        steps = await memory.steps(workflow.subject)
        assert [_count(step) for step in steps] == [1, 2, 3, 4, 5, 6]
        assert [*steps[-1].produced] == [each.to_dict() for each in workflow.handled[-1][1]]
        lease = await granted(memory, workflow.subject)
        assert (lease.tail, [*lease.chunks]) == (b"", [])
        assert lease.record is not None
        assert "journal" not in lease.record
        in_one = CountedSteps(memory)
        await in_one.run(1)
        assert [step.number for step in await memory.steps(in_one.subject)] == [1]

    async def test_a_finished_workflow_stays_as_long_as_its_history(
        self, memory: HistoricMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Or as its record, if that is longer."""
        done, failed = CountedSteps(memory), CountedSteps(memory)
        long = CountedSteps(memory, finished_expiry=self.history * 3)
        failed.fails = True
        await failed.run(5, until=1)
        for workflow in [done, long]:
            await workflow.run(2)
        await let_pass(self.history * 0.9)
        assert await _lengths(memory, done, failed, long) == [2, 1, 2]
        await let_pass(self.history * 0.2)
        assert await _lengths(memory, done, failed, long) == [0, 0, 2]
        assert await memory.times([done.subject]) == {done.subject: []}

    async def test_a_plain_write_leaves_the_history_that_its_record_has(
        self, memory: HistoricMachineMemory
    ) -> None:
        """It replaces all, as it does for those who run the workflow."""
        journal = await _committed(memory, "chunk", "base", "tail", "tail")
        found = await memory.read("order-7")
        assert found is not None
        await memory.write("order-7", {**found, "note": "written"}, found)
        assert await memory.steps("order-7") == journal.entries[1:]
        assert await memory.steps("order-7", after=-1) == journal.entries[-1:]

    async def test_a_history_goes_on_after_a_plain_write(
        self, memory: HistoricMachineMemory
    ) -> None:
        """What the record has inside becomes a journal again."""
        workflow = CountedSteps(memory)
        await workflow.run(6, until=3)
        before = await memory.steps(workflow.subject)
        found = await memory.read(workflow.subject)
        assert found is not None
        await memory.write(workflow.subject, found, found)
        await workflow.go_on()
        steps = await memory.steps(workflow.subject)
        assert steps[:-1] == before
        assert (steps[-1].number, _count(steps[-1])) == (4, 4)

    async def test_cleanup_forgets_the_history(self, memory: HistoricMachineMemory) -> None:
        """The same workflow begins with no steps."""
        await _committed(memory, *_LONG)
        await memory.cleanup("order-7")
        assert await memory.steps("order-7") == []
        assert await memory.times(["order-7"]) == {"order-7": []}
        again = await _committed(memory, "tail", "base")
        assert await memory.steps("order-7") == again.entries

    async def test_a_later_life_shows_nothing_of_the_one_before(
        self, memory: HistoricMachineMemory, let_pass: LetTimePass
    ) -> None:
        """When the record had expired, and before anybody deleted it."""
        journal = await _committed(memory, "chunk", "base")
        await journal.commit(memory, "end", expires_in=_MINUTE)
        await let_pass(_MINUTE * 1.5)
        assert await memory.steps("order-7") == []
        later = CommittedJournal("order-7", history=True)
        for how in _LONG:
            await later.commit(memory, how)
            assert await memory.steps("order-7") == later.entries

    async def test_without_history_nothing_is_kept(self, forgetful: HistoricMachineMemory) -> None:
        """Only what a workflow still needs is shown, and where it stands."""
        assert forgetful.history is None
        journal = CommittedJournal("order-9")
        commits: tuple[Commit, ...] = ("chunk", "tail", "base", "tail")
        for how in commits:
            await journal.commit(forgetful, how)
        assert [step.number for step in await forgetful.steps("order-9")] == [2, 3, 4]
        workflow = CountedSteps(forgetful)
        await workflow.run(3, until=2)
        steps = await forgetful.steps(workflow.subject)
        assert [(step.took, step.has_state) for step in steps] == [(None, False), (None, True)]
        await workflow.go_on()
        assert await forgetful.steps(workflow.subject) == []

    # --- times --------------------------------------------------------------

    async def test_times_are_those_of_the_latest_steps(self, memory: HistoricMachineMemory) -> None:
        """Of the tail and the last chunk: of each workflow at most 64."""
        short = await _committed(memory, "chunk", "tail", "chunk", "tail")
        long, ended = CommittedJournal("order-8", history=True), CommittedJournal("order-9")
        for _ in range(_MOST_TIMES + 6):
            await long.commit(memory, "tail")
        commits: tuple[Commit, ...] = ("tail", "tail", "end")
        for how in commits:
            await ended.commit(memory, how)
        assert await memory.times(["order-7", "order-8", "order-9", "none"]) == {
            "order-7": [step.at for step in short.entries[1:]],
            "order-8": [step.at for step in long.entries[-_MOST_TIMES:]],
            "order-9": [step.at for step in ended.entries],
            "none": [],
        }

    async def test_times_have_that_of_a_failure(self, memory: HistoricMachineMemory) -> None:
        """When it was stored, which `steps` shows as well."""
        await _committed(memory, "tail", "failed")
        times = await memory.times(["order-7"])
        assert times == {"order-7": [step.at for step in await memory.steps("order-7")]}

    # --- bad input ----------------------------------------------------------

    async def test_damage_is_an_error_and_shows_no_times(
        self, memory: HistoricMachineMemory
    ) -> None:
        """A list of workflows is shown without those of the damaged one."""
        await _committed(memory, "chunk", "tail")
        damaged = CommittedJournal("order-8", history=True)
        lease = await granted(memory, "order-8")
        write = damaged.write(lease, "chunk")
        await memory.commit(lease, replace(write, chunk=b"damaged"))
        gap = CommittedJournal("order-9", history=True)
        await gap.commit(memory, "chunk")
        lease = await granted(memory, "order-9")
        gap.write(lease, "chunk")  # lost
        await memory.commit(lease, gap.write(lease, "chunk"))
        for subject in ["order-8", "order-9"]:
            await refused_with(memory.steps(subject), "chunk", error=UnreadableRecordError)
        times = await memory.times(["order-7", "order-8"])
        assert (len(times["order-7"]), times["order-8"]) == (2, [])

    async def test_a_wrong_page_is_refused(self, memory: HistoricMachineMemory) -> None:
        """A limit is from 1 to 1000, and both are numbers."""
        for limit in [0, 1001, -1]:
            await refused_with(memory.steps("order-7", limit=limit), "limit", error=ValueError)
        wrong: Any = "2"
        await refused_with(memory.steps("order-7", limit=wrong), "limit", error=TypeError)
        await refused_with(memory.steps("order-7", after=wrong), "after", error=TypeError)

    async def test_wrong_subjects_are_refused(self, memory: HistoricMachineMemory) -> None:
        """Empty ones, too many of them, and a string in the place of several."""
        with refuses(TransactionViolationCause.INVALID_SUBJECT, by="steps"):
            await memory.steps("")
        with refuses(TransactionViolationCause.INVALID_SUBJECT, by="times"):
            await memory.times(["order-7", ""])
        many = [f"order-{number}" for number in range(1001)]
        await refused_with(memory.times(many), "subjects", error=ValueError)
        await refused_with(memory.times("order-7"), "subjects", error=TypeError)


async def _committed(memory: ILeasedMachineMemory, *commits: Commit) -> CommittedJournal:
    """Commit the steps of a workflow."""
    journal = CommittedJournal("order-7", history=True)
    for how in commits:
        await journal.commit(memory, how)
    return journal


async def _lengths(memory: IStepHistory, *workflows: CountedSteps) -> list[int]:
    return [len(await memory.steps(workflow.subject)) for workflow in workflows]


def _count(step: StoredStep) -> object:
    context: Any = step.context
    return context["count"]
