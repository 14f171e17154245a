import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from weakref import ref

import pytest
from typing_extensions import override

from arvo_time import Clock
from arvo_time.testing import FakeClock

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=datetime(2025, 6, 1, 12, tzinfo=UTC))


class Diary:
    """Records what happened, with the seconds at which it did."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.entries: list[tuple[float, str]] = []

    def note(self, text: str) -> Callable[[], None]:
        return lambda: self.entries.append((self._clock.monotonic(), text))

    async def note_after(self, delay: timedelta, text: str) -> None:
        await self._clock.sleep(delay)
        self.note(text)()


@pytest.fixture
def diary(clock: FakeClock) -> Diary:
    return Diary(clock)


class TestTime:
    def test_the_time_stands_still_by_itself(self, clock: FakeClock) -> None:
        assert clock.now() == clock.now() == datetime(2025, 6, 1, 12, tzinfo=UTC)
        assert clock.monotonic() == clock.monotonic()

    def test_advance_moves_both_clocks_by_the_same_amount(self, clock: FakeClock) -> None:
        before = clock.monotonic()
        clock.advance(timedelta(days=2, microseconds=1))
        assert clock.now() == datetime(2025, 6, 3, 12, 0, 0, 1, tzinfo=UTC)
        assert clock.monotonic() - before == timedelta(days=2, microseconds=1).total_seconds()

    def test_now_is_in_utc_whatever_the_time_zone_of_the_start(self) -> None:
        start = datetime(2025, 6, 1, 12, tzinfo=timezone(timedelta(hours=2)))
        assert FakeClock(start=start).now().isoformat() == "2025-06-01T10:00:00+00:00"

    def test_a_start_without_time_zone_is_refused(self) -> None:
        with pytest.raises(ValueError, match="give it a time zone"):
            FakeClock(start=datetime(2025, 6, 1))  # noqa: DTZ001

    def test_advance_refuses_a_negative_delta(self, clock: FakeClock) -> None:
        with pytest.raises(ValueError, match="delta must not be negative"):
            clock.advance(-SECOND)

    async def test_run_for_refuses_a_negative_delta(self, clock: FakeClock) -> None:
        with pytest.raises(ValueError, match="delta must not be negative"):
            await clock.run_for(-SECOND)

    def test_a_fake_clock_is_a_clock(self, clock: FakeClock) -> None:
        as_protocol: Clock = clock
        assert as_protocol is clock


class TestCalls:
    def test_calls_are_made_in_order_of_their_time(self, clock: FakeClock, diary: Diary) -> None:
        clock.call_later(3 * SECOND, diary.note("third"))
        clock.call_later(1 * SECOND, diary.note("first"))
        clock.call_later(2 * SECOND, diary.note("second"))
        clock.advance(5 * SECOND)
        assert diary.entries == [(1, "first"), (2, "second"), (3, "third")]
        assert clock.monotonic() == 5

    def test_calls_due_at_one_moment_are_made_in_the_order_of_scheduling(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        for text in ("a", "b", "c", "d", "e"):
            clock.call_later(SECOND, diary.note(text))
        clock.advance(SECOND)
        assert [text for _, text in diary.entries] == ["a", "b", "c", "d", "e"]

    def test_a_call_is_made_at_its_time_and_not_before(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        clock.call_later(SECOND, diary.note("due"))
        clock.advance(SECOND - timedelta(microseconds=1))
        assert diary.entries == []
        clock.advance(timedelta(microseconds=1))
        assert diary.entries == [(1, "due")]

    def test_the_delay_of_a_call_scheduled_by_a_call_counts_from_that_call(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        def again() -> None:
            diary.note("tick")()
            clock.call_later(SECOND, again)

        clock.call_later(SECOND, again)
        clock.advance(3 * SECOND)
        assert diary.entries == [(1, "tick"), (2, "tick"), (3, "tick")]

    def test_a_cancelled_call_is_not_made(self, clock: FakeClock, diary: Diary) -> None:
        timer = clock.call_later(SECOND, diary.note("no"))
        clock.call_later(SECOND, diary.note("yes"))
        timer.cancel()
        clock.advance(SECOND)
        timer.cancel()
        assert diary.entries == [(1, "yes")]

    def test_a_call_may_cancel_another_of_the_same_moment(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        clock.call_later(SECOND, lambda: later.cancel())
        later = clock.call_later(SECOND, diary.note("no"))
        clock.advance(SECOND)
        assert diary.entries == []

    def test_an_exception_of_a_call_propagates_at_its_due_time(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        def explode() -> None:
            raise LookupError("boom")

        clock.call_later(SECOND, explode)
        clock.call_later(2 * SECOND, diary.note("still due"))
        with pytest.raises(LookupError, match="boom"):
            clock.advance(5 * SECOND)
        assert clock.monotonic() == 1
        clock.advance(SECOND)
        assert diary.entries == [(2, "still due")]

    def test_a_call_may_move_the_time_itself(self, clock: FakeClock, diary: Diary) -> None:
        clock.call_later(SECOND, lambda: clock.advance(10 * SECOND))
        clock.call_later(3 * SECOND, diary.note("on the way"))
        clock.advance(2 * SECOND)
        assert diary.entries == [(3, "on the way")]
        assert clock.monotonic() == 11

    def test_a_call_sees_the_context_in_which_it_was_scheduled(self, clock: FakeClock) -> None:
        tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
        seen: list[str] = []
        token = tenant.set("acme")
        clock.call_later(SECOND, lambda: seen.append(tenant.get()))
        tenant.reset(token)
        clock.advance(SECOND)
        assert seen == ["acme"]

    async def test_a_call_without_delay_is_made_by_the_loop_next(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        clock.call_later(timedelta(0), diary.note("zero"))
        clock.call_later(-SECOND, diary.note("less"))
        assert diary.entries == []
        await asyncio.sleep(0)
        assert diary.entries == [(0, "zero"), (0, "less")]


class TestSleep:
    async def test_a_sleeper_sleeps_until_its_time(self, clock: FakeClock) -> None:
        sleeper = asyncio.create_task(clock.sleep(SECOND))
        await clock.run_for(SECOND - timedelta(microseconds=1))
        assert not sleeper.done()
        await clock.run_for(timedelta(microseconds=1))
        assert sleeper.done()

    async def test_advance_wakes_but_the_sleeper_runs_when_the_caller_awaits(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        sleeper = asyncio.create_task(diary.note_after(SECOND, "woken"))
        await clock.settle()
        clock.advance(5 * SECOND)
        assert diary.entries == []
        await sleeper
        assert diary.entries == [(5, "woken")]

    async def test_waits_of_woken_tasks_count_from_the_moment_they_were_woken(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        async def tick() -> None:
            for _ in range(3):
                await diary.note_after(SECOND, "tick")

        ticking = asyncio.create_task(tick())
        await clock.run_for(10 * SECOND)
        assert diary.entries == [(1, "tick"), (2, "tick"), (3, "tick")]
        assert ticking.done()
        assert clock.monotonic() == 10

    async def test_all_that_is_due_at_one_moment_comes_before_the_tasks_it_wakes(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        sleeper = asyncio.create_task(diary.note_after(SECOND, "woken"))
        await clock.settle()
        clock.call_later(SECOND, diary.note("call"))
        await clock.run_for(SECOND)
        assert diary.entries == [(1, "call"), (1, "woken")]
        await sleeper

    async def test_sleeping_no_time_lets_other_tasks_run_once(self, clock: FakeClock) -> None:
        order: list[str] = []

        async def other() -> None:
            order.append("other")

        task = asyncio.create_task(other())
        await clock.sleep(timedelta(0))
        await clock.sleep(-SECOND)
        order.append("sleeper")
        await task
        assert order == ["other", "sleeper"]
        assert clock.pending == 0

    async def test_a_cancelled_sleeper_leaves_nothing_behind(self, clock: FakeClock) -> None:
        sleeper = asyncio.create_task(clock.sleep(SECOND))
        await clock.settle()
        assert clock.pending == 1
        sleeper.cancel()
        await asyncio.gather(sleeper, return_exceptions=True)
        assert clock.pending == 0
        clock.advance(SECOND)

    async def test_a_sleeper_cancelled_and_woken_at_the_same_time_is_cancelled(
        self, clock: FakeClock
    ) -> None:
        sleeper = asyncio.create_task(clock.sleep(SECOND))
        await clock.settle()
        sleeper.cancel()
        clock.advance(SECOND)
        with pytest.raises(asyncio.CancelledError):
            await sleeper


class TestTimeout:
    async def test_a_timeout_raises_at_the_end_of_a_block_that_takes_too_long(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        async def patient() -> None:
            async with clock.timeout(2 * SECOND):
                try:
                    await clock.sleep(5 * SECOND)
                finally:
                    diary.note("cleaned up")()

        with pytest.raises(TimeoutError):
            await clock.run_until_complete(patient())
        assert diary.entries == [(2, "cleaned up")]
        assert clock.pending == 0

    async def test_a_block_that_ends_in_time_raises_nothing_then_or_later(
        self, clock: FakeClock
    ) -> None:
        async def quick() -> str:
            async with clock.timeout(2 * SECOND):
                await clock.sleep(SECOND)
            await clock.sleep(5 * SECOND)
            return "done"

        assert await clock.run_until_complete(quick()) == "done"

    async def test_of_two_waits_due_at_one_moment_the_one_that_began_first_wins(
        self, clock: FakeClock
    ) -> None:
        async def tie() -> None:
            async with clock.timeout(SECOND):
                await clock.sleep(SECOND)

        with pytest.raises(TimeoutError):
            await clock.run_until_complete(tie())

    async def test_cancellation_from_outside_passes_through(self, clock: FakeClock) -> None:
        async def block() -> None:
            async with clock.timeout(SECOND):
                await asyncio.Event().wait()

        task = asyncio.create_task(block())
        await clock.settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert clock.pending == 0

    async def test_cancellation_from_outside_wins_over_a_timeout(self, clock: FakeClock) -> None:
        async def block() -> None:
            async with clock.timeout(SECOND):
                await asyncio.Event().wait()

        task = asyncio.create_task(block())
        await clock.settle()
        clock.advance(SECOND)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_another_exception_of_the_block_propagates_unchanged(
        self, clock: FakeClock
    ) -> None:
        with pytest.raises(LookupError, match="mine"):
            async with clock.timeout(SECOND):
                raise LookupError("mine")
        assert clock.pending == 0

    @pytest.mark.parametrize(
        ("outer", "inner", "seen"),
        [
            pytest.param(5, 1, ["inner"], id="inner-first"),
            pytest.param(1, 5, ["outer"], id="outer-first"),
            pytest.param(1, 1, ["outer"], id="at-the-same-time"),
        ],
    )
    async def test_nested_blocks_time_out_independently(
        self, clock: FakeClock, outer: int, inner: int, seen: list[str]
    ) -> None:
        timed_out: list[str] = []

        async def nested() -> None:
            try:
                async with clock.timeout(outer * SECOND):
                    try:
                        async with clock.timeout(inner * SECOND):
                            await asyncio.Event().wait()
                    except TimeoutError:
                        timed_out.append("inner")
            except TimeoutError:
                timed_out.append("outer")

        await clock.run_until_complete(nested())
        assert timed_out == seen

    @pytest.mark.parametrize("delay", [timedelta(0), -SECOND])
    async def test_a_timeout_of_zero_ends_a_block_at_its_first_await(
        self, clock: FakeClock, delay: timedelta
    ) -> None:
        with pytest.raises(TimeoutError):
            async with clock.timeout(delay):
                await asyncio.sleep(0)


class TestPending:
    async def test_sleeps_timeouts_and_calls_are_pending(self, clock: FakeClock) -> None:
        async def block() -> None:
            async with clock.timeout(3 * SECOND):
                await clock.sleep(2 * SECOND)

        tasks = [asyncio.create_task(clock.sleep(SECOND)), asyncio.create_task(block())]
        call = clock.call_later(9 * SECOND, lambda: None)
        await clock.settle()
        assert clock.pending == 4
        await clock.run_for(SECOND)
        assert clock.pending == 3
        await clock.run_for(SECOND)
        assert clock.pending == 1
        call.cancel()
        assert clock.pending == 0
        await asyncio.gather(*tasks)

    def test_cancelled_calls_are_freed_long_before_their_due_time(self, clock: FakeClock) -> None:
        diaries: list[ref[Diary]] = []
        for _ in range(1000):
            diary = Diary(clock)
            diaries.append(ref(diary))
            clock.call_later(timedelta(days=1), diary.note("late")).cancel()
        assert sum(diary() is not None for diary in diaries) < 100

    def test_pending_calls_are_not_dropped_with_the_cancelled_ones(
        self, clock: FakeClock, diary: Diary
    ) -> None:
        for number in range(1000):
            call = clock.call_later(SECOND, diary.note(str(number)))
            if number % 2:
                call.cancel()
        assert clock.pending == 500
        clock.advance(SECOND)
        assert diary.entries == [(1.0, str(number)) for number in range(0, 1000, 2)]


class TestSettle:
    async def test_settle_runs_long_chains_of_tasks_to_their_end(self, clock: FakeClock) -> None:
        reached: list[int] = []

        async def chain(length: int) -> None:
            if length:
                # Each link goes through a task, a gather and a shield: several turns of the loop.
                await asyncio.gather(asyncio.shield(asyncio.create_task(chain(length - 1))))
            reached.append(length)

        task = asyncio.create_task(chain(200))
        await clock.settle()
        assert task.done()
        assert reached[-1] == 200

    async def test_settle_returns_when_every_task_waits(self, clock: FakeClock) -> None:
        waiting = asyncio.create_task(asyncio.Event().wait())
        await clock.settle()
        assert not waiting.done()
        waiting.cancel()

    async def test_settle_does_not_move_the_time(self, clock: FakeClock) -> None:
        clock.call_later(SECOND, lambda: None)
        await clock.settle()
        assert clock.monotonic() == 0

    async def test_a_second_task_that_settles_meanwhile_is_refused(self, clock: FakeClock) -> None:
        outcomes = await asyncio.gather(
            clock.settle(), FakeClock().settle(), return_exceptions=True
        )
        assert outcomes[0] is None
        assert isinstance(outcomes[1], RuntimeError)
        assert "another task is settling this event loop" in str(outcomes[1])
        await clock.settle()

    def test_an_event_loop_other_than_asyncios_is_refused_by_name(self, clock: FakeClock) -> None:
        async def settle() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, OtherLoop)
            loop.hides = True
            try:
                await clock.settle()
            finally:
                loop.hides = False

        with (
            pytest.raises(RuntimeError, match=r"ready to run in OtherLoop; run this test on"),
            asyncio.Runner(loop_factory=OtherLoop) as runner,
        ):
            runner.run(settle())


class OtherLoop(asyncio.SelectorEventLoop):
    """Hides what only asyncio's own loop shows."""

    hides = False

    @override
    def __getattribute__(self, name: str) -> Any:
        if name == "_ready" and self.hides:
            raise AttributeError(name)
        return super().__getattribute__(name)


