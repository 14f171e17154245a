"""Workflows written as statecharts, as users run them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    ContractVersion,
    OrchestratorVersion,
)
from arvo_event_handler import (
    ArvoDomain,
    ArvoMachine,
    ArvoOrchestrator,
    ConfigViolation,
    ContractViolation,
    EmissionDomains,
    ExecutionPolicy,
    ExecutionViolation,
    InvalidHandlerError,
    SimpleMachineMemory,
    TransactionViolation,
)
from arvo_statechart import Call, assign, emit, enqueue_actions, raise_
from arvo_statechart.typing import MachineConfig, XStateVersion
from arvo_time.testing import FakeClock, SpanRecorder

from .leased_memory import LeasedMemory
from .order_machines import (
    CHARGE_SERVICE,
    DETOUR_CONFIG,
    EVERY_ITEM_CONFIG,
    PARALLEL_CONFIG,
    RESERVE_SERVICE,
    ask,
    ask_to_reserve,
    first_context,
    machine,
    orchestrator,
    remember_price,
    total,
    waiting_for,
)
from .shop import (
    APP,
    CHARGE,
    CHARGED,
    ORDER,
    ORDER_V1,
    ORDERED,
    RESERVE,
    RESERVED,
    Order,
    Ordered,
    Reserve,
    charged,
    order,
    order_contract,
    reserve_failed,
    reserved,
    start,
    stored,
)

FINAL: Any = {"type": "final"}


def asking(event: Any) -> ArvoOrchestrator:
    """Make an order that asks for one event, as it is, when it starts."""
    return orchestrator(machine({"context": first_context, "entry": emit(event)}))


def test_it_listens_where_its_contract_says() -> None:
    handler = orchestrator(executionunits=3)
    assert (handler.source, handler.stateful, handler.domain, handler.executionunits) == (
        ORDER,
        True,
        None,
        3,
    )
    assert handler.contract is order_contract
    assert ORDER in repr(handler)


def test_an_orchestrator_without_machines_is_refused() -> None:
    with pytest.raises(InvalidHandlerError, match="at least one machine"):
        ArvoOrchestrator(machines=[], memory=SimpleMachineMemory())


async def test_a_workflow_from_start_to_end() -> None:
    handler = orchestrator()
    event = start("tea")
    [reserve] = await handler.execute(event)
    assert (reserve.type, reserve.to, reserve.data) == (
        RESERVE,
        RESERVE,
        {"item": "tea", "amount": 1},
    )
    assert (reserve.source, reserve.redirectto) == (ORDER, ORDER)
    assert (reserve.subject, reserve.parentid) == (event.subject, event.id)
    answer = reserved(reserve, price=7)
    [charge] = await handler.execute(answer)
    assert (charge.type, charge.data, charge.parentid) == (CHARGE, {"amount": 7}, answer.id)
    [done] = await handler.execute(charged(charge))
    assert (done.type, done.to, done.data) == (ORDERED, APP, {"total": 7})
    assert (done.subject, done.parentid) == (event.subject, event.id)


@pytest.mark.parametrize("ends", get_args(XStateVersion))
async def test_a_record_of_one_xstate_version_is_resumed_with_the_other(
    ends: XStateVersion,
) -> None:
    """Even where two children of one compound state are active, so that its value has two keys."""
    memory = SimpleMachineMemory()
    handler = orchestrator(machine(DETOUR_CONFIG, xstate="5.24"), memory=memory)
    event = start("tea")
    [reserve] = await handler.execute(event)
    [charge] = await handler.execute(reserved(reserve, price=7))
    value = (await stored(memory, event))["value"]
    assert value == {"away": "charging", "open": {"stock": {}, "payment": {}}}
    handler = orchestrator(machine(DETOUR_CONFIG, xstate=ends), memory=memory)
    [done] = await handler.execute(charged(charge))
    assert (done.type, done.data) == (ORDERED, {"total": 7})


@pytest.mark.parametrize("stock_first", [True, False])
async def test_parallel_regions_join_in_any_order(stock_first: bool) -> None:
    handler = orchestrator(machine(PARALLEL_CONFIG))
    reserve, charge = await handler.execute(start("tea"))
    answers = [reserved(reserve, price=4), charged(charge)]
    first, second = answers if stock_first else reversed(answers)
    assert await handler.execute(first) == []
    [done] = await handler.execute(second)
    assert done.data == {"total": 4}


class TestWhatTheMachineSees:
    async def test_the_init_event_with_its_parsed_data(self) -> None:
        seen: list[Any] = []

        def keep(call: Call) -> dict[str, Any]:
            seen.append(call.input)
            return {}

        event = start("tea").model_copy(update={"accesscontrol": "role:clerk"})
        await orchestrator(machine({"context": keep})).execute(event)
        assert seen == [
            {**event.to_dict(), "data": {"parentSubject$$": None, "items": ["tea"]}},
        ]

    async def test_answers_with_their_parsed_data(self) -> None:
        seen: list[Any] = []

        def keep(call: Call) -> None:
            seen.append(call.event)

        config = waiting_for(RESERVED, {"entry": keep}, entry=ask(RESERVE, item="tea"))
        handler = orchestrator(machine(config))
        [request] = await handler.execute(start())
        answer = reserved(request).model_copy(update={"data": {"price": "7", "unknown": True}})
        await handler.execute(answer)
        assert seen == [{**answer.to_dict(), "data": {"price": 7}}]

    async def test_the_failure_of_a_service_is_an_event(self) -> None:
        config = waiting_for(
            f"sys.{RESERVE}.error",
            FINAL,
            entry=ask(RESERVE, item="tea"),
            output=lambda call: {"total": -1},
        )
        handler = orchestrator(machine(config))
        [request] = await handler.execute(start())
        [done] = await handler.execute(reserve_failed(request, LookupError("none left")))
        assert done.data == {"total": -1}

    async def test_changes_of_the_machine_to_its_event_stay_its_own(self) -> None:
        def spoil(call: Call) -> None:
            event: Any = call.event
            event["data"]["price"] = "spoilt"
            event["id"] = "spoilt"

        memory = SimpleMachineMemory()
        config = waiting_for(RESERVED, {"entry": spoil}, entry=ask(RESERVE, item="tea"))
        handler = orchestrator(machine(config), memory=memory)
        event = start()
        [request] = await handler.execute(event)
        answer = reserved(request, price=3)
        await handler.execute(answer)
        assert answer.data == {"price": 3}
        assert (await stored(memory, event))["events"]["consumed"] == answer.to_dict()
        assert await handler.execute(answer) == [], "it was not recognised"


class TestRequests:
    async def test_what_an_event_may_say(self) -> None:
        [request] = await asking(
            {
                "type": RESERVE,
                "data": {"item": "tea"},
                "to": "com.other.stock",
                "id": "mine",
                "executionunits": 2,
                "accesscontrol": "role:clerk",
                "redirectto": "com.other.order",
                "domain": ["elsewhere"],
                "__extensions": {"tenant": "is"},
            }
        ).execute(start())
        assert request.data == {"item": "tea", "amount": 1}, "defaults are filled in"
        assert (request.to, request.id, request.executionunits) == ("com.other.stock", "mine", 2)
        assert (request.accesscontrol, request.redirectto) == ("role:clerk", "com.other.order")
        assert (request.domain, request.extensions) == ("elsewhere", {"tenant": "is"})

    async def test_emitted_ones_come_first_then_enqueued_ones_then_the_end(self) -> None:
        def enqueue(item: str) -> Any:
            return {"type": "enqueueArvoEvent", "params": {"type": RESERVE, "data": {"item": item}}}

        config: MachineConfig = {
            "initial": "a",
            "states": {
                "a": {
                    "type": "final",
                    "entry": [enqueue("queued"), ask(RESERVE, item="emitted")],
                }
            },
            "output": {"total": 1},
        }
        events = await orchestrator(machine(config)).execute(start())
        assert [event.data for event in events] == [
            {"item": "emitted", "amount": 1},
            {"item": "queued", "amount": 1},
            {"total": 1},
        ]

    @pytest.mark.parametrize(
        ("event", "words"),
        [
            ({"type": "com.who.knows", "data": {}}, "no contract knows the event type"),
            ({"type": RESERVE, "data": {}}, "item"),
            ({"type": RESERVE}, "item"),
            ({"type": RESERVE, "data": 5}, "expected a pydantic model or a mapping, got int"),
            ({"type": RESERVE, "data": {"item": "a"}, "subject": "x"}, r"'subject', 'type'\]"),
            ({"type": RESERVE, "data": {"item": "a"}, "executionunit": 1}, "'executionunit'"),
            ({"type": RESERVE, "data": {"item": "a"}, "to": 5}, "to"),
            ({"type": RESERVE, "data": {"item": "a"}, "__extensions": {"A b": 1}}, "A b"),
            ({"type": ORDERED, "data": {"total": 1}}, "completes"),
        ],
        ids=lambda value: str(value)[:60],
    )
    @pytest.mark.parametrize("way", ["emit", "enqueue"])
    async def test_what_no_contract_allows_is_refused(
        self, event: dict[str, Any], words: str, way: str
    ) -> None:
        action: Any = emit(event)
        if way == "enqueue":
            action = {"type": "enqueueArvoEvent", "params": event}
        memory = SimpleMachineMemory()
        init = start()
        with pytest.raises(ContractViolation, match=words):
            await orchestrator(machine({"entry": action}), memory=memory).execute(init)
        assert await memory.read(init.subject) is None

    async def test_an_enqueued_event_needs_a_type(self) -> None:
        handler = orchestrator(machine({"entry": "enqueueArvoEvent"}))
        with pytest.raises(ContractViolation, match="expected type and at most data, to"):
            await handler.execute(start())

    async def test_a_type_no_contract_knows_may_bring_its_dataschema(self) -> None:
        event = {"type": "com.who.knows", "data": {"n": 1}, "dataschema": "#/who/1.0.0"}
        [request] = await asking(event).execute(start())
        assert (request.dataschema, request.data) == ("#/who/1.0.0", {"n": 1})

    async def test_two_requests_of_one_step_have_different_ids(self) -> None:
        event = {"type": RESERVE, "data": {"item": "a"}, "id": "same"}
        handler = orchestrator(machine({"entry": [emit(event), emit(event)]}))
        with pytest.raises(ConfigViolation, match="id 'same' is taken"):
            await handler.execute(start())

    async def test_the_workflows_units_are_the_default(self) -> None:
        handler = orchestrator(machine({"entry": ask(RESERVE, item="a")}), executionunits=4)
        [request] = await handler.execute(start())
        assert request.executionunits == 4


class TestDomains:
    async def test_several_domains_make_copies_with_ids_of_their_own(self) -> None:
        event = {"type": RESERVE, "data": {"item": "a"}, "domain": ["one", None]}
        there, here = await asking(event).execute(start())
        assert (there.domain, here.domain) == ("one", None)
        assert there.id != here.id

    async def test_an_empty_list_would_drop_the_event(self) -> None:
        event = {"type": RESERVE, "data": {"item": "a"}, "domain": []}
        with pytest.raises(ConfigViolation, match="an empty list of domains"):
            await asking(event).execute(start())

    async def test_constants_are_resolved(self) -> None:
        domain = ArvoDomain.FROM_TRIGGERING_EVENT
        event = {"type": RESERVE, "data": {"item": "a"}, "domain": domain}
        init = start().model_copy(update={"domain": "trigger"})
        [request] = await asking(event).execute(init)
        assert request.domain == "trigger"

    async def test_each_kind_of_output_has_a_default(self) -> None:
        domains = EmissionDomains(services=("s",), complete=("c",), system_error=("e",))
        config: MachineConfig = {
            "entry": ask(RESERVE, item="a"),
            "initial": "b",
            "states": {"b": FINAL},
            "output": {"total": 1},
        }
        handler = orchestrator(machine(config), domains=domains)
        request, done = await handler.execute(start())
        assert (request.domain, done.domain) == ("s", "c")

        def fail(call: Call) -> None:
            raise LookupError

        [error] = await orchestrator(machine({"entry": fail}), domains=domains).execute(start())
        assert error.domain == "e"


class Nothing(BaseModel):
    pass


class TestTheEnd:
    """Reaching the final state completes, exactly once; the contract decides about the output."""

    async def test_without_output_it_is_an_empty_object(self) -> None:
        v1 = OrchestratorVersion("1.0.0", init=Order, complete=Nothing)
        contract = ArvoOrchestratorContract(uri="#/quiet", name="quiet", versions=[v1])
        config: MachineConfig = {"initial": "a", "states": {"a": FINAL}}
        handler = orchestrator(machine(config, contract=contract.version(v1)))
        event = ArvoOrchestratorEventFactory(contract.version(v1)).init(
            source=APP, data=Order(items=[])
        )
        [done] = await handler.execute(event)
        assert (done.type, done.data) == ("arvo.orc.quiet.done", {})

    @pytest.mark.parametrize(
        "output", [{}, {"total": "many"}, {"sum": 1}, 7, [1]], ids=lambda value: str(value)
    )
    async def test_the_contract_checks_the_output(self, output: Any) -> None:
        memory = SimpleMachineMemory()
        config: Any = {"initial": "a", "states": {"a": FINAL}, "output": output}
        event = start()
        with pytest.raises(ContractViolation):
            await orchestrator(machine(config), memory=memory).execute(event)
        assert await memory.read(event.subject) is None

    async def test_a_missing_output_is_checked_too(self) -> None:
        config: MachineConfig = {"initial": "a", "states": {"a": FINAL}}
        with pytest.raises(ContractViolation, match=ORDERED):
            await orchestrator(machine(config)).execute(start())

    async def test_an_output_like_the_one_before_completes_too(self) -> None:
        handler = orchestrator()
        for _ in range(2):
            [reserve] = await handler.execute(start("tea"))
            [charge] = await handler.execute(reserved(reserve, price=1))
            [done] = await handler.execute(charged(charge))
            assert done.data == {"total": 1}

    @pytest.mark.parametrize("end", ["done", "failure"])
    async def test_later_events_change_nothing(self, end: str) -> None:
        def finish(call: Call) -> Any:
            if end == "failure":
                raise RuntimeError("over")
            return {"total": 1}

        memory = SimpleMachineMemory()
        config = waiting_for(RESERVED, FINAL, entry=ask(RESERVE, item="a"), output=finish)
        handler = orchestrator(machine(config), memory=memory)
        event = start()
        [request] = await handler.execute(event)
        answer = reserved(request)
        [outcome] = await handler.execute(answer)
        assert outcome.type == (ORDERED if end == "done" else f"sys.{ORDER}.error")
        before = await stored(memory, event)
        assert before["executionStatus"] == ("normal" if end == "done" else "failure")
        for late in (
            reserved(request, id="late"),
            reserved(request, id="bad").model_copy(update={"data": {}}),
            reserved(request, id="foreign").model_copy(update={"type": "evt.who.knows"}),
            event.model_copy(update={"id": "again"}),
        ):
            assert await handler.execute(late) == []
        assert await stored(memory, event) == before

    async def test_a_leased_memory_keeps_what_late_events_need(self) -> None:
        memory = LeasedMemory(clock=FakeClock())
        policy = ExecutionPolicy(finished_expiry=timedelta(hours=2))
        handler = orchestrator(memory=memory, policy=policy)
        event = start("tea")
        [reserve] = await handler.execute(event)
        [charge] = await handler.execute(reserved(reserve))
        last = charged(charge)
        [done] = await handler.execute(last)
        tombstone = await stored(memory, event)
        assert "state" not in tombstone
        assert "machineDefinition" not in tombstone
        assert (tombstone["status"], tombstone["initEventId"]) == ("done", event.id)
        assert memory.expiries == [None, None, timedelta(hours=2)]
        assert await handler.execute(last) == [done]
        assert await handler.execute(charged(charge, id="late")) == []


class TestDeliveredTwice:
    async def test_an_event_changes_nothing_and_repeats_what_is_unanswered(self) -> None:
        memory = SimpleMachineMemory()
        handler = orchestrator(memory=memory)
        event = start("tea")
        [reserve] = await handler.execute(event)
        before = await stored(memory, event)
        assert await handler.execute(event) == [reserve]
        assert await stored(memory, event) == before
        answer = reserved(reserve)
        [charge] = await handler.execute(answer)
        assert await handler.execute(answer) == [charge]
        assert await handler.execute(event) == [charge], "starting again resumes"

    async def test_a_request_stays_until_it_is_answered_whatever_comes_between(self) -> None:
        handler = orchestrator(machine(EVERY_ITEM_CONFIG))
        event = start(*map(str, range(80)))
        lost, *arrived = await handler.execute(event)
        for request in arrived:
            await handler.execute(reserved(request))
        assert await handler.execute(event) == [lost]

    async def test_a_second_start_does_not_run_again(self) -> None:
        runs: list[Any] = []

        def count(call: Call) -> dict[str, Any]:
            runs.append(call.input)
            return {}

        handler = orchestrator(machine({"context": count}))
        event = start()
        await handler.execute(event)
        assert await handler.execute(event.model_copy(update={"id": "again"})) == []
        assert len(runs) == 1

    async def test_an_answer_to_no_workflow_is_ignored(self) -> None:
        assert await orchestrator().execute(reserved(start())) == []

    async def test_ids_are_the_same_when_a_run_is_repeated(self) -> None:
        event = start("tea")
        [once] = await orchestrator().execute(event)
        [twice] = await orchestrator().execute(event)
        assert once.id == twice.id


class TestFailures:
    """An exception ends the workflow; a violation escapes and changes nothing."""

    def failing(
        self, error: Exception, memory: SimpleMachineMemory | None = None
    ) -> ArvoOrchestrator:
        def fail(call: Call) -> None:
            raise error

        config = waiting_for(RESERVED, {"entry": fail}, entry=ask(RESERVE, item="a"))
        return orchestrator(machine(config), memory=memory)

    async def test_an_exception_is_reported_to_the_initiator(self) -> None:
        memory = SimpleMachineMemory()
        handler = self.failing(LookupError("sold out"), memory)
        event = start()
        [request] = await handler.execute(event)
        [error] = await handler.execute(reserved(request))
        assert (error.type, error.to) == (f"sys.{ORDER}.error", APP)
        assert (error.subject, error.parentid) == (event.subject, event.id)
        assert error.data["errorName"] == "LookupError"
        assert error.data["errorMessage"] == "sold out"
        record = await stored(memory, event)
        assert (record["executionStatus"], record["status"]) == ("failure", "active")
        assert record["initEventId"] == event.id
        assert record["error"]["message"] == "sold out"

    async def test_a_violation_changes_nothing(self) -> None:
        memory = SimpleMachineMemory()
        handler = self.failing(ExecutionViolation("later", retryable=True), memory)
        event = start()
        [request] = await handler.execute(event)
        before = await stored(memory, event)
        with pytest.raises(ExecutionViolation, match="later"):
            await handler.execute(reserved(request))
        assert await stored(memory, event) == before

    async def test_a_state_that_is_not_json_fails(self) -> None:
        handler = orchestrator(machine({"context": {"when": datetime.now(UTC)}}))
        [error] = await handler.execute(start())
        assert error.type == f"sys.{ORDER}.error"
        assert "datetime is not a JSON value" in error.data["errorMessage"]


class TestRecord:
    async def test_member_names_are_those_of_the_typescript_version(self) -> None:
        memory = SimpleMachineMemory()
        made = machine()
        event = start("tea")
        [request] = await orchestrator(made, memory=memory).execute(event)
        record = await stored(memory, event)
        record.pop("redelivery")
        assert record == {
            "executionStatus": "normal",
            "status": "active",
            "initEventId": event.id,
            "parentSubject": None,
            "subject": event.subject,
            "value": "reserving",
            "state": {
                "status": "active",
                "value": "reserving",
                "context": {"items": ["tea"], "total": 0},
                "historyValue": {},
                "children": {},
            },
            "events": {"consumed": event.to_dict(), "produced": [request.to_dict()]},
            "machineDefinition": made.definition,
        }

    async def test_an_event_that_moves_nothing_is_remembered(self) -> None:
        memory = SimpleMachineMemory()
        handler = orchestrator(memory=memory)
        event = start("tea")
        [request] = await handler.execute(event)
        other = charged(request)
        before = await stored(memory, event)
        assert await handler.execute(other) == []
        record = await stored(memory, event)
        assert record["state"] == before["state"]
        assert record["events"] == {"consumed": other.to_dict(), "produced": []}

    async def test_a_record_that_the_deployed_machine_cannot_read_waits(self) -> None:
        memory = SimpleMachineMemory()
        event = start("tea")
        [request] = await orchestrator(memory=memory).execute(event)
        before = await stored(memory, event)
        renamed: MachineConfig = {"initial": "other", "states": {"other": {}}}
        with pytest.raises(ConfigViolation, match="deploy one that can, then deliver again"):
            await orchestrator(machine(renamed), memory=memory).execute(reserved(request))
        assert await stored(memory, event) == before
        [charge] = await orchestrator(memory=memory).execute(reserved(request))
        assert charge.type == CHARGE

    async def test_the_record_of_a_resumable_is_refused(self) -> None:
        memory = SimpleMachineMemory()
        event = start("tea")
        [request] = await order(memory=memory).execute(event)
        before = await stored(memory, event)
        with pytest.raises(TransactionViolation, match="its state is not an object") as refused:
            await orchestrator(memory=memory).execute(reserved(request))
        assert not refused.value.retryable
        assert await stored(memory, event) == before


class TestIncoming:
    async def test_events_of_other_workflows_are_ignored(self) -> None:
        other = ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.other", version="1.0.0", initiator=APP
        )
        event = start().model_copy(update={"subject": other})
        assert await orchestrator().execute(event) == []

    @pytest.mark.parametrize(
        ("change", "violation"),
        [
            (lambda event: {"subject": "nonsense"}, ExecutionViolation),
            (lambda event: {"data": {"parentSubject$$": None}}, ContractViolation),
            (lambda event: {"dataschema": None}, ContractViolation),
            (lambda event: {"dataschema": "#/other/1.0.0"}, ContractViolation),
            (lambda event: {"dataschema": "#/shop/order/2.0.0"}, ContractViolation),
            (
                lambda event: {"data": {**event.data, "parentSubject$$": "nonsense"}},
                ExecutionViolation,
            ),
        ],
        ids=["subject", "data", "no schema", "other schema", "other version", "parent"],
    )
    async def test_an_event_that_does_not_fit_is_refused(
        self, change: Callable[[ArvoEvent], dict[str, Any]], violation: type[Exception]
    ) -> None:
        memory = SimpleMachineMemory()
        event = start("tea")
        wrong = event.model_copy(update=change(event))
        with pytest.raises(violation):
            await orchestrator(memory=memory).execute(wrong)
        assert await memory.read(wrong.subject) is None

    async def test_an_answer_of_no_service_is_refused(self) -> None:
        handler = orchestrator()
        [request] = await handler.execute(start("tea"))
        with pytest.raises(ConfigViolation):
            await handler.execute(reserved(request).model_copy(update={"type": "evt.who.knows"}))

    async def test_the_wildcard_version_is_accepted(self) -> None:
        event = start("tea").model_copy(update={"dataschema": "#/shop/order/0.0.0"})
        [request] = await orchestrator().execute(event)
        assert request.type == RESERVE


V2 = OrchestratorVersion("2.0.0", init=Order, complete=Ordered)
two_contract = ArvoOrchestratorContract(uri="#/two", name="two", versions=[ORDER_V1, V2])


class TestVersions:
    """Several run side by side; the subject names the one that applies."""

    def handler(self) -> ArvoOrchestrator:
        old = machine(
            waiting_for(RESERVED, FINAL, entry=ask(RESERVE, item="old"), output={"total": 1}),
            contract=two_contract.version(ORDER_V1),
            services=[RESERVE_SERVICE],
        )
        new = machine(
            waiting_for(CHARGED, FINAL, entry=ask(CHARGE, amount=2), output={"total": 2}),
            contract=two_contract.version(V2),
            services=[CHARGE_SERVICE],
        )
        return orchestrator(old, new)

    def start(self, version: OrchestratorVersion[Order, Ordered]) -> ArvoEvent:
        factory = ArvoOrchestratorEventFactory(two_contract.version(version))
        return factory.init(source=APP, data=Order(items=["tea"]))

    async def test_each_version_runs_its_machine(self) -> None:
        handler = self.handler()
        [reserve] = await handler.execute(self.start(ORDER_V1))
        [charge] = await handler.execute(self.start(V2))
        assert (reserve.type, charge.type) == (RESERVE, CHARGE)
        [second] = await handler.execute(charged(charge))
        [first] = await handler.execute(reserved(reserve))
        assert (first.data, first.dataschema) == ({"total": 1}, "#/two/1.0.0")
        assert (second.data, second.dataschema) == ({"total": 2}, "#/two/2.0.0")

    async def test_services_are_those_of_the_version(self) -> None:
        handler = self.handler()
        [reserve] = await handler.execute(self.start(ORDER_V1))
        with pytest.raises(ConfigViolation):
            await handler.execute(charged(reserve))

    async def test_a_version_without_a_machine_is_refused(self) -> None:
        handler = orchestrator(
            machine(contract=two_contract.version(ORDER_V1), services=[RESERVE_SERVICE])
        )
        with pytest.raises(ConfigViolation, match=r"no machine implements version 2\.0\.0"):
            await handler.execute(self.start(V2))


class Basket(BaseModel):
    items: list[str]


class Bought(BaseModel):
    totals: list[int]
    failed: list[str]


BASKET_V1 = OrchestratorVersion("1.0.0", init=Basket, complete=Bought)
basket_contract = ArvoOrchestratorContract(
    uri="#/shop/basket", name="shop.basket", versions=[BASKET_V1]
)


def _ask_for_orders(call: Call) -> list[Any]:
    subject = call.context["subject"]
    return [
        emit({"type": ORDER, "data": {"parentSubject$$": subject, "items": [item]}})
        for item in call.context["items"]
    ]


def basket_machine() -> ArvoMachine:
    note = assign(
        {
            "totals": lambda call: [
                *call.context["totals"],
                *filter(None, [call.event["data"].get("total")]),
            ],
            "failed": lambda call: [
                *call.context["failed"],
                *filter(None, [call.event["data"].get("errorMessage")]),
            ],
        }
    )
    return ArvoMachine(
        contract=basket_contract.version(BASKET_V1),
        services=[order_contract.version(ORDER_V1)],
        config={
            "context": lambda call: {
                "subject": call.input["subject"],
                "items": call.input["data"]["items"],
                "totals": [],
                "failed": [],
            },
            "initial": "waiting",
            "states": {
                "waiting": {
                    "entry": enqueue_actions(_ask_for_orders),
                    "on": {ORDERED: {"actions": note}, f"sys.{ORDER}.error": {"actions": note}},
                    "always": {
                        "guard": lambda call: (
                            len(call.context["totals"]) + len(call.context["failed"]) == 2
                        ),
                        "target": "done",
                    },
                },
                "done": {"type": "final"},
            },
            "output": lambda call: {
                "totals": call.context["totals"],
                "failed": call.context["failed"],
            },
        },
    )


class TestNestedWorkflows:
    """A request that starts a workflow names its parent's subject."""

    def fill(self) -> ArvoEvent:
        return ArvoOrchestratorEventFactory(basket_contract.version(BASKET_V1)).init(
            source=APP, data=Basket(items=["tea", "cocoa"])
        )

    async def test_children_answer_their_parent(self) -> None:
        memory = SimpleMachineMemory()
        child_config: MachineConfig = {
            "context": first_context,
            "initial": "waiting",
            "states": {
                "waiting": {
                    "entry": ask_to_reserve(),
                    "on": {RESERVED: {"target": "then", "actions": remember_price}},
                },
                "then": FINAL,
            },
            "output": total,
        }
        parent = orchestrator(basket_machine())
        child = orchestrator(machine(child_config), memory=memory)
        event = self.fill()
        inits = await parent.execute(event)
        assert len({init.subject for init in inits} | {event.subject}) == 3
        answers: list[ArvoEvent] = []
        for price, init in enumerate(inits, start=1):
            content = ArvoOrchestrationSubject.parse(init.subject)
            assert (init.to, content.execution.initiator) == (ORDER, basket_contract.type)
            [request] = await child.execute(init)
            [done] = await child.execute(reserved(request, price=price))
            assert (done.to, done.subject, done.parentid) == (
                basket_contract.type,
                event.subject,
                init.id,
            )
            assert (await stored(memory, init))["parentSubject"] == event.subject
            answers = await parent.execute(done)
        [bought] = answers
        assert bought.data == {"totals": [1, 2], "failed": []}
        assert (bought.to, bought.parentid) == (APP, event.id)

    async def test_a_failing_child_is_reported_to_its_parent(self) -> None:
        def fail(call: Call) -> None:
            raise RuntimeError("sold out")

        parent, child = orchestrator(basket_machine()), orchestrator(machine({"entry": fail}))
        event = self.fill()
        answers: list[ArvoEvent] = []
        for init in await parent.execute(event):
            [error] = await child.execute(init)
            assert (error.type, error.to) == (f"sys.{ORDER}.error", basket_contract.type)
            assert (error.subject, error.parentid) == (event.subject, init.id)
            answers = await parent.execute(error)
        assert answers[0].data == {"totals": [], "failed": ["sold out", "sold out"]}

    async def test_an_invalid_parent_subject_is_refused(self) -> None:
        nested = ArvoMachine(
            contract=basket_contract.version(BASKET_V1),
            services=[order_contract.version(ORDER_V1)],
            config={"entry": ask(ORDER, **{"parentSubject$$": "nonsense", "items": []})},
        )
        with pytest.raises(ExecutionViolation):
            await orchestrator(nested).execute(self.fill())

    async def test_without_parent_a_child_stands_alone(self) -> None:
        nested = ArvoMachine(
            contract=basket_contract.version(BASKET_V1),
            services=[order_contract.version(ORDER_V1)],
            config={"entry": ask(ORDER, **{"parentSubject$$": None, "items": []})},
        )
        [init] = await orchestrator(nested).execute(self.fill())
        [error] = await orchestrator(machine({"context": {"not json": {1}}})).execute(init)
        assert error.subject == init.subject


