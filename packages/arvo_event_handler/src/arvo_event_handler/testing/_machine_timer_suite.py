"""What every machine memory with an index of timers must do, as tests to subclass."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from arvo_core import ArvoOrchestrationSubject
from arvo_event_handler.memory import ITimedMachineMemory

from ._contention import ConnectLeasedMachineMemory, LetTimePass, granted
from ._pending_timers import (
    HOLD,
    PAST,
    TimedMachineMemory,
    claimed,
    commit,
    keys,
    set_timer,
    time_of,
    timed,
)
from ._refusal import refused_with
from ._timer_claims import TimerClaims
from ._timer_commits import TimerCommits

_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = timedelta(hours=1)
# As good as exact: a memory may keep the end of a hold in whole milliseconds.
_NEAR: Final = timedelta(milliseconds=2)
_ODD: Final = (
    'it\'s "quoted"',
    "back\\slash / slash",
    "{brace}:colon;semi,comma",
    "%s $1 ? * _ %",
    "two\nlines\tand a tab",
    "größer 北京 🕰",
    "x" * 500,
    "#",
)


class MachineTimerSuite(TimerCommits, TimerClaims):
    """What every `ITimedMachineMemory` must do, one test for each promise.

    Subclass it beside `LeasedMachineMemorySuite` and supply the same three fixtures. `let_pass` also
    has to move timers: if it makes data older, then the time of each timer and the end of each claim
    too. It is asked for hours, so it must not really wait. `pending` says how many timers the test of
    many claimers sets.

    Example:
        ```python
        class TestMyTimers(MachineTimerSuite):
            pending = 1000

            @pytest.fixture
            async def memory(self, connect: ConnectLeasedMachineMemory) -> AsyncIterator[MyMemory]:
                async with connect() as memory:
                    yield memory
        ```
    """

    # --- the index ----------------------------------------------------------

    async def test_without_timers_nothing_is_due(self, memory: TimedMachineMemory) -> None:
        """Neither in a new memory nor where workflows set none. It says at `isinstance` that it is timed."""
        assert isinstance(memory, ITimedMachineMemory)
        assert await memory.next_due() is None
        assert await keys(memory) == []
        await commit(memory)
        await commit(memory, "order-8", timer=None)
        await memory.write("order-9", {"count": 1}, None)
        await granted(memory, "order-10")
        assert await memory.next_due() is None
        assert await keys(memory) == []

    async def test_next_due_is_when_a_claim_can_return_something(
        self, memory: TimedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """The earliest timer, or the end of a claim; None when the last one is gone."""
        now = await time_of(memory)
        await set_timer(memory, "late", at=now + 2 * _HOUR)
        assert await _is_due(memory, now + 2 * _HOUR)
        await set_timer(memory, "early", at=PAST)
        assert await memory.next_due() == PAST
        (due,) = await claimed(memory, hold=_HOUR)
        assert await _is_due(memory, due.due_by + _HOUR)
        await commit(memory, "early", timer=None)
        assert await _is_due(memory, now + 2 * _HOUR)
        await let_pass(2 * _HOUR + _SECOND)
        next_due = await memory.next_due()
        assert next_due is not None
        (due,) = await claimed(memory)
        assert next_due <= due.due_by
        await commit(memory, "late", timer=None)
        assert await memory.next_due() is None

    async def test_all_clients_share_the_index(
        self, memory: TimedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """One sets, another claims, a third removes."""
        async with connect() as one, connect() as another:
            await set_timer(one, at=PAST)
            for client in [memory, one, another]:
                assert await timed(client).next_due() == PAST
            (due,) = await claimed(timed(another), hold=_HOUR)
            for client in [memory, one, another]:
                assert await _is_due(timed(client), due.due_by + _HOUR)
            await commit(another, timer=None)
            for client in [memory, one, another]:
                assert await timed(client).next_due() is None

    async def test_a_later_client_finds_the_timers(
        self, memory: TimedMachineMemory, connect: ConnectLeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """Set or claimed by a client that is closed since."""
        async with connect() as first:
            await set_timer(first, "order-7", at=PAST)
            assert len(await keys(timed(first))) == 1
            await set_timer(first, "order-8", at=PAST + _SECOND)
        async with connect() as second:
            assert await keys(timed(second)) == [("order-8", "pay#1", 1)]
        await let_pass(HOLD * 1.1)
        assert await keys(memory) == [("order-7", "pay#1", 2), ("order-8", "pay#1", 2)]

    async def test_each_workflow_has_a_timer_of_its_own(self, memory: TimedMachineMemory) -> None:
        """Of the same key and time, too; moving one leaves the others."""
        for machine_id in ["order-7", "order-70", "order", "ORDER-7"]:
            await set_timer(memory, machine_id, at=PAST)
        await commit(memory, "order", timer=None)
        await set_timer(memory, "order-70", at=PAST + _SECOND, key="late#1")
        first, second, third = await keys(memory)
        assert {first, second} == {("order-7", "pay#1", 1), ("ORDER-7", "pay#1", 1)}
        assert third == ("order-70", "late#1", 1)

    # --- what an entry says -------------------------------------------------

    async def test_subjects_and_keys_come_back_as_they_were_set(
        self, memory: TimedMachineMemory
    ) -> None:
        """Whatever is in them."""
        subject = ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.order", version="1.2.3", initiator="com.app.main"
        )
        odd = [*_ODD, subject]
        for number, text in enumerate(odd):
            await set_timer(memory, text, at=PAST + number * _SECOND, key=f"{odd[-1 - number]}#1")
        assert await keys(memory) == [
            (text, f"{odd[-1 - number]}#1", 1) for number, text in enumerate(odd)
        ]
        for text in odd:
            await commit(memory, text, timer=None)
        assert await memory.next_due() is None

    async def test_times_are_exact_and_in_utc(self, memory: TimedMachineMemory) -> None:
        """To the millisecond, whatever zone they were given in, and before 1970 too."""
        zone = timezone(timedelta(hours=5, minutes=30))
        times = [
            datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC),
            datetime(2001, 9, 9, 1, 46, 40, 1000, UTC),
            datetime(2016, 2, 29, 23, 59, 59, 1000, zone),
            datetime(2019, 10, 27, 2, 30, 0, 999_000, timezone(timedelta(hours=-9))),
            datetime(2024, 12, 30, 12, 0, 0, 123_000, UTC),
        ]
        for at in reversed(times):
            await set_timer(memory, f"order {at}", at=at)
            next_due = await memory.next_due()
            assert next_due is not None
            assert (next_due, next_due.utcoffset()) == (at, timedelta())
        due = await claimed(memory)
        assert [each.at for each in due] == times
        assert {each.at.utcoffset() for each in due} == {timedelta()}
        assert {each.due_by.utcoffset() for each in due} == {timedelta()}
        next_due = await memory.next_due()
        assert next_due is not None
        assert next_due.utcoffset() == timedelta()

    async def test_a_timer_may_be_far_ahead(self, memory: TimedMachineMemory) -> None:
        """Ten years, and more."""
        now = await time_of(memory)
        in_ten_years = (now + timedelta(days=3653)).replace(microsecond=1000)
        for at in [datetime(2999, 12, 31, 23, 59, 59, 999_000, UTC), in_ten_years]:
            await set_timer(memory, f"order {at}", at=at)
            assert await memory.next_due() == at
        assert await keys(memory) == []

    # --- bad input ----------------------------------------------------------

    async def test_a_wrong_claim_is_refused(self, memory: TimedMachineMemory) -> None:
        """And claims nothing."""
        await set_timer(memory, at=PAST)
        text: Any = "3"
        seconds: Any = 30
        wrong: list[tuple[str, type[Exception], Any, Any]] = [
            ("limit", ValueError, 0, HOLD),
            ("limit", ValueError, -1, HOLD),
            ("limit", TypeError, text, HOLD),
            ("limit", TypeError, True, HOLD),
            ("limit", TypeError, 1.0, HOLD),
            ("hold", ValueError, 1, timedelta(0)),
            ("hold", ValueError, 1, -HOLD),
            ("hold", TypeError, 1, seconds),
            ("hold", TypeError, 1, None),
        ]
        for name, error, limit, hold in wrong:
            await refused_with(memory.claim_due(limit=limit, hold=hold), name, error=error)
        assert await keys(memory) == [("order-7", "pay#1", 1)]


async def _is_due(memory: ITimedMachineMemory, at: datetime) -> bool:
    """Return whether that is when something can be claimed next."""
    next_due = await memory.next_due()
    assert next_due is not None
    return abs(next_due - at) <= _NEAR
