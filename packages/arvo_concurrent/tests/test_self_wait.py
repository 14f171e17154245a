"""A handler that would wait for itself gets an error instead of waiting indefinitely."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import timedelta
from typing import Any

import pytest

from arvo_concurrent import ConcurrentEventBroker, Subscription
from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation, IArvoEventHandler, ResolveError
from arvo_event_handler.delivery import DeadLetterReason, HandlerConfig, Publish
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, STEADY, Gate, Owner, broker_of, left_inside
from .stub_handler import APP, ONE, TWO, StubHandler, answering, emitted, event

ONCE = RetryPolicy(retries=0)
REMEDY = "return the event as an output instead of awaiting the broker"


@asynccontextmanager
async def finishing(
    clock: FakeClock, broker: ConcurrentEventBroker
) -> AsyncIterator[ConcurrentEventBroker]:
    """Run a broker, and let it become idle before it takes nothing more."""
    async with broker:
        yield broker
        await clock.run_until_complete(broker.wait_idle())


class Asker:
    """A handler that awaits the broker it runs in."""

    def __init__(
        self,
        act: Callable[[ConcurrentEventBroker, ArvoEvent], Awaitable[object]],
        *,
        source: str = ONE,
        stateful: bool = False,
    ) -> None:
        self.broker: ConcurrentEventBroker | None = None
        self.handler = StubHandler(self._act, source=source, stateful=stateful)
        self._ask = act
        self.heard: list[object] = []

    async def _act(self, cause: ArvoEvent) -> list[ArvoEvent]:
        if not cause.id.startswith("e"):
            return [emitted(cause)] if cause.source == APP else []
        assert self.broker is not None
        self.heard.append(await self._ask(self.broker, cause))
        return [emitted(cause)]


def resolving(
    *, to: str, subject: str = "s"
) -> Callable[[ConcurrentEventBroker, ArvoEvent], Awaitable[object]]:
    async def ask(broker: ConcurrentEventBroker, cause: ArvoEvent) -> object:
        return await broker.resolve(event(f"q-{cause.id}", to=to, subject=subject))

    return ask


def refused(owner: Owner) -> list[str]:
    """The ids of what died because it would have waited for itself."""
    for letter in owner.letters:
        assert isinstance(letter.error, ConfigViolation)
        assert REMEDY in str(letter.error)
    return [letter.event.id for letter in owner.letters]


class TestResolve:
    @pytest.mark.parametrize("stateful", [False, True])
    async def test_of_the_only_slot_of_the_handler_itself_raises(
        self, owner: Owner, clock: FakeClock, stateful: bool
    ) -> None:
        asker = Asker(resolving(to=ONE, subject="another"), stateful=stateful)
        config = HandlerConfig(asker.handler, prefetch=1, retry=ONCE)
        async with finishing(clock, broker_of(owner, clock, config)) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
        assert refused(owner) == ["e1"]
        assert asker.handler.tried == ["e1"]
        assert left_inside(broker) == {}

    async def test_of_the_lane_that_the_handler_holds_raises(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        asker = Asker(resolving(to=ONE), stateful=True)
        config = HandlerConfig(asker.handler, prefetch=16, retry=ONCE)
        async with finishing(clock, broker_of(owner, clock, config)) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
        assert refused(owner) == ["e1"]

    async def test_of_another_lane_or_a_free_slot_is_answered(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        asker = Asker(resolving(to=ONE, subject="another"), stateful=True)
        async with finishing(
            clock, broker_of(owner, clock, HandlerConfig(asker.handler, prefetch=2))
        ) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
        assert [getattr(answer, "id", None) for answer in asker.heard] == ["q-e1>0"]
        assert owner.letters == []

    async def test_of_another_handler_is_answered(self, owner: Owner, clock: FakeClock) -> None:
        asker = Asker(resolving(to=TWO))
        other = Asker(resolving(to=ONE), source=TWO)
        handlers = [HandlerConfig(each.handler, prefetch=1) for each in (asker, other)]
        async with finishing(clock, broker_of(owner, clock, *handlers)) as broker:
            asker.broker = other.broker = broker
            for number in range(5):
                await broker.publish(event(f"e{number}"))
        assert len(asker.heard) == 5
        assert owner.letters == []

    async def test_that_comes_back_through_another_handler_raises(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """The event that would wait is not lost: it is handled once the asker has given up."""

        async def pass_on(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, number, to=ONE) for number in range(2)]

        asker = Asker(resolving(to=TWO))
        config = HandlerConfig(asker.handler, prefetch=1, retry=ONCE)
        async with finishing(
            clock, broker_of(owner, clock, config, StubHandler(pass_on, source=TWO))
        ) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
        assert refused(owner) == ["e1"]
        assert asker.handler.tried == ["e1", "q-e1>0", "q-e1>1"]

    @pytest.mark.parametrize("askers", [1, 2])
    @pytest.mark.parametrize("place", [0, 1])
    async def test_whose_answer_needs_nothing_of_what_waits_is_answered(
        self, owner: Owner, clock: FakeClock, askers: int, place: int
    ) -> None:
        """A note for the asker comes beside the answer, before it or after it."""
        all_ask = Gate()

        async def answer(cause: ArvoEvent) -> list[ArvoEvent]:
            outputs = [emitted(cause)]
            outputs.insert(place, emitted(cause, 1, to=ONE))
            return outputs

        async def ask(broker: ConcurrentEventBroker, cause: ArvoEvent) -> object:
            if asker.handler.running == askers:
                all_ask.open()
            await all_ask.opened()
            return await broker.resolve(event(f"q-{cause.id}", to=TWO))

        asker = Asker(ask)
        config = HandlerConfig(asker.handler, prefetch=askers, retry=ONCE)
        async with finishing(
            clock, broker_of(owner, clock, config, StubHandler(answer, source=TWO))
        ) as broker:
            asker.broker = broker
            for number in range(askers):
                await broker.publish(event(f"e{number}"))
        assert owner.letters == []
        assert len(asker.heard) == askers
        assert len(asker.handler.tried) == 2 * askers
        assert left_inside(broker) == {}

    @pytest.mark.parametrize("answers", [True, False])
    @pytest.mark.parametrize("fails", [0, 1])
    async def test_raises_only_when_nothing_of_it_goes_on(
        self, owner: Owner, clock: FakeClock, answers: bool, fails: int
    ) -> None:
        """One branch waits for the asker, the other one takes its time, and sometimes two tries."""
        gate = Gate()

        async def split(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, 0, to=ONE), emitted(cause, 1, to="com.svc.three")]

        async def take_time(cause: ArvoEvent) -> list[ArvoEvent]:
            await gate.opened()
            if len(slow.tried) <= fails:
                raise ConnectionError("no")
            return [emitted(cause, to=APP)] if answers else []

        asker = Asker(resolving(to=TWO))
        slow = StubHandler(take_time, source="com.svc.three")
        config = HandlerConfig(asker.handler, prefetch=1, retry=ONCE)
        async with finishing(
            clock, broker_of(owner, clock, config, StubHandler(split, source=TWO), slow)
        ) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
            await clock.settle()
            assert owner.letters == []
            gate.open()
        assert refused(owner) == ([] if answers else ["e1"])
        assert asker.handler.tried == ["e1", "q-e1>0"]
        assert left_inside(broker) == {}

    async def test_whose_branches_all_come_back_raises(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """To the handler that asks, and to another one whose only slot is held by one that asks."""

        async def split(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, 0, to=ONE), emitted(cause, 1, to="com.svc.three")]

        gate = Gate()
        asker = Asker(resolving(to=TWO))
        other = Asker(resolving(to="com.svc.four"), source="com.svc.three")
        handlers: list[HandlerConfig | IArvoEventHandler] = [
            HandlerConfig(asker.handler, prefetch=1, retry=ONCE),
            HandlerConfig(other.handler, prefetch=1, retry=ONCE),
            StubHandler(split, source=TWO),
            StubHandler(gate.act, source="com.svc.four"),
        ]
        async with finishing(clock, broker_of(owner, clock, *handlers)) as broker:
            asker.broker = other.broker = broker
            await broker.publish(event("e2", to="com.svc.three"))
            await clock.settle()
            await broker.publish(event("e1"))
            await clock.settle()
            assert refused(owner) == ["e1"]
            gate.open()
        assert refused(owner) == ["e1"]
        assert left_inside(broker) == {}

    async def test_of_a_broker_that_closes_tells_what_was_not_done(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """Not that it waits for itself, although what comes back to it waits until then."""
        gate = Gate()
        failed: list[Exception] = []

        async def ask(broker: ConcurrentEventBroker, cause: ArvoEvent) -> None:
            try:
                await broker.resolve(event(f"q-{cause.id}", to=TWO))
            except Exception as error:
                failed.append(error)

        async def split(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, number, to=to) for number, to in enumerate([ONE, ONE, "com.x"])]

        asker = Asker(ask)
        handlers: list[HandlerConfig | IArvoEventHandler] = [
            HandlerConfig(asker.handler, prefetch=1, retry=ONCE),
            StubHandler(split, source=TWO),
            HandlerConfig(StubHandler(gate.act, source="com.x"), retry=ONCE),
        ]
        async with broker_of(owner, clock, *handlers) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
            await clock.settle()
            closing = asyncio.create_task(broker.aclose())
            await clock.settle()
            gate.open()
            await closing
        assert [type(error) for error in failed] == [ResolveError]
        assert left_inside(broker) == {}

    async def test_that_asks_back_raises_in_whoever_closes_the_circle(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        asker = Asker(resolving(to=TWO))

        async def ask_back(cause: ArvoEvent) -> list[ArvoEvent]:
            await broker.resolve(event("back", to=ONE))
            return []

        handlers: list[HandlerConfig | IArvoEventHandler] = [
            HandlerConfig(asker.handler, prefetch=1, retry=ONCE),
            HandlerConfig(StubHandler(ask_back, source=TWO), prefetch=1, retry=ONCE),
        ]
        async with finishing(clock, broker_of(owner, clock, *handlers)) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
        assert refused_ids(owner) == ["q-e1", "e1"]

    async def test_in_a_task_of_the_handler_raises_as_well(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def ask_twice(broker: ConcurrentEventBroker, cause: ArvoEvent) -> object:
            return await asyncio.gather(
                *(broker.resolve(event(f"q{number}")) for number in range(2))
            )

        asker = Asker(ask_twice)
        config = HandlerConfig(asker.handler, prefetch=1, retry=ONCE)
        async with finishing(clock, broker_of(owner, clock, config)) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
        assert refused(owner) == ["e1"]

    async def test_of_slots_that_all_wait_likewise_raises_and_the_rest_goes_on(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """Handlers that hold all slots and ask for one more: who comes last gives up, for now."""
        asker = Asker(resolving(to=ONE))
        retry = RetryPolicy(retries=9)
        async with finishing(
            clock, broker_of(owner, clock, HandlerConfig(asker.handler, prefetch=3, retry=retry))
        ) as broker:
            asker.broker = broker
            for number in range(9):
                await broker.publish(event(f"e{number}"))
            await clock.run_until_complete(broker.wait_idle())
        assert len(asker.heard) == 9
        assert owner.letters == []

    async def test_through_another_broker_raises(self, owner: Owner, clock: FakeClock) -> None:
        async def ask_outer(cause: ArvoEvent) -> list[ArvoEvent]:
            await outer.resolve(event("back"))
            return [emitted(cause)]

        asker = Asker(resolving(to=TWO))
        inner_config = HandlerConfig(StubHandler(ask_outer, source=TWO), retry=ONCE)
        config = HandlerConfig(asker.handler, prefetch=1, retry=ONCE)
        inner_owner = Owner()
        async with (
            broker_of(owner, clock, config) as outer,
            broker_of(inner_owner, clock, inner_config) as inner,
        ):
            asker.broker = inner
            await outer.publish(event("e1"))
            await outer.wait_idle()
        assert refused(inner_owner) == ["q-e1"]

    async def test_after_the_handler_has_ended_waits_as_from_anywhere(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        later: list[asyncio.Task[ArvoEvent | None]] = []
        gate = Gate()

        async def ask_later(broker: ConcurrentEventBroker, cause: ArvoEvent) -> None:
            async def ask() -> ArvoEvent | None:
                await gate.opened()
                return await broker.resolve(event("q1"))

            later.append(asyncio.create_task(ask()))

        asker = Asker(ask_later)
        async with finishing(
            clock, broker_of(owner, clock, HandlerConfig(asker.handler, prefetch=1))
        ) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
            await broker.wait_idle()
            gate.open()
            assert await later[0] is not None
        assert owner.letters == []

    async def test_of_a_slot_whose_handler_has_ended_while_its_task_still_asks_is_answered(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        asking: list[asyncio.Task[Any]] = []

        async def act(broker: ConcurrentEventBroker, cause: ArvoEvent) -> object:
            if cause.id == "e1":
                slow = broker.resolve(event("slow", to=TWO))
                asking.append(asyncio.create_task(slow))
                await asyncio.sleep(0)
            return None

        async def ask_when_opened(cause: ArvoEvent) -> list[ArvoEvent]:
            await gate.opened()
            assert await broker.resolve(event("q9")) is not None
            return [emitted(cause)]

        async def ask_one(cause: ArvoEvent) -> list[ArvoEvent]:
            answer = await broker.resolve(event("e2"))
            return [] if answer is None else [emitted(cause)]

        asker = Asker(act)
        handlers: list[HandlerConfig | IArvoEventHandler] = [
            HandlerConfig(asker.handler, prefetch=1, retry=ONCE),
            StubHandler(ask_when_opened, source=TWO),
            StubHandler(ask_one, source="com.svc.three"),
        ]
        async with broker_of(owner, clock, *handlers) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
            await clock.settle()
            assert await broker.resolve(event("three", to="com.svc.three")) is not None
            gate.open()
            await asking[0]
        assert owner.letters == []
        assert left_inside(broker) == {}

    @pytest.mark.parametrize("stateful", [False, True])
    @pytest.mark.parametrize("answered", ["before the retry", "during the retry", "after it"])
    async def test_a_task_left_over_from_an_earlier_try_changes_nothing(
        self, owner: Owner, clock: FakeClock, stateful: bool, answered: str
    ) -> None:
        """What it still waits for is no affair of the next try, nor of the next event."""
        slow, second = Gate(), Gate()

        async def fail() -> None:
            raise ConnectionError("no")

        async def act(broker: ConcurrentEventBroker, cause: ArvoEvent) -> object:
            if cause.id == "e1" and asker.handler.tried.count("e1") == 1:
                await asyncio.gather(broker.resolve(event("slow", to=TWO)), fail())
            if cause.id == "e1":
                await second.opened()
                return None
            return await broker.resolve(event(f"q-{cause.id}"))  # by the only slot

        asker = Asker(act, stateful=stateful)
        retry = RetryPolicy(retries=1, backoff=STEADY)
        config = HandlerConfig(asker.handler, prefetch=1, retry=retry)
        other = StubHandler(slow.act, source=TWO)
        async with broker_of(owner, clock, config, other) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
            await clock.settle()
            for moment in ("before the retry", "during the retry", "after it"):
                if moment == answered:
                    slow.open()
                    await clock.settle()
                if moment == "before the retry":
                    await clock.run_for(SECOND)
                if moment == "during the retry":
                    second.open()
                    await clock.settle()
            await broker.publish(event("e2"))
            await clock.run_until_complete(broker.wait_idle())
        assert asker.handler.tried == ["e1", "e1", "e2", "e2"]
        assert refused(owner) == ["e2"]
        assert left_inside(broker) == {}

    async def test_in_a_listener_that_holds_up_its_handler_raises(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human")]

        async def outside(question: ArvoEvent, publish: Publish) -> None:
            await broker.resolve(event("back"))

        asker = Asker(resolving(to=TWO))
        broker = ConcurrentEventBroker(
            [
                HandlerConfig(asker.handler, prefetch=1, retry=ONCE),
                StubHandler(act, source=TWO),
            ],
            on_domained_event=outside,
            on_dead_letter=owner.on_dead_letter,
            on_broker_error=owner.on_broker_error,
            clock=clock,
        )
        async with finishing(clock, broker):
            asker.broker = broker
            await broker.publish(event("e1"))
        assert any(REMEDY in said for _, said in owner.errors)
        assert left_inside(broker) == {}

    async def test_in_as_many_listeners_as_there_are_raises(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """Each waits for an event that only another listener could take."""

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human")]

        asked: list[str] = []

        async def outside(question: ArvoEvent, publish: Publish) -> None:
            asked.append(question.id)
            if question.id.startswith("e"):
                await broker.resolve(event(f"q-{question.id}"))

        broker = ConcurrentEventBroker(
            [StubHandler(act)],
            on_domained_event=outside,
            on_broker_error=owner.on_broker_error,
            clock=clock,
        )
        async with finishing(clock, broker):
            for number in range(40):
                await broker.publish(event(f"e{number}"))
        assert len(asked) == 80
        assert any(REMEDY in said for _, said in owner.errors)
        assert left_inside(broker) == {}


def refused_ids(owner: Owner) -> list[str]:
    return [letter.event.id for letter in owner.letters]


class TestPublish:
    @staticmethod
    async def publish(broker: ConcurrentEventBroker, cause: ArvoEvent) -> None:
        for number in range(3):
            await broker.publish(event(f"p{number}", to=TWO))

    async def test_that_does_not_wait_is_taken(self, owner: Owner, clock: FakeClock) -> None:
        asker = Asker(self.publish)
        other = StubHandler(source=TWO)
        async with finishing(
            clock, broker_of(owner, clock, asker.handler, other, max_queued=3)
        ) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
        assert other.tried == ["p0", "p1", "p2"]

    async def test_that_would_wait_for_a_place_raises(self, owner: Owner, clock: FakeClock) -> None:
        asker = Asker(self.publish)
        gate = Gate()
        slow = HandlerConfig(StubHandler(gate.act, source=TWO), prefetch=1)
        config = HandlerConfig(asker.handler, retry=ONCE)
        async with finishing(clock, broker_of(owner, clock, config, slow, max_queued=1)) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
            await clock.settle()
            gate.open()
        assert refused(owner) == ["e1"]

    async def test_a_resolve_that_would_wait_for_a_place_raises(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()

        async def ask(broker: ConcurrentEventBroker, cause: ArvoEvent) -> object:
            broker.publish_nowait(event("p1", to=TWO))
            return await broker.resolve(event("q1", to=TWO))

        asker = Asker(ask)
        slow = StubHandler(gate.act, source=TWO)
        config = HandlerConfig(asker.handler, retry=ONCE)
        async with finishing(clock, broker_of(owner, clock, config, slow, max_queued=1)) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
            await clock.settle()
            gate.open()
        assert refused(owner) == ["e1"]
        assert left_inside(broker) == {}

    async def test_it_is_worth_another_try(self, owner: Owner, clock: FakeClock) -> None:
        gate = Gate()
        asker = Asker(self.publish_one)
        slow = HandlerConfig(StubHandler(gate.act, source=TWO), prefetch=1)
        async with finishing(
            clock, broker_of(owner, clock, asker.handler, slow, max_queued=1)
        ) as broker:
            asker.broker = broker
            await broker.publish(event("x1", to=TWO))
            await clock.settle()
            await broker.publish(event("e1"))
            broker_full = asyncio.create_task(broker.publish(event("x2", to=TWO)))
            await clock.settle()
            gate.open()
            await broker_full
            await clock.run_until_complete(broker.wait_idle())
        assert [letter.event.id for letter in owner.letters] == []
        assert len(asker.heard) == 1

    @staticmethod
    async def publish_one(broker: ConcurrentEventBroker, cause: ArvoEvent) -> None:
        await broker.publish(event("p1", to=TWO))

    async def test_a_listener_waits_for_its_place_as_anybody(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        slow = HandlerConfig(StubHandler(gate.act, source=TWO), prefetch=1)

        async def again(answer: ArvoEvent) -> None:
            for number in range(3):
                await broker.publish(event(f"p{number}", to=TWO))

        broker = ConcurrentEventBroker(
            [answering(), slow],
            on_unclaimed=again,
            on_dead_letter=owner.on_dead_letter,
            on_broker_error=owner.on_broker_error,
            max_queued=1,
            clock=clock,
        )
        async with finishing(clock, broker):
            await broker.publish(event("e1"))
            await clock.settle()
            gate.open()
            await clock.settle()
            assert (owner.letters, owner.errors) == ([], [])
            await broker.aclose(grace=timedelta(0))


class TestEnding:
    @pytest.mark.parametrize("name", ["drain", "wait_idle", "unsubscribe"])
    async def test_a_handler_that_waits_for_the_end_of_everything_gets_an_error(
        self, owner: Owner, clock: FakeClock, name: str
    ) -> None:
        subscriptions: list[Subscription] = []

        async def end(broker: ConcurrentEventBroker, cause: ArvoEvent) -> None:
            if name == "unsubscribe":
                await subscriptions[0].unsubscribe()
            await getattr(broker, name)()

        asker = Asker(end)
        async with finishing(clock, broker_of(owner, clock)) as broker:
            asker.broker = broker
            subscriptions.append(broker.subscribe(HandlerConfig(asker.handler, retry=ONCE)))
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.NOT_RETRYABLE)]
        assert "would wait for itself" in str(owner.letters[0].error)

    async def test_a_listener_that_drains_gets_an_error(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def drain(answer: ArvoEvent) -> None:
            await broker.drain()

        broker = ConcurrentEventBroker(
            [answering()], on_unclaimed=drain, on_broker_error=owner.on_broker_error, clock=clock
        )
        async with finishing(clock, broker):
            await broker.publish(event("e1"))
        assert ["would wait for itself" in said for _, said in owner.errors] == [True]

    @pytest.mark.parametrize("name", ["drain", "wait_idle", "unsubscribe"])
    @pytest.mark.parametrize("how", ["gather", "task", "group"])
    async def test_a_task_that_a_handler_awaits_gets_it_too(
        self, owner: Owner, clock: FakeClock, name: str, how: str
    ) -> None:
        async def end(broker: ConcurrentEventBroker, cause: ArvoEvent) -> None:
            ends = subscription.unsubscribe if name == "unsubscribe" else getattr(broker, name)
            if how == "gather":
                await asyncio.gather(ends())
            elif how == "task":
                await asyncio.create_task(ends())
            else:
                await asyncio.wait([task := asyncio.create_task(ends())])
                await task

        asker = Asker(end)
        async with finishing(clock, broker_of(owner, clock)) as broker:
            asker.broker = broker
            subscription = broker.subscribe(HandlerConfig(asker.handler, retry=ONCE))
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.NOT_RETRYABLE)]

    async def test_a_handler_may_not_await_the_end_of_another(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        """That one may be waiting for it."""

        async def end(broker: ConcurrentEventBroker, cause: ArvoEvent) -> None:
            await subscription.unsubscribe()

        asker = Asker(end)
        config = HandlerConfig(asker.handler, retry=ONCE)
        async with finishing(clock, broker_of(owner, clock, config)) as broker:
            asker.broker = broker
            subscription = broker.subscribe(StubHandler(source=TWO))
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1", DeadLetterReason.NOT_RETRYABLE)]

    @pytest.mark.parametrize("name", ["drain", "wait_idle"])
    async def test_a_listeners_task_gets_it_too(
        self, owner: Owner, clock: FakeClock, name: str
    ) -> None:
        async def end(answer: ArvoEvent) -> None:
            await asyncio.gather(getattr(broker, name)())

        broker = ConcurrentEventBroker(
            [answering()], on_unclaimed=end, on_broker_error=owner.on_broker_error, clock=clock
        )
        async with finishing(clock, broker):
            await broker.publish(event("e1"))
        assert ["would wait for itself" in said for _, said in owner.errors] == [True]

    async def test_a_listener_may_end_a_handler_that_does_not_wait_for_it(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def end(answer: ArvoEvent) -> None:
            await subscription.unsubscribe()

        broker = ConcurrentEventBroker(
            [], on_unclaimed=end, on_broker_error=owner.on_broker_error, clock=clock
        )
        async with finishing(clock, broker):
            subscription = broker.subscribe(answering())
            await broker.publish(event("e1"))
        assert (owner.errors, broker.stats.topics) == ([], {})

    async def test_a_task_with_a_context_of_its_own_may_end_the_broker(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        ending: list[asyncio.Task[Any]] = []

        async def end(broker: ConcurrentEventBroker, cause: ArvoEvent) -> None:
            ending.append(asyncio.create_task(broker.drain(), context=Context()))
            await clock.sleep(SECOND)

        asker = Asker(end)
        async with finishing(clock, broker_of(owner, clock, asker.handler)) as broker:
            asker.broker = broker
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
            await ending[0]
        # What the handler answers after the door is shut is still carried.
        assert owner.unclaimed == ["e1>0"]
