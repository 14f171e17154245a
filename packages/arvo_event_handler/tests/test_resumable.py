"""Workflows written as code, as users run them."""

from typing import Any

import pytest
from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    OrchestratorVersion,
)
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    ContractViolation,
    Emit,
    InvalidHandlerError,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
)
from arvo_time.testing import SpanRecorder

from .shop import (
    APP,
    CHARGE,
    ORDER,
    ORDER_V1,
    ORDERED,
    RESERVE,
    RESERVE_V1,
    AnyCall,
    Order,
    charged,
    order,
    order_contract,
    order_v1,
    reserve_contract,
    reserve_failed,
    reserved,
    start,
    stored,
)


def test_it_listens_where_its_contract_says() -> None:
    handler = order(executionunits=3)
    assert (handler.source, handler.stateful, handler.domain, handler.executionunits) == (
        ORDER,
        True,
        None,
        3,
    )
    assert list(handler.services) == [RESERVE, CHARGE]
    assert ORDER in repr(handler)


def test_every_version_needs_a_function() -> None:
    with pytest.raises(InvalidHandlerError, match=r"no function for version 1\.0\.0"):
        ArvoResumable(
            contract=order_contract, services=[], memory=SimpleMachineMemory(), handler={}
        )


async def test_a_workflow_from_start_to_end() -> None:
    handler = order()
    event = start("tea", "cocoa")
    tea, cocoa = await handler.execute(event)
    assert [request.data["item"] for request in (tea, cocoa)] == ["tea", "cocoa"]
    assert await handler.execute(reserved(cocoa, price=3)) == []
    [done] = await handler.execute(reserved(tea, price=4))
    assert (done.type, done.to, done.data) == (ORDERED, APP, {"total": 7})


class TestLockingIsInferred:
    """From the number of services; a leased memory leases anyway."""

    def test_one_service_needs_no_lock(self) -> None:
        assert not order(services=[reserve_contract.version(RESERVE_V1)]).requires_resource_locking

    def test_a_workflow_without_services_needs_no_lock(self) -> None:
        assert not order(services=[]).requires_resource_locking

    def test_several_services_need_a_lock(self) -> None:
        assert order().requires_resource_locking

    @pytest.mark.parametrize("locking", [True, False])
    def test_locking_can_be_chosen(self, locking: bool) -> None:
        assert order(locking=locking).requires_resource_locking is locking


class TestContext:
    async def test_context_none_keeps_the_old_one(self) -> None:
        contexts: list[Any] = []

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                return Step(context={"n": 1}, services=[Emit(RESERVE, {"item": "a"})])
            contexts.append(call.context)
            return Step(context={"n": 2}) if len(contexts) == 2 else Step()

        handler = order(flow)
        [request] = await handler.execute(start())
        for number in range(4):
            await handler.execute(reserved(request, id=str(number)))
        assert contexts == [{"n": 1}, {"n": 1}, {"n": 2}, {"n": 2}]

    async def test_a_workflow_without_a_context_gets_none(self) -> None:
        contexts: list[Any] = []

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Reply):
                contexts.append(call.context)
            return Step(services=[Emit(RESERVE, {"item": "a"})])

        handler = order(flow)
        [request] = await handler.execute(start())
        await handler.execute(reserved(request))
        assert contexts == [None]

    async def test_what_the_function_gets_is_its_own_copy(self) -> None:
        memory = SimpleMachineMemory()

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                return Step(context={"deep": [{"n": 1}]}, services=[Emit(RESERVE, {"item": "a"})])
            call.context["deep"][0]["n"] = "changed"
            call.context["more"] = True
            return Step()

        event = start()
        handler = order(flow, memory=memory)
        [request] = await handler.execute(event)
        await handler.execute(reserved(request))
        assert (await stored(memory, event))["state$$"] == {"deep": [{"n": 1}]}

    async def test_the_record_shown_to_the_function_is_a_copy(self) -> None:
        memory = SimpleMachineMemory()

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                return Step(services=[Emit(RESERVE, {"item": "a"})])
            produced: Any = call.metadata["events"]
            produced["produced"].clear()
            return Step(output=Complete({"total": 1}))

        event = start()
        handler = order(flow, memory=memory)
        [request] = await handler.execute(event)
        [done] = await handler.execute(reserved(request))
        assert done.type == ORDERED

    async def test_a_deep_context_comes_back(self) -> None:
        depths: list[int] = []

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                context: dict[str, Any] = {}
                for _ in range(240):
                    context = {"a": context}
                return Step(context=context, services=[Emit(RESERVE, {"item": "a"})])
            depths.append(str(call.context).count("a"))
            return Step()

        handler = order(flow)
        [request] = await handler.execute(start())
        await handler.execute(reserved(request))
        assert depths == [240]

    @pytest.mark.parametrize(
        "context",
        [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}, [1], "text"],
        ids=["nan", "object", "surrogate", "list", "string"],
    )
    async def test_a_context_that_is_not_a_json_object_fails_the_workflow(
        self, context: Any
    ) -> None:
        memory = SimpleMachineMemory()

        async def flow(call: AnyCall) -> Step[Any]:
            return Step(context=context, services=[Emit(RESERVE, {"item": "a"})])

        event = start()
        [error] = await order(flow, memory=memory).execute(event)
        assert error.type == f"sys.{ORDER}.error"
        assert error.data["errorName"] == "InvalidDataError", "it got as far as the memory"
        assert (await stored(memory, event))["executionStatus"] == "failure"


