"""What becomes of a delivery when its engine fails, refuses, or has given it to another worker."""

from datetime import timedelta

import pytest

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
    TransactionViolation,
)
from arvo_event_handler.delivery import HandlerConfig, HandlerDefaults
from arvo_time import RetryPolicy
from arvo_transport import (
    Done,
    IEventInbox,
    Later,
    Received,
    Settlement,
    SettleRefusedError,
    TopicSpec,
    TransportError,
)

from .bench import (
    APP,
    ONE,
    PATIENCE,
    SECOND,
    STEADY,
    Bench,
    Gate,
    HookedTransport,
    StubHandler,
    answer,
    emitted,
    event,
    failing,
    ids,
)
from .nested_flow import Number

V1 = SimpleVersion("1.0.0", accepts=Number, emits=Number)
contract = SimpleArvoContract(uri="#/svc/one", type="svc.one", versions=[V1])
SVC = contract.type
FLOW_V1 = OrchestratorVersion("1.0.0", init=Number, complete=Number)
flow_contract = ArvoOrchestratorContract(uri="#/flow", name="flow", versions=[FLOW_V1])
NO_RETRY = RetryPolicy(retries=0)


def request(id: str = "e1", *, source: str = APP) -> ArvoEvent:
    return event(id, to=SVC, source=source, data={"value": 1}, dataschema="#/svc/one/1.0.0")


async def test_an_output_is_written_as_json_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = ArvoEvent.to_json

    def to_json(self: ArvoEvent) -> str:
        written.append(self.id)
        return write(self)

    await bench.declare_app()
    monkeypatch.setattr(ArvoEvent, "to_json", to_json)
    async with bench.worker(StubHandler(answer)):
        await bench.send(event("e1"))
    assert await bench.answer_to("e1") is not None
    assert written.count("e1>0") == 1


class TestEngineAway:
    async def test_an_unconfirmed_settlement_is_made_again(self, bench: Bench) -> None:
        async def settle(inbox: IEventInbox, received: Received, settlement: Settlement) -> None:
            if len(transport.settled) < 4:
                raise TransportError("no answer", retryable=True, outcome="unknown")
            await inbox.settle(received, settlement)

        await bench.declare_app()
        transport = HookedTransport(bench.engine, settle=settle)
        handler = StubHandler(answer)
        async with bench.worker(handler, transport=transport) as broker:
            await bench.send(event("e1"))
            assert broker.state.value == "degraded"
            assert broker.trouble is not None
            assert "no answer" in broker.trouble
            await bench.clock.run_for(4 * SECOND)
            assert broker.state.value == "ready"
        assert handler.tried == ["e1"]
        assert len({id(settlement) for _, settlement in transport.settled}) == 1
        assert await bench.answer_to("e1") is not None

    async def test_receiving_goes_on_when_the_engine_is_back(self, bench: Bench) -> None:
        transport = HookedTransport(bench.engine)
        away = TransportError("away", retryable=True, outcome="failed")
        transport.receive_failures = [away] * 4
        handler = StubHandler()
        async with bench.worker(handler, transport=transport) as broker:
            assert broker.state.value == "degraded"
            await bench.send(event("e1"))
            await bench.clock.run_for(10 * SECOND)
            assert broker.state.value == "ready"
        assert handler.tried == ["e1"]

    async def test_what_the_engine_will_never_take_is_left_to_others(self, bench: Bench) -> None:
        async def settle(inbox: IEventInbox, received: Received, settlement: Settlement) -> None:
            raise TransportError("forbidden", retryable=False, outcome="failed")

        there = StubHandler()
        transport = HookedTransport(bench.engine, settle=settle)
        async with bench.worker(StubHandler(), transport=transport):
            await bench.send(event("e1"))
            async with bench.worker(there):
                await bench.clock.settle()
        assert there.tried == ["e1"]
        assert bench.errors == [("e1", "forbidden")]


class TestLost:
    async def test_a_delivery_that_another_worker_has_is_dropped(self, bench: Bench) -> None:
        """The frozen holder finishes, its settlement is refused, and what waited is left alone."""
        gate = Gate()
        frozen, other = StubHandler(gate.act, stateful=True), StubHandler(stateful=True)
        transport = HookedTransport(bench.engine)
        async with bench.worker(HandlerConfig(frozen, prefetch=1), transport=transport):
            await bench.send(event("e1"), event("e2"))
            transport.frozen = True
            async with bench.worker(other):
                await bench.clock.run_for(PATIENCE)
                assert other.tried == ["e1", "e2"]
            gate.open()
        assert frozen.tried == ["e1"]
        assert bench.letters == []
        assert [type(each) for _, each in transport.settled] == [Done]

    async def test_what_the_engine_calls_lost_is_not_begun(self, bench: Bench) -> None:
        gate = Gate()
        frozen, other = StubHandler(gate.act), StubHandler()
        transport = HookedTransport(bench.engine)
        async with bench.worker(HandlerConfig(frozen, prefetch=2), transport=transport):
            await bench.send(*(event(f"e{number}") for number in range(3)))
            transport.frozen = True
            async with bench.worker(other):
                await bench.clock.run_for(PATIENCE)
                assert other.tried == ["e0", "e1", "e2"]
            transport.frozen = False
            await bench.clock.run_for(PATIENCE)
            gate.open()
        assert frozen.tried == ["e0", "e1"]