class TestRunUntilComplete:
    async def test_run_until_complete_moves_the_time_as_far_as_needed(
        self, clock: FakeClock
    ) -> None:
        async def slow() -> str:
            for _ in range(24):
                await clock.sleep(timedelta(hours=1))
            return "tomorrow"

        assert await clock.run_until_complete(slow()) == "tomorrow"
        assert clock.now() == datetime(2025, 6, 2, 12, tzinfo=UTC)

    async def test_run_until_complete_does_not_move_the_time_without_need(
        self, clock: FakeClock
    ) -> None:
        clock.call_later(SECOND, lambda: None)
        assert await clock.run_until_complete(asyncio.sleep(0, "now")) == "now"
        assert clock.monotonic() == 0

    async def test_an_exception_of_the_awaitable_propagates(self, clock: FakeClock) -> None:
        async def fail() -> None:
            await clock.sleep(SECOND)
            raise LookupError("lost")

        with pytest.raises(LookupError, match="lost"):
            await clock.run_until_complete(fail())

    async def test_an_awaitable_that_no_time_can_finish_is_cancelled_and_refused(
        self, clock: FakeClock
    ) -> None:
        waiting = asyncio.create_task(asyncio.Event().wait())
        clock.call_later(SECOND, lambda: None)
        with pytest.raises(RuntimeError, match="that moving the time cannot bring"):
            await clock.run_until_complete(waiting)
        assert waiting.cancelled()
        assert clock.monotonic() == 1

    async def test_cancelling_run_until_complete_cancels_the_awaitable(
        self, clock: FakeClock
    ) -> None:
        async def forever() -> None:
            while True:
                await clock.sleep(SECOND)

        inner = asyncio.create_task(forever())
        outer = asyncio.create_task(clock.run_until_complete(inner))
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert inner.cancelled()
        assert clock.pending == 0
