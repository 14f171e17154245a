"""A broker ends without losing an event or leaving a task."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import ResolveError
from arvo_event_handler.delivery import (
    BrokerClosedError,
    Bulk,
    DeadLetter,
    DeadLetterReason,
    ErrorResponse,
    FailedTry,
    HandlerConfig,
    Middleware,
    Publish,
)
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, STEADY, Gate, Owner, broker_of, left_inside, workers
from .stub_handler import TWO, StubHandler, answering, emitted, event, failing


class TestEnding:
    async def test_leaving_the_block_finishes_everything(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        async with broker_of(owner, clock, HandlerConfig(handler, prefetch=1)) as broker:
            for number in range(50):
                await broker.publish(event(f"e{number}"))
        assert len(handler.tried) == 50
        assert workers() == []

    async def test_outside_of_the_block_nothing_is_taken(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        broker = broker_of(owner, clock, StubHandler())
        with pytest.raises(BrokerClosedError):
            await broker.publish(event("e1"))
        async with broker:
            pass
        with pytest.raises(BrokerClosedError):
            broker.publish_nowait(event("e1"))
        with pytest.raises(BrokerClosedError):
            broker.subscribe(StubHandler(source=TWO))

    async def test_aclose_finishes_what_runs_and_buries_the_rest(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act, stateful=True)
        async with broker_of(owner, clock, handler) as broker:
            for number in range(3):
                await broker.publish(event(f"e{number}"))
            await clock.settle()
            closing = asyncio.create_task(broker.aclose(grace=10 * SECOND))
            await clock.settle()
            gate.open()
            await closing
        closed = DeadLetterReason.CLOSED
        assert owner.reasons == [("e1", closed), ("e2", closed), ("e0>0", closed)]
        assert broker.stats.unfinished == 0

    async def test_aclose_cancels_what_runs_after_the_grace(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler(Gate().act)
        async with broker_of(owner, clock, handler) as broker:
            asking = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            await clock.run_until_complete(broker.aclose(grace=SECOND))
            with pytest.raises(ResolveError):
                await asking
        assert handler.running == 0
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        assert workers() == []

    async def test_aclose_buries_what_sleeps(self, owner: Owner, clock: FakeClock) -> None:
        config = HandlerConfig(failing(9, ConnectionError("no")), retry=RetryPolicy(backoff=STEADY))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await broker.aclose()
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        assert clock.pending == 0

    async def test_an_exception_closes(self, owner: Owner, clock: FakeClock) -> None:
        async def use() -> None:
            async with broker_of(owner, clock, StubHandler(Gate().act)) as broker:
                await broker.publish(event("e1"))
                await asyncio.sleep(0)
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await clock.run_until_complete(use())
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]

    async def test_a_cancelled_drain_leaves_nothing_behind(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def use() -> None:
            async with broker_of(owner, clock, StubHandler(Gate().act)) as broker:
                await broker.publish(event("e1"))

        using = asyncio.create_task(use())
        await clock.settle()
        using.cancel()
        await asyncio.gather(using, return_exceptions=True)
        assert using.cancelled()
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        assert workers() == []

    async def test_closing_turns_away_who_waits_for_a_place(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        config = HandlerConfig(StubHandler(Gate().act), prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            tasks = [
                asyncio.create_task(broker.publish(event(f"e{number}"))) for number in range(3)
            ]
            await clock.settle()
            await broker.aclose(grace=timedelta(0))
            with pytest.raises(BrokerClosedError):
                await tasks[2]

    async def test_unsubscribing_finishes_what_is_queued(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act, source=TWO)
        async with broker_of(owner, clock, StubHandler()) as broker:
            subscription = broker.subscribe(HandlerConfig(handler, prefetch=1))
            await broker.publish(event("e1", to=TWO))
            await broker.publish(event("e2", to=TWO))
            ending = asyncio.create_task(subscription.unsubscribe())
            await clock.settle()
            await broker.publish(event("e3", to=TWO))
            gate.open()
            await ending
            await broker.wait_idle()
            assert broker.stats.unfinished == 0
            await subscription.unsubscribe()
            assert subscription.topic == TWO
        assert handler.tried == ["e1", "e2"]
        assert owner.reasons == [("e3", DeadLetterReason.UNROUTABLE)]

    async def test_wait_idle_ends_by_its_timeout(self, owner: Owner, clock: FakeClock) -> None:
        gate = Gate()
        async with broker_of(owner, clock, StubHandler(gate.act)) as broker:
            await broker.publish(event("e1"))
            with pytest.raises(TimeoutError):
                await clock.run_until_complete(broker.wait_idle(timeout=SECOND))
            gate.open()

    async def test_a_handler_that_ignores_its_cancellation_once_does_not_hold_up_the_end(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            with suppress(asyncio.CancelledError):
                await asyncio.get_running_loop().create_future()
            return [emitted(cause)]

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await clock.run_until_complete(broker.aclose(grace=SECOND))
        assert owner.reasons == [("e1>0", DeadLetterReason.CLOSED)]
        assert (left_inside(broker), workers()) == ({}, [])

    async def test_closing_twice_at_once_buries_each_event_once(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with broker_of(owner, clock, StubHandler(Gate().act)) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            ends = [asyncio.create_task(broker.aclose(grace=timedelta(0))) for _ in range(3)]
            await asyncio.gather(*ends, broker.drain())
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        assert (left_inside(broker), workers()) == ({}, [])

    async def test_closing_while_a_handler_unsubscribes_buries_what_it_has(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with broker_of(owner, clock) as broker:
            config = HandlerConfig(StubHandler(Gate().act), prefetch=1)
            subscription = broker.subscribe(config)
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            ending = asyncio.create_task(subscription.unsubscribe())
            await clock.settle()
            await broker.aclose(grace=timedelta(0))
            await ending
        assert sorted(id for id, _ in owner.reasons) == ["e1", "e2"]
        assert (left_inside(broker), workers()) == ({}, [])

    @pytest.mark.parametrize("times", [1, 2, 3])
    @pytest.mark.parametrize("turns", range(1, 7))
    async def test_a_close_that_is_cancelled_loses_no_event_and_no_task(
        self,
        owner: Owner,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
        times: int,
        turns: int,
    ) -> None:
        async with broker_of(owner, clock, StubHandler(Gate().act, stateful=True)) as broker:
            asking = asyncio.create_task(broker.resolve(event("e1")))
            await broker.publish(event("e2"))
            await clock.settle()
            closing = asyncio.create_task(broker.aclose())
            for _ in range(times):
                for _ in range(turns):
                    await asyncio.sleep(0)
                closing.cancel()
            await clock.settle()
            with pytest.raises(ResolveError):
                await asking
        for id in ("e1", "e2"):
            logged = any(f"event {id}" in record.getMessage() for record in caplog.records)
            assert (id, DeadLetterReason.CLOSED) in owner.reasons or logged
        assert (left_inside(broker), workers()) == ({}, [])

    async def test_a_retry_that_is_due_while_a_cancelled_handler_cleans_up_begins_no_more(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if cause.id == "e2":
                await gate.opened()
                raise ConnectionError("no")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await clock.sleep(SECOND / 2)
            raise AssertionError

        backoff = Backoff(initial=SECOND / 4, maximum=SECOND / 4, jitter=False)
        config = HandlerConfig(StubHandler(act), prefetch=2, retry=RetryPolicy(backoff=backoff))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            await clock.settle()
            closing = asyncio.create_task(broker.aclose(grace=SECOND / 2))
            await clock.settle()
            gate.open()
            await clock.run_until_complete(closing)
        closed = DeadLetterReason.CLOSED
        assert owner.reasons == [("e2", closed), ("e1", closed)]
        assert owner.letters[0].attempts == 1
        assert (left_inside(broker), workers()) == ({}, [])

    async def test_a_listener_that_never_returns_holds_up_neither_the_end_nor_who_asks(
        self, owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def never(letter: DeadLetter) -> None:
            await asyncio.get_running_loop().create_future()

        async with ConcurrentEventBroker([], on_dead_letter=never, clock=clock) as broker:
            asking = [
                asyncio.create_task(broker.resolve(event(f"e{number}"))) for number in range(40)
            ]
            await clock.settle()
            await clock.run_until_complete(broker.aclose())
            outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ResolveError}
        told = [record.getMessage() for record in caplog.records]
        assert sum("did not reach on_dead_letter" in text for text in told) == 40
        assert (left_inside(broker), workers()) == ({}, [])

    async def test_waits_that_were_given_up_leave_nothing_behind(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        config = HandlerConfig(StubHandler(gate.act), prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await broker.publish(event("e2"))
            for given_up in (
                broker.wait_idle(),
                broker.publish(event("e3")),
                broker.resolve(event("e4")),
            ):
                task = asyncio.create_task(given_up)
                await clock.settle()
                task.cancel()
                await asyncio.wait([task])
            kept = left_inside(broker)
            assert "idle" not in kept
            assert "at the door" not in kept
            gate.open()
        assert left_inside(broker) == {}

    async def test_a_place_that_is_refused_and_given_up_at_once_was_none(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        config = HandlerConfig(StubHandler(Gate().act), prefetch=1)
        async with broker_of(owner, clock, config, max_queued=1) as broker:
            tasks = [
                asyncio.create_task(broker.publish(event(f"e{number}"))) for number in range(3)
            ]
            await clock.settle()
            closing = asyncio.create_task(broker.aclose(grace=timedelta(0)))
            asyncio.get_running_loop().call_soon(tasks[2].cancel)
            await asyncio.gather(closing, *tasks, return_exceptions=True)
        assert tasks[2].cancelled()
        assert left_inside(broker) == {}

    async def test_a_grace_without_a_unit_is_refused(self, owner: Owner, clock: FakeClock) -> None:
        seconds: Any = 5
        async with broker_of(owner, clock, StubHandler()) as broker:
            with pytest.raises(TypeError, match="grace must be a timedelta, got 5"):
                await broker.aclose(grace=seconds)
            await broker.publish(event("e1"))

    async def test_who_asks_is_told_that_the_outside_was_not_reached(
        self, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human")]

        async def never(question: ArvoEvent, publish: Publish) -> None:
            await asyncio.get_running_loop().create_future()

        async with ConcurrentEventBroker(
            [StubHandler(act)], on_domained_event=never, clock=clock
        ) as broker:
            asking = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            await clock.run_until_complete(broker.aclose())
            with pytest.raises(ResolveError, match="e1>0"):
                await asking

    async def test_what_ends_after_the_listeners_is_logged(
        self, owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await clock.sleep(SECOND)
            raise AssertionError

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            asking = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            closing = asyncio.create_task(broker.aclose())
            for _ in range(2):
                await clock.settle()
                closing.cancel()
            await asyncio.wait([closing])
            with pytest.raises(ResolveError):
                await asking
        await clock.run_for(SECOND)
        assert owner.letters == []
        assert "event e1 of type com.svc.one did not reach on_dead_letter" in caplog.text
        assert (left_inside(broker), workers()) == ({}, [])

    async def test_listeners_have_their_time_even_without_a_grace(self, clock: FakeClock) -> None:
        told: list[str] = []

        async def keep(letter: DeadLetter) -> None:
            await clock.sleep(3 * SECOND)
            told.append(letter.event.id)

        async with ConcurrentEventBroker(
            [StubHandler(Gate().act)], on_dead_letter=keep, clock=clock
        ) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await clock.run_until_complete(broker.aclose(grace=timedelta(0)))
        assert told == ["e1"]


class Stubborn:
    """Swallows every cancellation until it is let go, and ends then as it is told.

    Args:
        ending: Returns or raises what comes of it in the end.
    """

    def __init__(self, ending: Callable[[ArvoEvent], list[ArvoEvent]]) -> None:
        self._ending = ending
        self._gone = asyncio.Event()
        self.swallowed = 0

    async def act(self, cause: ArvoEvent) -> list[ArvoEvent]:
        await self.stay()
        return self._ending(cause)

    async def stay(self, *told: object) -> None:
        while not self._gone.is_set():
            try:
                await self._gone.wait()
            except asyncio.CancelledError:
                self.swallowed += 1

    async def leave(self, clock: FakeClock) -> None:
        self._gone.set()
        await clock.settle()


def answer_late(cause: ArvoEvent) -> list[ArvoEvent]:
    return [emitted(cause)]


def fail_late(cause: ArvoEvent) -> list[ArvoEvent]:
    raise ConnectionError("late")


def end_late(cause: ArvoEvent) -> list[ArvoEvent]:
    raise asyncio.CancelledError


@pytest.mark.parametrize("ending", [answer_late, fail_late, end_late])
@pytest.mark.parametrize("stateful", [False, True])
class TestSwallowedCancellation:
    """Closing waits for nobody who swallows it: the event is a dead letter, once."""

    async def test_aclose_returns_within_grace_and_a_bit(
        self,
        owner: Owner,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
        ending: Callable[[ArvoEvent], list[ArvoEvent]],
        stateful: bool,
    ) -> None:
        stubborn = Stubborn(ending)
        async with broker_of(owner, clock, StubHandler(stubborn.act, stateful=stateful)) as broker:
            asking = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            before = clock.monotonic()
            await clock.run_until_complete(broker.aclose(grace=7 * SECOND))
            assert clock.monotonic() - before == 7 + 1
            with pytest.raises(ResolveError):
                await asking
            assert stubborn.swallowed == 1
            assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
            assert (left_inside(broker), caplog.records) == ({}, [])
        await stubborn.leave(clock)
        assert (owner.letters[1:], owner.errors, owner.unclaimed) == ([], [], [])
        late = "event e1 of type com.svc.one ended after it had been given up; nothing is published"
        said = [record.getMessage() for record in caplog.records]
        assert said == ([] if ending is end_late else [late])
        assert workers() == []

    async def test_a_cancelled_drain_returns_too(
        self,
        owner: Owner,
        clock: FakeClock,
        ending: Callable[[ArvoEvent], list[ArvoEvent]],
        stateful: bool,
    ) -> None:
        stubborn = Stubborn(ending)

        async def use() -> None:
            async with broker_of(
                owner, clock, StubHandler(stubborn.act, stateful=stateful)
            ) as broker:
                await broker.publish(event("e1"))

        using = asyncio.create_task(use())
        await clock.settle()
        using.cancel()
        await clock.run_for(2 * SECOND)
        assert using.cancelled()
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        await stubborn.leave(clock)
        assert workers() == []

    async def test_unsubscribing_ends_with_the_broker(
        self,
        owner: Owner,
        clock: FakeClock,
        ending: Callable[[ArvoEvent], list[ArvoEvent]],
        stateful: bool,
    ) -> None:
        stubborn = Stubborn(ending)
        async with broker_of(owner, clock) as broker:
            subscription = broker.subscribe(StubHandler(stubborn.act, stateful=stateful))
            await broker.publish(event("e1"))
            await broker.publish(event("e2"))
            leaving = asyncio.create_task(subscription.unsubscribe())
            await clock.settle()
            await clock.run_until_complete(broker.aclose(grace=timedelta(0)))
            await leaving
        assert sorted(owner.reasons) == [
            ("e1", DeadLetterReason.CLOSED),
            ("e2", DeadLetterReason.CLOSED),
        ]
        await stubborn.leave(clock)
        assert left_inside(broker) == {}


class TestSwallowedElsewhere:
    @pytest.mark.parametrize("name", ["on_dead_letter", "on_broker_error", "on_domained_event"])
    async def test_a_listener_that_swallows_its_cancellation_is_given_up_and_logged(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        stubborn = Stubborn(answer_late)

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human"), emitted(cause, 1, to="com.nobody.here")]

        listeners: dict[str, Any] = {name: stubborn.stay}
        async with ConcurrentEventBroker([StubHandler(act)], clock=clock, **listeners) as broker:
            asking = asyncio.create_task(broker.resolve(event("e1")))
            await clock.settle()
            before = clock.monotonic()
            await clock.run_until_complete(broker.aclose(grace=timedelta(0)))
            assert clock.monotonic() - before == 5 + 1
            with pytest.raises(ResolveError):
                await asking
            assert left_inside(broker) == {}
        assert f"did not reach {name}" in caplog.text
        await stubborn.leave(clock)
        assert workers() == []

    async def test_what_a_listener_brings_back_as_it_is_cancelled_is_logged(
        self, owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human")]

        async def outside(question: ArvoEvent, publish: Publish) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await publish(event("back"))

        broker = ConcurrentEventBroker(
            [StubHandler(act)],
            on_domained_event=outside,
            on_dead_letter=owner.on_dead_letter,
            clock=clock,
        )
        async with broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await clock.run_until_complete(broker.aclose(grace=timedelta(0)))
        assert "event back of type com.svc.one did not reach on_dead_letter" in caplog.text
        assert (left_inside(broker), workers()) == ({}, [])

    async def test_a_listener_that_closes_its_own_broker_is_given_up_and_logged(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def close(letter: DeadLetter) -> None:
            await broker.aclose(grace=timedelta(0))

        broker = ConcurrentEventBroker([], on_dead_letter=close, clock=clock)
        async with broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await clock.run_until_complete(broker.drain())
        logged = [
            record.getMessage() for record in caplog.records if "is dead" not in record.getMessage()
        ]
        reached = "event e1 of type com.svc.one did not reach on_dead_letter, which was cancelled"
        assert logged == [reached]
        assert (left_inside(broker), workers()) == ({}, [])

    @pytest.mark.parametrize("fails", [False, True])
    @pytest.mark.parametrize("where", ["on_error", "input", "output"])
    async def test_whatever_user_code_swallows_it(
        self, owner: Owner, clock: FakeClock, where: str, fails: bool
    ) -> None:
        stubborn = Stubborn(answer_late)

        async def stay(first: Any, *told: object) -> Any:
            await stubborn.stay()
            if fails:
                raise KeyError("late")
            return ErrorResponse.RETRY if where == "on_error" else first

        handler = failing(9, ConnectionError("no")) if where == "on_error" else answering()
        config = HandlerConfig(
            handler,
            on_error=stay if where == "on_error" else None,
            middleware=Middleware(
                input=stay if where == "input" else None,
                output=Bulk(stay) if where == "output" else None,
            ),
        )
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
            await clock.settle()
            await clock.run_until_complete(broker.aclose(grace=SECOND))
            assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        await stubborn.leave(clock)
        assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
        assert (owner.errors, owner.unclaimed, workers()) == ([], [], [])


def test_a_worker_whose_event_loop_is_gone_speaks_no_more() -> None:
    """Nobody runs any more whom it could tell."""
    owner, clock = Owner(), FakeClock()

    async def use() -> ConcurrentEventBroker:
        broker = await broker_of(owner, clock, StubHandler(Gate().act)).__aenter__()
        await broker.publish(event("e1"))
        await clock.settle()
        return broker

    loop = asyncio.new_event_loop()
    broker = loop.run_until_complete(use())
    [worker] = broker._router.topics["com.svc.one"]._workers
    steps = worker.get_coro()
    assert steps is not None
    steps.close()
    loop.close()
    assert owner.letters == []


async def test_a_duration_below_zero_is_refused(owner: Owner, clock: FakeClock) -> None:
    below = -SECOND
    async with broker_of(owner, clock, answering()) as broker:
        for name, refused in (
            ("timeout", broker.resolve(event("e1"), timeout=below)),
            ("timeout", broker.wait_idle(timeout=below)),
            ("grace", broker.aclose(grace=below)),
        ):
            with pytest.raises(ValueError, match=f"{name} must not be negative"):
                await refused
        assert await broker.resolve(event("e2")) is not None


@pytest.mark.parametrize("ending", [fail_late, answer_late])
async def test_nobody_is_asked_about_what_ends_after_it_was_given_up(
    owner: Owner, clock: FakeClock, ending: Callable[[ArvoEvent], list[ArvoEvent]]
) -> None:
    """Neither `on_error` nor output middleware, and nothing is told twice."""
    asked: list[object] = []

    def on_error(failed: FailedTry) -> ErrorResponse:
        asked.append(failed)
        return ErrorResponse.RETRY

    def leave(output: ArvoEvent, cause: ArvoEvent) -> ArvoEvent:
        asked.append(output)
        raise KeyError("middleware")

    stubborn = Stubborn(ending)
    config = HandlerConfig(
        StubHandler(stubborn.act), on_error=on_error, middleware=Middleware(output=leave)
    )
    async with broker_of(owner, clock, config) as broker:
        await broker.publish(event("e1"))
        await clock.settle()
        await clock.run_until_complete(broker.aclose(grace=timedelta(0)))
        told = (owner.reasons, owner.errors[:])
    await stubborn.leave(clock)
    assert told[0] == [("e1", DeadLetterReason.CLOSED)]
    assert (owner.reasons, owner.errors) == told
    assert asked == []


async def test_output_middleware_that_fails_after_it_was_given_up_makes_no_second_dead_letter(
    owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = Stubborn(fail_late)

    async def leave(output: ArvoEvent, cause: ArvoEvent) -> ArvoEvent:
        [late] = await stubborn.act(cause)
        return late

    config = HandlerConfig(answering(), middleware=Middleware(output=leave))
    async with broker_of(owner, clock, config) as broker:
        await broker.publish(event("e1"))
        await clock.settle()
        await clock.run_until_complete(broker.aclose(grace=timedelta(0)))
        told = (owner.reasons, owner.errors[:])
        await stubborn.leave(clock)
    assert told[0] == [("e1", DeadLetterReason.CLOSED)]
    assert (owner.reasons, owner.errors) == told
    said = "event e1 of type com.svc.one ended after it had been given up; nothing is published"
    assert [record.getMessage() for record in caplog.records] == [said]


async def test_a_failure_of_on_error_after_its_event_was_given_up_is_logged(
    owner: Owner, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = Stubborn(fail_late)

    async def on_error(failed: FailedTry) -> ErrorResponse:
        await stubborn.act(failed.event)
        raise AssertionError("it fails")

    config = HandlerConfig(failing(9, ConnectionError("no")), on_error=on_error)
    async with broker_of(owner, clock, config) as broker:
        await broker.publish(event("e1"))
        await clock.settle()
        await clock.run_until_complete(broker.aclose(grace=timedelta(0)))
        await stubborn.leave(clock)
    assert owner.reasons == [("e1", DeadLetterReason.CLOSED)]
    late, failed = caplog.records
    assert "e1 of type com.svc.one ended after it had been given up" in late.getMessage()
    assert failed.levelname == "ERROR"
    assert failed.exc_info is not None
    assert str(failed.exc_info[1]) == "late"
