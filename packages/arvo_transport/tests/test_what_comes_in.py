"""The door, domains, versions that are too new, events that have expired, and services to come."""

from datetime import timedelta
from typing import Any

import pytest

from arvo_core import ArvoEvent, SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    SimpleMachineMemory,
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
)
from arvo_event_handler.delivery import HandlerConfig, Publish
from arvo_time import RetryPolicy
from arvo_transport import DOOR, TopicSpec

from .bench import ONE, SECOND, STEADY, TWO, Bench, StubHandler, emitted, event, failing, ids
from .nested_flow import Number, child_contract, contracts, flow_of

MINUTE = timedelta(minutes=1)


def versions(*numbers: str) -> ArvoEventHandler:
    """Return a handler that knows some versions of one contract."""

    async def act(call: HandlerInput[Number]) -> Emit:
        return Emit("evt.svc.one.success", call.data)

    contract = SimpleArvoContract(
        uri="#/svc/one",
        type="svc.one",
        versions=[SimpleVersion(number, accepts=Number, emits=Number) for number in numbers],
    )
    return ArvoEventHandler(contract=contract, handler=dict.fromkeys(numbers, act))


def request(version: str) -> ArvoEvent:
    to = versions("1.0.0").source
    return event("e1", to=to, data={"value": 1}, dataschema=f"#/svc/one/{version}")


class TestDoor:
    async def test_an_event_goes_to_its_topic(self, bench: Bench) -> None:
        handler = StubHandler()
        async with bench.worker(handler):
            bench.engine.put(event("e1").to_json().encode())
            await bench.clock.settle()
        assert handler.tried == ["e1"]
        assert (await bench.depth(DOOR)).in_hand == 0

    @pytest.mark.parametrize(
        ("attributes", "why"),
        [
            ({"to": "com.nobody.there"}, "com.nobody.there"),
            ({"type": "arvo.workflow.cancel"}, "internal"),
            ({"type": "arvo.timer.due"}, "internal"),
            ({"to": DOOR, "type": ONE}, "nobody outside"),
            ({"to": "domain:human", "type": ONE}, "nobody outside"),
            ({"data": {"filling": "x" * 100_000}}, "100000"),
        ],
        ids=["undeclared", "workflow", "timer", "door", "domain", "large"],
    )
    async def test_what_may_not_come_in_is_a_letter(
        self, bench: Bench, attributes: dict[str, Any], why: str
    ) -> None:
        handler = StubHandler()
        async with bench.worker(handler):
            bench.engine.put(event("e1", **attributes).to_json().encode())
            await bench.clock.run_for(MINUTE)
        [letter] = await bench.dead()
        assert (letter.topic, letter.reason) == (DOOR, "not accepted")
        assert why in letter.error.message
        assert handler.tried == []

    async def test_bytes_that_are_no_event_are_a_letter(self, bench: Bench) -> None:
        async with bench.worker(StubHandler()):
            bench.engine.put(b"{}")
            await bench.clock.settle()
        assert [str(letter.reason) for letter in await bench.dead()] == ["unparsable"]

    async def test_an_event_waits_while_its_topic_is_full(self, bench: Bench) -> None:
        await bench.declare(TopicSpec(TWO, max_waiting=2))
        two = StubHandler(source=TWO)
        async with bench.worker(StubHandler()):
            for number in range(4):
                bench.engine.put(event(f"e{number}", to=TWO).to_json().encode())
            await bench.clock.run_for(MINUTE)
            assert (await bench.depth(TWO)).waiting == 2
            async with bench.worker(two):
                await bench.clock.run_for(2 * MINUTE)
                assert sorted(two.tried) == ["e0", "e1", "e2", "e3"]
        assert bench.letters == []

    async def test_a_full_topic_does_not_close_the_door_to_others(self, bench: Bench) -> None:
        await bench.declare(TopicSpec(TWO, max_waiting=1))
        one = StubHandler()
        async with bench.worker(one):
            for number in range(100):
                bench.engine.put(event(f"e{number}", to=TWO).to_json().encode())
            await bench.clock.run_for(20 * SECOND)
            bench.engine.put(event("through").to_json().encode())
            await bench.clock.run_for(10 * SECOND)
            assert one.tried == ["through"]
        assert bench.letters == []


