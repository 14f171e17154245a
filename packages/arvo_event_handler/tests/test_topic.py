"""A topic reports to each trial its place, so that a broker can count it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Seats, Topic, Trial, current_handling, stop_topics
from arvo_time.testing import FakeClock

SECOND = timedelta(seconds=1)
LOGGER = logging.getLogger("test_topic")


class Moving(Trial):
    """Keeps the moves of a trial."""

    def __init__(self, id: str, *, subject: str = "order-7") -> None:
        event = ArvoEvent.create(
            id=id, source="com.app", type="com.svc.one", subject=subject, data={}
        )
        super().__init__(event, context=None)
        self.moves: list[str] = []

    @override
    def enter(self, seats: Seats) -> None:
        self.moves.append("enter")

    @override
    def start(self, seats: Seats) -> None:
        self.moves.append("start")

    @override
    def pause(self) -> None:
        self.moves.append("pause")

    @override
    def resume(self, seats: Seats) -> None:
        self.moves.append("resume")

    @override
    def end(self) -> None:
        self.moves.append("end")


def topic_of(
    run: Callable[[Moving], Awaitable[timedelta | None]],
    *,
    clock: FakeClock,
    given_up: list[Moving] | None = None,
    prefetch: int = 1,
) -> Topic[Moving, timedelta | None]:
    """Make a topic of one worker, in which a verdict is the pause itself."""

    def undelivered(trial: Moving, cause: Exception | None) -> None:
        if given_up is not None:
            given_up.append(trial)

    return Topic[Moving, timedelta | None](
        "com.svc.one",
        run=run,
        carry_out=lambda pause, _: pause,
        undelivered=undelivered,
        prefetch=prefetch,
        order="subject",
        broker=object(),
        clock=clock,
        logger=LOGGER,
    )


async def once_more(trial: Moving) -> timedelta | None:
    return None if "pause" in trial.moves else SECOND


async def test_a_trial_moves_through_its_tries() -> None:
    clock, trial = FakeClock(), Moving("e1")
    topic = topic_of(once_more, clock=clock)
    topic.put(trial)
    await clock.run_until_complete(topic.wait_empty())
    assert trial.moves == ["enter", "start", "pause", "resume", "start", "end"]
    await stop_topics([topic], patience=SECOND, clock=clock)


async def test_what_is_abandoned_moves_on_before_it_ends() -> None:
    """A sleeping trial too, which waits again before it is taken out."""
    clock, sleeping, behind = FakeClock(), Moving("e1"), Moving("e2")
    topic = topic_of(once_more, clock=clock)
    for trial in (sleeping, behind):
        topic.put(trial)
    await clock.settle()
    assert (topic.sleeping, topic.queued, topic.running) == (1, 1, 0)
    assert [*topic.abandon()] == [sleeping, behind]
    assert sleeping.moves == ["enter", "start", "pause", "resume", "start", "end"]
    assert behind.moves == ["enter", "start", "end"]
    assert (topic.sleeping, topic.queued, topic.running) == (0, 0, 0)
    await stop_topics([topic], patience=SECOND, clock=clock)


async def test_a_trial_without_a_context_knows_what_is_being_handled() -> None:
    seen: list[object] = []

    async def run(trial: Moving) -> None:
        handling = current_handling()
        seen.append(handling and handling.seats)

    clock = FakeClock()
    topic = topic_of(run, clock=clock)
    topic.put(Moving("e1"))
    await topic.wait_empty()
    assert seen == [topic.seats]
    await stop_topics([topic], patience=SECOND, clock=clock)


async def test_what_is_cancelled_is_reported_and_ends_once() -> None:
    clock, given_up = FakeClock(), list[Moving]()

    async def run(trial: Moving) -> None:
        await clock.sleep(SECOND)

    topic = topic_of(run, clock=clock, given_up=given_up)
    trial = Moving("e1")
    topic.put(trial)
    await clock.settle()
    await stop_topics([topic], patience=SECOND, clock=clock)
    assert given_up == [trial]
    assert trial.moves == ["enter", "start", "end"]
    assert (topic.running, topic.queued) == (0, 0)


class TestWithdrawing:
    """What does not run can be taken out of a topic that goes on."""

    async def test_takes_out_what_sleeps_and_waits_and_lets_the_rest_run(self) -> None:
        clock, asleep, behind = FakeClock(), Moving("e1"), Moving("e2")
        topic = topic_of(once_more, clock=clock)
        for trial in (asleep, behind):
            topic.put(trial)
        await clock.settle()
        assert topic.withdraw() == [asleep, behind]
        assert (topic.sleeping, topic.queued, topic.running) == (0, 0, 0)
        again = Moving("e1")
        topic.put(again)
        await clock.run_until_complete(topic.wait_empty())
        assert again.moves[-1] == "end"
        await stop_topics([topic], patience=SECOND, clock=clock)

    async def test_keeps_the_lane_of_what_runs_closed(self) -> None:
        clock, first, later = FakeClock(), Moving("e1"), Moving("e3")
        begun: list[str] = []
        going_on = asyncio.Event()

        async def run(trial: Moving) -> timedelta | None:
            begun.append(trial.event.id)
            await going_on.wait()
            return None

        topic = topic_of(run, clock=clock, prefetch=2)
        topic.put(first)
        topic.put(Moving("e2"))
        await clock.settle()
        assert [trial.event.id for trial in topic.withdraw()] == ["e2"]
        topic.put(later)
        await clock.settle()
        assert begun == ["e1"]
        going_on.set()
        await topic.wait_empty()
        assert begun == ["e1", "e3"]
        await stop_topics([topic], patience=SECOND, clock=clock)

    async def test_what_waits_behind_an_event_comes_out_in_order(self) -> None:
        clock = FakeClock()
        taken: list[str] = []

        async def run(trial: Moving) -> timedelta | None:
            await asyncio.sleep(0)
            if trial.event.id == "e1":
                taken.extend(each.event.id for each in topic.withdraw_behind(trial))
            return None

        topic = topic_of(run, clock=clock)
        for id in ("e1", "e2", "e3"):
            topic.put(Moving(id))
        topic.put(Moving("other", subject="order-8"))
        await topic.wait_empty()
        assert taken == ["e2", "e3"]
        await stop_topics([topic], patience=SECOND, clock=clock)

    async def test_what_sleeps_comes_out_with_what_waits_behind_it(self) -> None:
        clock, asleep, behind = FakeClock(), Moving("e1"), Moving("e2")
        topic = topic_of(once_more, clock=clock)
        for trial in (asleep, behind):
            topic.put(trial)
        await clock.settle()
        assert topic.withdraw_sleeping() == [asleep, behind]
        assert clock.pending == 0
        await topic.wait_empty()
        await stop_topics([topic], patience=SECOND, clock=clock)
