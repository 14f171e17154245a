"""Handlers take limits, so that what is accepted with larger ones can be passed on and kept."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    EventLimits,
    InvalidEventError,
    JsonObject,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoMachine,
    ArvoOrchestrator,
    ArvoResumable,
    Complete,
    ContractViolation,
    Emit,
    HandlerInput,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
)
from arvo_statechart import assign, emit

from .shop import stored

DEEPEST = 248
LIMITS = EventLimits(max_depth=DEEPEST)


class Tree(BaseModel):
    root: JsonObject


V1 = SimpleVersion("1.0.0", accepts=Tree, emits=Tree)
echo_contract = SimpleArvoContract(uri="#/echo", type="tree.echo", versions=[V1])
FLOW_V1 = OrchestratorVersion("1.0.0", init=Tree, complete=Tree)
flow_contract = ArvoOrchestratorContract(uri="#/flow", name="tree.flow", versions=[FLOW_V1])


def tree(depth: int) -> Tree:
    """Data whose leaf stands that many levels below it, half in lists and half in objects."""
    value: Any = 1
    for level in range(depth - 2):
        value = [value] if level % 2 else {"in": value}
    return Tree(root={"in": value})


def asked(depth: int) -> ArvoEvent:
    factory = ArvoEventFactory(echo_contract.version(V1))
    return factory.accepts(source="com.app.main", data=tree(depth), limits=LIMITS)


def echo(limits: EventLimits | None) -> ArvoEventHandler:
    async def echo_v1(call: HandlerInput[Tree]) -> Emit:
        return Emit("evt.tree.echo.success", call.data)

    return ArvoEventHandler(contract=echo_contract, handler={"1.0.0": echo_v1}, limits=limits)


def resumable(limits: EventLimits | None) -> ArvoResumable:
    """Ask the echo, keep what it answers, and end with that."""

    async def flow_v1(call: Start[Tree] | Reply[dict[str, Any]]) -> Step[dict[str, Any]]:
        if isinstance(call, Start):
            first, second = (Emit("com.tree.echo", call.data) for _ in range(2))
            return Step(context={"kept": call.data.root}, services=[first, second])
        replies = call.replies(V1)
        if len(replies) < 2:
            return Step(context={"kept": replies[0].root})
        return Step(output=Complete(replies[0]))

    return ArvoResumable(
        contract=flow_contract,
        services=[echo_contract.version(V1)],
        memory=SimpleMachineMemory(),
        handler={"1.0.0": flow_v1},
        limits=limits,
    )


def orchestrator(limits: EventLimits | None) -> ArvoOrchestrator:
    """As the resumable, as a statechart."""

    def ask(call: Any) -> dict[str, Any]:
        return {"type": "com.tree.echo", "data": {"root": call.context["kept"]}}

    def keep(call: Any) -> dict[str, Any]:
        return {"kept": call.event["data"]["root"], "n": call.context["n"] + 1}

    machine = ArvoMachine(
        contract=flow_contract.version(FLOW_V1),
        services=[echo_contract.version(V1)],
        config={
            "context": lambda call: {"kept": call.input["data"]["root"], "n": 0},
            "initial": "asking",
            "states": {
                "asking": {
                    "entry": [emit(ask), emit(ask)],
                    "on": {"evt.tree.echo.success": {"actions": assign(keep), "target": "more"}},
                },
                "more": {"on": {"evt.tree.echo.success": "done"}},
                "done": {"type": "final"},
            },
            "output": lambda call: {"root": call.context["kept"]},
        },
    )
    return ArvoOrchestrator(machines=[machine], memory=SimpleMachineMemory(), limits=limits)


HANDLERS = [echo, resumable, orchestrator]


@pytest.mark.parametrize("depth", [129, 130, DEEPEST])
async def test_an_answer_is_as_deep_as_the_limits_of_its_service(depth: int) -> None:
    event = asked(depth)
    with pytest.raises(ContractViolation, match="nested more than 128 levels deep; flatten"):
        await echo(None).execute(event)
    with pytest.raises(ContractViolation, match=f"more than {depth - 1} levels deep; flatten"):
        await echo(EventLimits(max_depth=depth - 1)).execute(event)
    [answer] = await echo(EventLimits(max_depth=depth)).execute(event)
    assert answer.data == event.data
    assert ArvoEvent.from_json(answer.to_json(), limits=LIMITS).data == event.data


@pytest.mark.parametrize("make", [resumable, orchestrator])
@pytest.mark.parametrize("depth", [129, DEEPEST])
async def test_a_workflow_keeps_and_sends_what_its_limits_allow(
    make: Callable[[EventLimits | None], ArvoResumable | ArvoOrchestrator], depth: int
) -> None:
    factory = ArvoOrchestratorEventFactory(flow_contract.version(FLOW_V1))
    event = factory.init(source="com.app.main", data=tree(depth), limits=LIMITS)
    workflow, service = make(LIMITS), echo(LIMITS)

    requests = await workflow.execute(event)
    assert [request.data for request in requests] == [tree(depth).model_dump()] * 2
    assert [each.id for each in await workflow.execute(event)] == [each.id for each in requests]
    [first], [second] = [await service.execute(request) for request in requests]
    assert await workflow.execute(first) == []
    [done] = await workflow.execute(second)
    assert done.data == tree(depth).model_dump()
    assert [each.id for each in await workflow.execute(second)] == [done.id]
    assert (await stored(workflow.memory, event))["status"] == "done"


@pytest.mark.parametrize("make", [resumable, orchestrator])
async def test_without_limits_a_workflow_sends_as_deep_as_default_readers_accept(
    make: Callable[[EventLimits | None], ArvoResumable | ArvoOrchestrator],
) -> None:
    factory = ArvoOrchestratorEventFactory(flow_contract.version(FLOW_V1))
    event = factory.init(source="com.app.main", data=tree(129), limits=LIMITS)
    with pytest.raises(ContractViolation, match="more than 128 levels deep"):
        await make(None).execute(event)


@pytest.mark.parametrize("make", HANDLERS)
@pytest.mark.parametrize("limits", [248, {"max_depth": 248}, EventLimits, True])
def test_invalid_limits_are_refused(make: Callable[[Any], object], limits: Any) -> None:
    with pytest.raises(TypeError, match=r"com\.tree\.echo|arvo\.orc\.tree\.flow") as refused:
        make(limits)
    assert "limits must be an EventLimits" in str(refused.value)


def test_no_event_may_be_deeper_than_a_record_can_carry() -> None:
    with pytest.raises(ValueError, match=f"max_depth must be at most {DEEPEST}"):
        EventLimits(max_depth=DEEPEST + 1)
    with pytest.raises(InvalidEventError, match="raise max_depth"):
        ArvoEvent.create(source="com.a.b", type="com.a.b", subject="s", data=tree(130).root)