class TestRefused:
    async def test_contention_is_tried_again_and_costs_nothing(self, bench: Bench) -> None:
        async def settle(inbox: IEventInbox, received: Received, settlement: Settlement) -> None:
            if len(transport.settled) < 3:
                raise SettleRefusedError(
                    "moved", retryable=True
                ) from TransactionViolation.version_moved("s")
            await inbox.settle(received, settlement)

        transport = HookedTransport(bench.engine, settle=settle)
        handler = StubHandler()
        async with bench.worker(HandlerConfig(handler, retry=NO_RETRY), transport=transport):
            await bench.send(event("e1"))
            await bench.clock.run_for(SECOND)
        assert handler.tried == ["e1"] * 3
        assert bench.letters == []

    async def test_another_refusal_is_a_failed_try(self, bench: Bench) -> None:
        async def settle(inbox: IEventInbox, received: Received, settlement: Settlement) -> None:
            if isinstance(settlement, Done):
                raise SettleRefusedError("serialization failure", retryable=True)
            await inbox.settle(received, settlement)

        transport = HookedTransport(bench.engine, settle=settle)
        handler = StubHandler()
        retry = RetryPolicy(retries=1, backoff=STEADY)
        async with bench.worker(HandlerConfig(handler, retry=retry), transport=transport):
            await bench.send(event("e1"))
            await bench.clock.run_for(2 * SECOND)
        assert handler.tried == ["e1"] * 2
        assert ids(bench.letters) == [("e1", "exhausted")]

    async def test_a_final_refusal_makes_a_dead_letter(self, bench: Bench) -> None:
        async def settle(inbox: IEventInbox, received: Received, settlement: Settlement) -> None:
            if isinstance(settlement, Done):
                raise SettleRefusedError("violates a constraint", retryable=False)
            await inbox.settle(received, settlement)

        transport = HookedTransport(bench.engine, settle=settle)
        async with bench.worker(StubHandler(), transport=transport):
            await bench.send(event("e1"))
        assert [str(letter.reason) for letter in await bench.dead()] == ["not retryable"]


class TestFailedTries:
    async def test_a_try_that_failed_is_made_again_here(self, bench: Bench) -> None:
        handler = failing(2, ConnectionError("no"))
        async with bench.worker(HandlerConfig(handler, retry=RetryPolicy(backoff=STEADY))):
            await bench.send(event("e1"))
            await bench.clock.run_for(4 * SECOND)
        assert handler.tried == ["e1"] * 3

    async def test_a_long_pause_is_spent_in_the_topic_and_keeps_the_count(
        self, bench: Bench
    ) -> None:
        transport = HookedTransport(bench.engine)
        handler = failing(9, ConnectionError("no"))
        config = HandlerConfig(handler, retry=RetryPolicy(retries=2, backoff=STEADY))
        async with bench.worker(
            config, transport=transport, hold_at_most=timedelta(milliseconds=1_500)
        ):
            await bench.send(event("e1"))
            await bench.clock.run_for(SECOND)
            assert (await bench.depth()).delayed == 1
            await bench.clock.run_for(2 * SECOND)
        assert handler.tried == ["e1"] * 3
        later = [each for _, each in transport.settled if isinstance(each, Later)]
        assert later == [Later(delay=2 * SECOND, failed=2)]
        [letter] = bench.letters
        assert letter.attempts == 3

    async def test_an_ordered_topic_keeps_even_a_long_pause_in_hand(self, bench: Bench) -> None:
        handler = failing(1, ConnectionError("no"), stateful=True)
        config = HandlerConfig(handler, retry=RetryPolicy(backoff=STEADY))
        async with bench.worker(config, hold_at_most=timedelta(0)):
            await bench.send(event("e1"), event("e2"))
            assert (await bench.depth()).in_hand == 2
            await bench.clock.run_for(SECOND)
        assert handler.tried == ["e1", "e1", "e2"]

    async def test_a_dead_letter_is_stored_and_then_told_of(self, bench: Bench) -> None:
        handler = failing(9, ConnectionError("no"))
        async with bench.worker(HandlerConfig(handler, retry=NO_RETRY)):
            await bench.send(event("e1"))
        [letter] = await bench.dead(ONE)
        assert (letter.reason, letter.attempts, letter.deliveries) == ("exhausted", 1, 1)
        assert (letter.error.name, letter.error.message) == ("ConnectionError", "no")
        assert ids(bench.letters) == [("e1", "exhausted")]
        assert bench.errors == [("e1", "no")]

    async def test_a_redriven_event_is_handled(self, bench: Bench) -> None:
        handler = failing(1, ConnectionError("no"))
        async with bench.worker(HandlerConfig(handler, retry=NO_RETRY)):
            await bench.send(event("e1"))
            [letter] = await bench.dead()
            await bench.app.redrive([letter.key])
            await bench.clock.settle()
        assert handler.tried == ["e1", "e1"]