class TestDomains:
    async def test_a_listener_is_tried_again_and_what_it_publishes_is_stored(
        self, bench: Bench
    ) -> None:
        heard: list[str] = []

        async def listen(asked: ArvoEvent, publish: Publish) -> None:
            heard.append(asked.id)
            await publish(emitted(asked, to=TWO, type=TWO, domain="ignored"))
            if len(heard) == 1:
                raise ConnectionError("no")

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human")]

        two = StubHandler(source=TWO)
        async with bench.worker(StubHandler(act), two, on_domained_event={"human": listen}):
            await bench.send(event("e1"))
            await bench.clock.run_for(SECOND)
        assert heard == ["e1>0", "e1>0"]
        assert two.tried == ["e1>0>0"]

    async def test_a_listener_that_keeps_failing_leaves_a_letter(self, bench: Bench) -> None:
        async def listen(asked: ArvoEvent, publish: Publish) -> None:
            raise ConnectionError("no")

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human")]

        async with bench.worker(StubHandler(act), on_domained_event={"human": listen}):
            await bench.send(event("e1"))
            await bench.clock.run_for(MINUTE)
        [letter] = await bench.dead("domain:human")
        assert (letter.reason, letter.attempts) == ("exhausted", 4)

    async def test_what_is_published_afterwards_is_published_by_itself(self, bench: Bench) -> None:
        kept: list[Publish] = []

        async def listen(asked: ArvoEvent, publish: Publish) -> None:
            kept.append(publish)

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human")]

        two = StubHandler(source=TWO)
        async with bench.worker(StubHandler(act), two, on_domained_event={"human": listen}):
            await bench.send(event("e1"))
            await kept[0](event("back", to=TWO))
            await bench.clock.settle()
        assert two.tried == ["back"]

    async def test_nobody_listens_anywhere(self, bench: Bench) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, domain="human")]

        async with bench.worker(StubHandler(act)):
            await bench.send(event("e1"))
        assert [str(letter.reason) for letter in await bench.dead()] == ["unroutable"]

    async def test_a_bare_function_takes_the_domains_that_contracts_mention(
        self, bench: Bench
    ) -> None:
        async def listen(asked: ArvoEvent, publish: Publish) -> None: ...

        contract = SimpleArvoContract(
            uri="#/svc/far",
            type="svc.far",
            domain="far",
            versions=[SimpleVersion("1.0.0", accepts=Number, emits=Number)],
        )
        handler = StubHandler(source="com.svc.far", contract=contract)
        async with bench.worker(handler, on_domained_event=listen):
            topics = {topic.name: topic.kind for topic in await bench.app.topics()}
        assert topics["domain:far"] == "domain"

    def test_a_listener_must_be_async(self, bench: Bench) -> None:
        with pytest.raises(TypeError, match="human"):
            bench.broker(on_domained_event={"human": print})
        with pytest.raises(TypeError, match="on_domained_event"):
            bench.broker(on_domained_event=print)


class TestNewer:
    async def test_an_event_that_needs_newer_code_is_left_to_newer_workers(
        self, bench: Bench
    ) -> None:
        await bench.declare_app()
        async with bench.worker(versions("1.0.0")):
            await bench.send(request("2.0.0"))
            await bench.clock.run_for(MINUTE)
            assert bench.letters == []
            async with bench.worker(versions("1.0.0", "2.0.0")):
                await bench.clock.run_for(MINUTE)
        assert await bench.answer_to("e1") is not None
        assert bench.letters == []

    async def test_patience_ends(self, bench: Bench) -> None:
        async with bench.worker(versions("1.0.0"), newer_patience=5 * MINUTE):
            await bench.send(request("2.0.0"))
            await bench.clock.run_for(4 * MINUTE)
            assert bench.letters == []
            await bench.clock.run_for(2 * MINUTE)
        [letter] = await bench.dead()
        assert (letter.reason, letter.attempts, letter.deliveries) == ("unknown version", 0, 1)

    async def test_an_older_version_is_dead_immediately(self, bench: Bench) -> None:
        async with bench.worker(versions("2.0.0")):
            await bench.send(request("1.0.0"))
        assert ids(bench.letters) == [("e1", "not retryable")]

    @pytest.mark.parametrize(("newer", "dead"), [(True, 0), (False, 1)], ids=["newer", "damaged"])
    async def test_so_is_a_record_unless_it_is_newer(
        self, bench: Bench, *, newer: bool, dead: int
    ) -> None:
        error = TransactionViolation(
            "no", cause=TransactionViolationCause.READ_FAILURE, subject="s", retryable=False
        )
        error.__cause__ = UnreadableRecordError("unknown codec", newer=newer)
        handler = failing(1, error, stateful=True)
        async with bench.worker(handler):
            await bench.send(event("e1"), event("e2"))
            await bench.clock.run_for(2 * SECOND)
        assert len(bench.letters) == dead
        assert handler.tried == (["e1", "e1", "e2"] if newer else ["e1", "e2"])


class TestExpired:
    @pytest.mark.parametrize(
        ("time", "tried"),
        [
            ("2024-12-31T23:59:59Z", []),
            ("2024-12-31T23:59:59", []),
            ("2025-01-01T00:10:00Z", ["e1"]),
            ("soon", ["e1"]),
        ],
    )
    async def test_an_event_past_its_time_is_a_letter(
        self, bench: Bench, time: str, tried: list[str]
    ) -> None:
        handler = StubHandler()
        async with bench.worker(handler):
            await bench.send(event("e1", extensions={"expirytime": time}))
        assert handler.tried == tried
        assert [str(letter.reason) for letter in await bench.dead()] == ["expired"] * (not tried)

    async def test_it_may_expire_between_two_tries(self, bench: Bench) -> None:
        handler = failing(9, ConnectionError("no"))
        async with bench.worker(HandlerConfig(handler, retry=RetryPolicy(backoff=STEADY))):
            await bench.send(event("e1", extensions={"expirytime": "2025-01-01T00:00:02Z"}))
            await bench.clock.run_for(MINUTE)
        assert handler.tried == ["e1", "e1"]
        assert ids(bench.letters) == [("e1", "expired")]


class World:
    async def take_time(self) -> None: ...

    def book(self, event: ArvoEvent, value: int) -> None: ...


class TestServicesToCome:
    async def test_requests_wait_for_a_service_that_is_deployed_later(self, bench: Bench) -> None:
        flow = flow_of(World(), memory=SimpleMachineMemory(), policy=ExecutionPolicy())
        workflows = [handler for handler in flow if handler.stateful]
        async with bench.worker(workflows[0]):
            topics = {topic.name: topic for topic in await bench.app.topics()}
        asked = [contracts[0].type, contracts[1].type, "arvo.orc.sim.grandchild"]
        assert [topics[name].owned for name in asked] == [False] * 3
        assert [topics[name].order for name in asked] == ["none", "none", "subject"]
        assert topics[child_contract.type].owned
        async with bench.worker(*flow):
            owned = {topic.name for topic in await bench.app.topics() if topic.owned}
        assert {*asked} <= owned