class TestOutputs:
    async def test_requests_and_an_end_in_one_step(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(services=[Emit(RESERVE, {"item": "a"})], output=Complete({"total": 1}))

        requests = await order(flow).execute(start())
        assert [event.type for event in requests] == [RESERVE, ORDERED]

    @pytest.mark.parametrize("returned", [None, Step()])
    async def test_returning_nothing_waits(self, returned: Step[Any] | None) -> None:
        async def flow(call: AnyCall) -> Step[Any] | None:
            if isinstance(call, Start):
                return Step(services=[Emit(RESERVE, {"item": "a"})])
            return returned

        memory = SimpleMachineMemory()
        event = start()
        handler = order(flow, memory=memory)
        [request] = await handler.execute(event)
        assert await handler.execute(reserved(request)) == []
        assert (await stored(memory, event))["status"] == "active"

    @pytest.mark.parametrize("returned", [{}, 0, "", Complete({}), [Step()]], ids=repr)
    async def test_another_return_value_is_refused(self, returned: Any) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return returned  # type: ignore[no-any-return]

        with pytest.raises(ContractViolation, match=r"return Step\(\.\.\.\) or None"):
            await order(flow).execute(start())

    async def test_a_start_that_asks_for_nothing_is_warned_of(self) -> None:
        async def flow(call: AnyCall) -> Step[Any] | None:
            return None

        memory = SimpleMachineMemory()
        event = start()
        with SpanRecorder() as spans:
            assert await order(flow, memory=memory).execute(event) == []
        [warning] = spans.spans[0].events
        assert "nothing will resume it" in str(warning.attributes["message"])
        assert (await stored(memory, event))["status"] == "active"

    async def test_the_completion_is_checked_by_the_contract(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(output=Complete({}))

        with pytest.raises(ContractViolation, match=r"arvo\.orc\.shop\.order\.done"):
            await order(flow).execute(start())


class TestCollecting:
    async def test_any_request_resets_what_is_collected(self) -> None:
        collected: list[list[str]] = []

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                return Step(services=[Emit(RESERVE, {"item": item}) for item in call.data.items])
            collected.append(sorted(call.collected))
            if len(collected) == 2:
                return Step(services=[Emit(CHARGE, {"amount": 1})])
            return Step()

        handler = order(flow)
        first, second, third = await handler.execute(start("a", "b", "c"))
        await handler.execute(reserved(first))
        [charge] = await handler.execute(reserve_failed(second, LookupError("x")))
        await handler.execute(reserved(third))
        await handler.execute(charged(charge))
        both = ["evt.stock.reserve.success", "sys.com.stock.reserve.error"]
        assert collected == [both[:1], both, [], ["evt.payment.charge.success"]]

    async def test_a_workflow_that_never_asked_collects_nothing(self) -> None:
        calls: list[AnyCall] = []

        async def flow(call: AnyCall) -> Step[Any]:
            calls.append(call)
            return Step()

        handler = order(flow)
        event = start()
        await handler.execute(event)
        await handler.execute(reserved(event))
        assert isinstance(calls[1], Reply)
        assert dict(calls[1].collected) == {}


class TestRecord:
    async def test_member_names_are_those_of_the_typescript_version(self) -> None:
        memory = SimpleMachineMemory()
        event = start("a")
        handler = order(memory=memory)
        [request] = await handler.execute(event)
        record = await stored(memory, event)
        assert set(record) == {
            "executionStatus",
            "status",
            "initEventId",
            "parentSubject",
            "subject",
            "events",
            "state$$",
            "redelivery",
        }
        assert record["executionStatus"] == "normal"
        assert record["status"] == "active"
        assert record["initEventId"] == event.id
        assert record["parentSubject"] is None
        assert record["subject"] == event.subject
        assert record["events"] == {
            "consumed": event.to_dict(),
            "expected": {request.id: []},
            "produced": [request.to_dict()],
        }

    async def test_events_are_kept_as_on_the_wire(self) -> None:
        memory = SimpleMachineMemory()
        event = start("a", "b")
        handler = order(memory=memory)
        first, second = await handler.execute(event)
        reply = reserved(first).model_copy(update={"data": {"price": "7", "unknown": True}})
        await handler.execute(reply)
        assert (await stored(memory, event))["events"] == {
            "consumed": reply.to_dict(),
            "expected": {first.id: [reply.to_dict()], second.id: []},
            "produced": [],
        }

    async def test_the_end_is_done(self) -> None:
        memory = SimpleMachineMemory()
        event = start("a")
        handler = order(memory=memory)
        [request] = await handler.execute(event)
        [done] = await handler.execute(reserved(request))
        record = await stored(memory, event)
        assert (record["status"], record["executionStatus"]) == ("done", "normal")
        assert record["events"]["produced"] == [done.to_dict()]


class TestAfterTheEnd:
    """A finished workflow ignores every event, before validating it, and writes nothing."""

    @pytest.mark.parametrize("end", ["done", "failure"])
    async def test_later_events_change_nothing(self, end: str) -> None:
        runs: list[AnyCall] = []

        async def flow(call: AnyCall) -> Step[Any]:
            runs.append(call)
            if isinstance(call, Start):
                return Step(services=[Emit(RESERVE, {"item": "a"})])
            if end == "failure":
                raise RuntimeError("over")
            return Step(output=Complete({"total": 1}))

        memory = SimpleMachineMemory()
        event = start()
        handler = order(flow, memory=memory)
        [request] = await handler.execute(event)
        await handler.execute(reserved(request))
        before = await stored(memory, event)
        for late in (
            reserved(request, id="late"),
            reserved(request, id="bad").model_copy(update={"data": {}}),
            reserved(request, id="foreign").model_copy(update={"type": "evt.who.knows"}),
            event.model_copy(update={"id": "again"}),
        ):
            assert await handler.execute(late) == []
        assert await stored(memory, event) == before
        assert len(runs) == 2


class Basket(BaseModel):
    orders: list[list[str]]


class Bought(BaseModel):
    totals: list[int]
    failed: list[str]


BASKET_V1 = OrchestratorVersion("1.0.0", init=Basket, complete=Bought)
basket_contract = ArvoOrchestratorContract(
    uri="#/shop/basket", name="shop.basket", versions=[BASKET_V1]
)


async def basket_v1(call: Start[Basket] | Reply[dict[str, Any]]) -> Step[dict[str, Any]]:
    if isinstance(call, Start):
        return Step(services=[Emit(ORDER, Order(items=items)) for items in call.data.orders])
    failed = [
        str(event.data["errorMessage"]) for event in call.collected.get(f"sys.{ORDER}.error", ())
    ]
    totals = [ordered.total for ordered in call.replies(ORDER_V1)]
    if len(totals) + len(failed) < 2:
        return Step()
    return Step(output=Complete(Bought(totals=totals, failed=failed)))


class TestNestedWorkflows:
    def basket(self) -> ArvoResumable:
        return ArvoResumable(
            contract=basket_contract,
            services=[order_contract.version(ORDER_V1)],
            memory=SimpleMachineMemory(),
            handler={"1.0.0": basket_v1},
        )

    def fill(self, *orders: list[str]) -> ArvoEvent:
        subject = ArvoOrchestrationSubject.new(
            orchestrator=basket_contract.type, version="1.0.0", initiator=APP
        )
        return ArvoEvent.create(
            source=APP,
            type=basket_contract.type,
            subject=subject,
            data={"parentSubject$$": None, "orders": list(orders)},
            dataschema="#/shop/basket/1.0.0",
        )

    async def test_children_answer_their_parent(self) -> None:
        memory = SimpleMachineMemory()
        parent, child = self.basket(), order(memory=memory)
        event = self.fill(["a"], ["b"])
        inits = await parent.execute(event)
        answers: list[ArvoEvent] = []
        for price, init in enumerate(inits, start=1):
            assert init.to == child.source
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
        async def flow(call: AnyCall) -> Step[Any]:
            raise RuntimeError("sold out")

        parent, child = self.basket(), order(flow)
        event = self.fill(["a"], ["b"])
        answers: list[ArvoEvent] = []
        for init in await parent.execute(event):
            [error] = await child.execute(init)
            assert (error.type, error.to) == (f"sys.{ORDER}.error", basket_contract.type)
            assert (error.subject, error.parentid) == (event.subject, init.id)
            answers = await parent.execute(error)
        assert answers[0].data == {"totals": [], "failed": ["sold out", "sold out"]}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("policy", {}),
        ("domains", "here"),
        ("system_errors", True),
        ("executionunits", "3"),
        ("requires_resource_locking", "no"),
    ],
)
def test_a_setting_of_another_type_is_refused_when_it_is_made(setting: str, value: Any) -> None:
    given: Any = {
        "contract": order_contract,
        "services": [],
        "memory": SimpleMachineMemory(),
        "handler": {"1.0.0": order_v1},
        setting: value,
    }
    with pytest.raises(TypeError, match=setting):
        ArvoResumable(**given)