class TestReplies:
    """Who is told when a request becomes a dead letter."""

    @pytest.mark.parametrize(
        ("setting", "told"), [("clients", ["app"]), ("all", ["app", "flow"]), ("none", [])]
    )
    async def test_the_setting_says_who(self, bench: Bench, setting: str, told: list[str]) -> None:
        await bench.declare_app()
        await bench.declare(TopicSpec("com.flow", order="subject"))
        handler = failing(9, ConnectionError("no"), source=SVC, contract=contract)
        config = HandlerConfig(handler, retry=NO_RETRY)
        async with bench.worker(config, dead_letter_reply=setting):
            await bench.send(request("e1"), request("e2", source="com.flow"))
        reply = await bench.answer_to("e1")
        waiting = await bench.app.peek("com.flow")
        assert [
            *(["app"] if reply is not None else []),
            *("flow" for each in waiting if each.type == contract.system_error_type),
        ] == told
        replied = {letter.event.source: letter.replied for letter in bench.letters}
        assert replied == {APP: "app" in told, "com.flow": "flow" in told}

    async def test_the_config_of_a_handler_says_more(self, bench: Bench) -> None:
        await bench.declare_app()
        handler = failing(9, ConnectionError("no"), source=SVC, contract=contract)
        config = HandlerConfig(handler, retry=NO_RETRY, dead_letter_reply=False)
        async with bench.worker(config, dead_letter_reply="all"):
            await bench.send(request("e1"))
        assert await bench.answer_to("e1") is None

    async def test_the_defaults_say_more(self, bench: Bench) -> None:
        await bench.declare(TopicSpec("com.flow", order="subject"))
        handler = failing(9, ConnectionError("no"), source=SVC, contract=contract)
        defaults = HandlerDefaults(retry=NO_RETRY, dead_letter_reply=True)
        async with bench.worker(handler, defaults=defaults):
            await bench.send(request("e1", source="com.flow"))
        assert len(await bench.app.peek("com.flow")) == 1


class TestTooLarge:
    async def test_the_asker_gets_a_system_error_instead_of_an_answer(self, bench: Bench) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, data={"filling": "x" * 100_000})]

        await bench.declare_app()
        handler = StubHandler(act, source=SVC, contract=contract)
        async with bench.worker(handler):
            await bench.send(request("e1"))
        reply = await bench.answer_to("e1")
        assert reply is not None
        assert (reply.type, reply.data["errorName"]) == (
            contract.system_error_type,
            "EventTooLargeError",
        )
        [letter] = await bench.dead()
        assert (letter.reason, letter.replied) == ("too large", True)
        assert (await bench.depth(SVC)).in_hand == 0

    async def test_a_workflow_gets_the_error_of_the_service_that_it_could_not_ask(
        self, bench: Bench
    ) -> None:
        async def run(call: Start[Number] | Reply[dict[str, str]]) -> Step[dict[str, str]]:
            if isinstance(call, Start):
                filling = {"filling": "x" * 100_000}
                return Step(context={}, services=[Emit(SVC, call.data, extensions=filling)])
            assert call.error is not None
            return Step(output=Complete(Number(value=-1)))

        await bench.declare_app()
        flow = ArvoResumable(
            contract=flow_contract,
            services=[contract.version(V1)],
            memory=SimpleMachineMemory(),
            handler={"1.0.0": run},
        )
        init = ArvoOrchestratorEventFactory(flow_contract.version(FLOW_V1)).init(
            source=APP, data=Number(value=1)
        )
        async with bench.worker(flow):
            await bench.send(init)
            await bench.clock.run_for(SECOND)
        answer = await bench.answer_to(init.id)
        assert answer is not None
        assert answer.data == {"value": -1}


class TestUnroutable:
    async def test_an_output_to_nobody_is_a_letter_and_the_event_is_settled(
        self, bench: Bench
    ) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to="com.nobody.there")]

        async with bench.worker(StubHandler(act)):
            await bench.send(event("e1"))
        assert [str(letter.reason) for letter in await bench.dead()] == ["unroutable"]
        assert (await bench.depth()).in_hand == 0