class TestLocking:
    def test_locking_is_needed_if_one_machine_needs_it(self) -> None:
        assert not orchestrator().requires_resource_locking
        assert orchestrator(machine(PARALLEL_CONFIG)).requires_resource_locking

    @pytest.mark.parametrize("locking", [True, False])
    def test_locking_can_be_chosen(self, locking: bool) -> None:
        handler = orchestrator(machine(PARALLEL_CONFIG), locking=locking)
        assert handler.requires_resource_locking is locking


class TestTelemetry:
    async def test_a_span_for_each_execution(self) -> None:
        handler = orchestrator()
        with SpanRecorder() as spans:
            [request] = await handler.execute(start("tea"))
        [span] = spans.spans
        assert span.name == f"Orchestrator<#/shop/order>@<{ORDER}>"
        assert span.attributes["arvo.span.kind"] == "handler.orchestrator.statemachine"
        assert span.attributes["openinference.span.kind"] == "CHAIN"
        assert request.traceparent == span.traceparent

    async def test_a_failure_is_on_the_span(self) -> None:
        def fail(call: Call) -> None:
            raise LookupError("sold out")

        with SpanRecorder() as spans:
            await orchestrator(machine({"entry": fail})).execute(start())
        assert spans.spans[0].status == "ERROR"


