"""Where events go: to a handler, outside, or to the dead letters."""

import asyncio

import pytest

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation, ResolveError
from arvo_event_handler.delivery import BrokerClosedError, DeadLetterReason, HandlerConfig, Publish
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, Gate, Owner, broker_of, workers
from .stub_handler import APP, ONE, TWO, StubHandler, emitted, event


class TestRouting:
    async def test_an_event_goes_to_the_handler_it_is_for(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        one, two = StubHandler(), StubHandler(source=TWO)
        async with broker_of(owner, clock, one, two) as broker:
            await broker.publish(event("e1", to=TWO))
        assert (one.tried, two.tried) == ([], ["e1"])

    async def test_an_output_goes_to_its_handler(self, owner: Owner, clock: FakeClock) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to=TWO)]

        two = StubHandler(source=TWO)
        async with broker_of(owner, clock, StubHandler(act), two) as broker:
            await broker.publish(event("e1"))
        assert two.tried == ["e1>0"]

    async def test_an_event_without_a_handler_is_a_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with broker_of(owner, clock, StubHandler()) as broker:
            await broker.publish(event("e1", to="com.nobody.here"))
        assert owner.reasons == [("e1", DeadLetterReason.UNROUTABLE)]
        assert "com.nobody.here" in owner.errors[0][1]

    async def test_an_event_to_its_own_source_gets_no_answer(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with broker_of(owner, clock, StubHandler()) as broker:
            with pytest.raises(ResolveError):
                await broker.resolve(event("e1", to=APP))
            await broker.publish(event("e2", to=APP))
        unroutable = DeadLetterReason.UNROUTABLE
        assert owner.reasons == [("e1", unroutable), ("e2", unroutable)]

    async def test_without_listeners_a_dead_letter_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ConcurrentEventBroker([StubHandler()]) as broker:
            await broker.publish(event("e1", to="com.nobody.here"))
        assert any(
            "is dead (unroutable, attempts: 0): UnroutableError: " in record.message
            for record in caplog.records
        )

    async def test_two_handlers_of_one_source_are_refused(self) -> None:
        with pytest.raises(ConfigViolation, match="two handlers"):
            ConcurrentEventBroker([StubHandler(), StubHandler()])


class TestDomains:
    def emitting(self, domain: str) -> StubHandler:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to="com.human.review", domain=domain)]

        return StubHandler(act)

    async def test_an_event_that_comes_back_from_outside_belongs_to_the_tree(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def outside(question: ArvoEvent, publish: Publish) -> None:
            await clock.sleep(SECOND)
            await publish(emitted(question, to=TWO))

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to=APP)]

        broker = ConcurrentEventBroker(
            [self.emitting("human.review"), StubHandler(act, source=TWO)],
            on_domained_event=outside,
            clock=clock,
        )
        async with broker:
            answer = await clock.run_until_complete(broker.resolve(event("e1")))
        assert answer is not None
        assert answer.id == "e1>0>0>0"

    async def test_an_error_of_on_domained_event_is_reported_and_fails_the_tree(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def outside(question: ArvoEvent, publish: Publish) -> None:
            raise ConnectionError("mail server")

        broker = ConcurrentEventBroker(
            [self.emitting("human.review")],
            on_domained_event=outside,
            on_broker_error=owner.on_broker_error,
            clock=clock,
        )
        async with broker:
            with pytest.raises(ResolveError, match="mail server"):
                await broker.resolve(event("e1"))
        assert owner.errors == [("e1>0", "mail server")]

    async def test_a_domained_event_without_a_listener_is_a_dead_letter(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async with broker_of(owner, clock, self.emitting("human.review")) as broker:
            await broker.publish(event("e1"))
        assert owner.reasons == [("e1>0", DeadLetterReason.UNROUTABLE)]

    async def test_an_event_from_outside_goes_to_its_topic_whatever_its_domain(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handler = StubHandler()
        async with broker_of(owner, clock, handler) as broker:
            await broker.publish(event("e1", domain="human.review"))
        assert handler.tried == ["e1"]


class TestLateReplies:
    """The outside may keep `publish` and call it after the tree that asked has ended."""

    @staticmethod
    def asking() -> StubHandler:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to="com.human.review", domain="human.review")]

        return StubHandler(act)

    async def test_a_late_reply_to_the_asker_is_unclaimed(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        asked: list[tuple[ArvoEvent, Publish]] = []

        async def outside(question: ArvoEvent, publish: Publish) -> None:
            asked.append((question, publish))

        async with ConcurrentEventBroker(
            [self.asking()],
            on_domained_event=outside,
            on_unclaimed=owner.on_unclaimed,
            on_dead_letter=owner.on_dead_letter,
            clock=clock,
        ) as broker:
            assert await broker.resolve(event("e1")) is None
            [(question, publish)] = asked
            await publish(emitted(question, to=APP))
        assert (owner.unclaimed, owner.letters) == (["e1>0>0"], [])

    async def test_a_late_reply_waits_for_a_place_like_any_event_from_outside(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        gate = Gate()
        asked: list[tuple[ArvoEvent, Publish]] = []

        async def outside(question: ArvoEvent, publish: Publish) -> None:
            asked.append((question, publish))

        slow = HandlerConfig(StubHandler(gate.act, source=TWO), prefetch=1)
        async with ConcurrentEventBroker(
            [self.asking(), slow], on_domained_event=outside, max_queued=1, clock=clock
        ) as broker:
            assert await broker.resolve(event("e1")) is None
            await broker.publish(event("e2", to=TWO))
            await clock.settle()
            await broker.publish(event("e3", to=TWO))
            [(question, publish)] = asked
            late = asyncio.ensure_future(publish(emitted(question, to=TWO)))
            await clock.settle()
            assert not late.done()
            gate.open()
            await late

    async def test_a_late_reply_to_a_closed_broker_is_refused(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        asked: list[tuple[ArvoEvent, Publish]] = []

        async def outside(question: ArvoEvent, publish: Publish) -> None:
            asked.append((question, publish))

        async with ConcurrentEventBroker(
            [self.asking()], on_domained_event=outside, clock=clock
        ) as broker:
            await broker.publish(event("e1"))
        [(question, publish)] = asked
        with pytest.raises(BrokerClosedError):
            await publish(emitted(question, to=ONE))
        assert workers() == []


async def test_an_output_for_later_ends_its_event_instead_of_leaving_now(
    owner: Owner, clock: FakeClock
) -> None:
    async def act(cause: ArvoEvent) -> list[ArvoEvent]:
        late = emitted(cause, 1, to=TWO).to_dict() | {"notbefore": "2030-01-01T00:00:00Z"}
        return [emitted(cause, 0, to=TWO), ArvoEvent.from_dict(late)]

    two = StubHandler(source=TWO)
    async with broker_of(owner, clock, StubHandler(act), two) as broker:
        await broker.publish(event("a"))
    assert owner.reasons == [("a", DeadLetterReason.NOT_RETRYABLE)]
    assert isinstance(owner.letters[0].error, ConfigViolation)
    assert two.tried == []