CARD = "4242-4242-4242-4242"


def say(what: Any) -> Callable[[Call], Any]:
    """Make a function that returns what it should not."""
    return lambda call: what


@pytest.mark.parametrize(
    "entry",
    [
        emit(say({"data": {"card": CARD}})),
        emit(say(CARD)),
        assign(say([CARD])),
        raise_(say({"card": CARD})),
        enqueue_actions(say([emit(say({"card": CARD}))])),
    ],
)
async def test_a_misused_action_is_a_violation_that_shows_no_data(entry: Any) -> None:
    memory = SimpleMachineMemory()
    event = start()
    with pytest.raises(ContractViolation) as caught:
        await asking_by(entry, memory).execute(event)
    assert CARD not in str(caught.value)
    assert await memory.read(event.subject) is None


def asking_by(entry: Any, memory: SimpleMachineMemory) -> ArvoOrchestrator:
    config = waiting_for(RESERVED, {"type": "final"}, entry=entry)
    return orchestrator(machine(config), memory=memory)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("policy", {}),
        ("domains", "here"),
        ("engine", 7),
        ("system_errors", True),
        ("executionunits", "3"),
        ("requires_resource_locking", "no"),
    ],
)
def test_a_setting_of_another_type_is_refused_when_it_is_made(setting: str, value: Any) -> None:
    given: Any = {"machines": [machine()], "memory": SimpleMachineMemory(), setting: value}
    with pytest.raises(TypeError, match=setting):
        ArvoOrchestrator(**given)


@pytest.mark.parametrize("memory", [None, SimpleMachineMemory, "state.db"])
def test_what_is_not_a_memory_is_refused_when_it_is_made(memory: Any) -> None:
    with pytest.raises(ConfigViolation, match="memory"):
        ArvoOrchestrator(machines=[machine()], memory=memory)


def test_warnings_about_a_machine_are_listed() -> None:
    doubtful = machine(waiting_for("evt.stock.reserve.sucess", {"type": "final"}))
    assert "evt.stock.reserve.success" in str(doubtful.warnings[0])


def test_it_says_which_requests_the_services_of_a_version_answer() -> None:
    notified = ArvoContract(
        uri="#/shop/note",
        type="com.shop.note",
        versions=[ContractVersion("1.0.0", accepts=Reserve, emits={})],
    )
    services = [RESERVE_SERVICE, notified.version("1.0.0")]
    handler = orchestrator(machine(services=services))
    assert handler.answering("1.0.0") == frozenset({RESERVE})
    with pytest.raises(ConfigViolation, match=r"2\.0\.0"):
        handler.answering("2.0.0")
