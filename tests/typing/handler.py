"""What type checkers make of arvo_event_handler. Checked by mypy and basedpyright, never run."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, assert_type

from opentelemetry.trace import Span
from pydantic import BaseModel

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoOrchestratorContract,
    ContractVersion,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
    SystemErrorData,
    VersionedArvoContract,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoEventHandlerFunction,
    ArvoMachine,
    ArvoOrchestrator,
    ArvoResumable,
    ArvoResumableFunction,
    ArvoSchedule,
    ArvoScheduleFunction,
    Complete,
    Due,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
    MissedTimes,
    Reply,
    RetryLater,
    SimpleEventBroker,
    SimpleMachineMemory,
    Start,
    Step,
    Timer,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.delivery import Publish
from arvo_event_handler.memory import ILeasedMachineMemory, LockPolicy, MachineLease, Record
from arvo_statechart import assign, emit
from arvo_time import RetryPolicy


class Product(BaseModel):
    numbers: list[float]


class Produced(BaseModel):
    result: float


class Init(BaseModel):
    items: list[float]


class Done(BaseModel):
    output: float


class Context(BaseModel):
    left: int


PRODUCT_V1 = SimpleVersion("1.0.0", accepts=Product, emits=Produced)
product_contract = SimpleArvoContract(uri="#/product", type="math.product", versions=[PRODUCT_V1])
MANY_V1 = ContractVersion("1.0.0", accepts=Product, emits={"evt.math.a": Produced})
many_contract = ArvoContract(uri="#/many", type="com.math.many", versions=[MANY_V1])
FLOW_V1 = OrchestratorVersion("1.0.0", init=Init, complete=Done)
flow_contract = ArvoOrchestratorContract(uri="#/flow", name="flow", versions=[FLOW_V1])

# --- services -----------------------------------------------------------------


async def product_v1(call: HandlerInput[Product]) -> Emit:
    assert_type(call.data, Product)
    assert_type(call.data.numbers, list[float])
    assert_type(call.event, ArvoEvent)
    assert_type(call.event.data, dict[str, Any])
    assert_type(call.span, Span)
    assert_type(call.domain.event, str | None)
    _ = call.data.factor  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    return Emit("evt.math.product.success", Produced(result=1))


async def several(call: HandlerInput[Product]) -> list[Emit]:
    return [Emit("evt.math.product.success", {"result": 1})]


async def perhaps(call: HandlerInput[Product]) -> Emit | None:
    return None


async def no_output(call: HandlerInput[Product]) -> int:
    return 1


def not_async(call: HandlerInput[Product]) -> Emit:
    return Emit("evt.math.product.success", {})


service = ArvoEventHandler(contract=product_contract, handler={"1.0.0": product_v1})
ArvoEventHandler(contract=product_contract, handler={"1.0.0": several})
ArvoEventHandler(contract=product_contract, handler={"1.0.0": perhaps})
ArvoEventHandler(contract=product_contract, handler={"1.0.0": no_output})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
ArvoEventHandler(contract=product_contract, handler={"1.0.0": not_async})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
ArvoEventHandler(product_contract, {"1.0.0": product_v1})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

policy = RetryPolicy(retries=2)
for retry_on in (ConnectionError, (ConnectionError, OSError), ()):
    ArvoEventHandler(
        contract=product_contract, handler={"1.0.0": product_v1}, retry_on=retry_on, retry=policy
    )
ArvoEventHandler(contract=product_contract, handler={}, retry_on=int)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ArvoEventHandler(contract=product_contract, handler={}, retry_on="OSError")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ArvoEventHandler(contract=product_contract, handler={}, retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
RetryLater("busy")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# A table in a variable needs its annotation.
table: dict[str, ArvoEventHandlerFunction] = {"1.0.0": product_v1}
ArvoEventHandler(contract=product_contract, handler=table)

# --- outputs ------------------------------------------------------------------

Emit("evt.a.b", Produced(result=1), to="com.a.b", domain=["x", None], executionunits=1.5)
Emit("evt.a.b", {"result": 1}, extensions={"tenant": "is", "retries": 2})
Emit("evt.a.b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Emit("evt.a.b", 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Emit("evt.a.b", {}, "com.a.b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Emit("evt.a.b", {}, subject="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Emit("evt.a.b", {}, domain=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Complete(Done(output=1), to="com.a.b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# --- workflows ----------------------------------------------------------------


async def flow_v1(call: Start[Init] | Reply[Context]) -> Step[Context]:
    if isinstance(call, Start):
        assert_type(call, Start[Init])
        assert_type(call.data, Init)
        return Step(
            context=Context(left=1),
            services=[Emit("com.math.product", Product(numbers=call.data.items))],
        )
    assert_type(call, Reply[Context])
    assert_type(call.context, Context)
    assert_type(call.error, SystemErrorData | None)
    assert_type(call.replies(PRODUCT_V1), Sequence[Produced])
    assert_type(call.replies(FLOW_V1), Sequence[Done])
    assert_type(call.replies(MANY_V1, type="evt.math.a"), Sequence[Any])
    assert_type(call.replies(product_contract.version(PRODUCT_V1)), Sequence[Any])
    call.replies(MANY_V1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    call.replies("1.0.0")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    _ = call.context.right  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    return Step(output=Complete(Done(output=sum(p.result for p in call.replies(PRODUCT_V1)))))


async def timed_v1(call: Start[Init] | Reply[Context] | Due[Context]) -> Step[Context]:
    if isinstance(call, Due):
        assert_type(call, Due[Context])
        assert_type(call.context, Context)
        assert_type(call.name, str)
        assert_type(call.at, datetime)
        assert_type(call.collected, Mapping[str, Sequence[ArvoEvent]])
        assert_type(call.replies(PRODUCT_V1), Sequence[Produced])
        _ = call.data  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
        return Step(cancel=["remind"], timers=[Timer("later", at=call.at)])
    if isinstance(call, Reply):
        assert_type(call, Reply[Context])
        return Step(
            services=[Emit("com.math.product", Product(numbers=[]), after=timedelta(days=1))]
        )
    assert_type(call, Start[Init])
    return Step(timers=(Timer("remind", after=timedelta(days=1)),))


Timer("remind", timedelta(days=1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Timer("remind", after=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Step(timers=["remind"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
Step(cancel=[Timer("remind", after=timedelta(days=1))])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
Emit("com.math.product", {}, at="tomorrow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_context(call: Start[Init] | Reply[Context]) -> Step[Context]:
    return Step(context=Produced(result=1))  # type: ignore[arg-type]  # pyright: ignore[reportReturnType]


async def wrong_output(call: Start[Init] | Reply[Context]) -> Step[Context]:
    return Step(output=Done(output=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportUnknownVariableType]


async def no_step(call: Start[Init] | Reply[Context]) -> Emit:
    return Emit("com.math.product", {})


memory = SimpleMachineMemory()
ArvoResumable(
    contract=flow_contract,
    services=[product_contract.version(PRODUCT_V1)],
    memory=memory,
    handler={"1.0.0": timed_v1},
    deadline=timedelta(days=7),
)
ArvoResumable(contract=flow_contract, services=[], memory=memory, handler={}, deadline=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow = ArvoResumable(
    contract=flow_contract,
    services=[product_contract.version(PRODUCT_V1), many_contract.version("1.0.0")],
    memory=memory,
    handler={"1.0.0": flow_v1},
    policy=ExecutionPolicy(finished_expiry=timedelta(days=7)),
)
flow_table: dict[str, ArvoResumableFunction] = {"1.0.0": flow_v1}
ArvoResumable(contract=flow_contract, services=[], memory=memory, handler=flow_table)
ArvoResumable(contract=flow_contract, services=[], memory=memory, handler={"1.0.0": no_step})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
ArvoResumable(contract=product_contract, services=[], memory=memory, handler={"1.0.0": flow_v1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ArvoResumable(
    contract=flow_contract,
    services=[product_contract],  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    memory=memory,
    handler={"1.0.0": flow_v1},
)
ExecutionPolicy(finished_expiry=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
LockPolicy(ttl=30)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- machines -----------------------------------------------------------------

product_version = product_contract.version(PRODUCT_V1)
machine = ArvoMachine(
    contract=flow_contract.version(FLOW_V1),
    services=[product_version],
    actions={"count": assign({"n": lambda call: call.context["n"] + 1}), "note": lambda call: None},
    guards={"enough": lambda call: call.context["n"] > 1},
    config={
        "context": lambda call: {"n": call.input["data"]["n"]},
        "initial": "open",
        "states": {
            "open": {
                "entry": ["count", emit({"type": "com.math.product", "data": {}})],
                "on": {"evt.math.product.success": [{"guard": "enough", "target": "done"}]},
            },
            "done": {"type": "final"},
        },
        "output": lambda call: {"output": call.context["n"]},
    },
)
assert_type(machine.requires_resource_locking, bool)
assert_type(machine.services, Mapping[str, VersionedArvoContract[Any]])
orchestrator = ArvoOrchestrator(machines=[machine], memory=memory)
assert_type(orchestrator.contract, ArvoOrchestratorContract)
assert_type(orchestrator.registry.machine("1.0.0"), ArvoMachine)
ArvoMachine(contract=product_version, services=[], config={"invoke": {}})  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportArgumentType]
ArvoMachine(contract=product_version, services=[], config={"initial": 1})  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]
ArvoMachine(contract=flow_contract, services=[], config={})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ArvoMachine(contract=product_version, services=[product_contract], config={})  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
ArvoOrchestrator(machines=machine, memory=memory)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- schedules ----------------------------------------------------------------


def nightly(planned: datetime) -> Emit:
    return Emit("com.math.product", Product(numbers=[planned.day]))


async def nightly_later(planned: datetime) -> Emit:
    return nightly(planned)


on_weekdays: ArvoScheduleFunction = lambda planned: (  # noqa: E731
    nightly(planned) if planned.weekday() < 5 else None
)
missed: MissedTimes = "all"
schedule = ArvoSchedule(
    name="nightly",
    cron="0 6 * * *",
    zone="Europe/Vienna",
    services=[product_version],
    emit=nightly,
    missed=missed,
    memory=memory,
)
assert_type(schedule.name, str)
assert_type(schedule.subject, str)
assert_type(schedule.contract, ArvoOrchestratorContract)
a_handler: IArvoEventHandler = schedule
is_async: ArvoScheduleFunction = nightly_later  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
no_event: ArvoScheduleFunction = lambda planned: "x"  # type: ignore[assignment, return-value]  # noqa: E731  # pyright: ignore[reportAssignmentType]
unknown: MissedTimes = "some"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
ArvoSchedule(
    name="nightly",
    cron="0 6 * * *",
    zone="UTC",
    services=[product_contract],  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    emit=on_weekdays,
    memory=memory,
)
ArvoSchedule("n", services=[], emit=nightly, memory=memory)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# --- brokers and memories -----------------------------------------------------


async def outside(event: ArvoEvent, publish: Publish) -> None:
    await publish(event)


async def use(event: ArvoEvent, leased: ILeasedMachineMemory) -> None:
    handlers: list[IArvoEventHandler] = [service, flow, orchestrator, schedule]
    broker = SimpleEventBroker(handlers, on_domained_event=outside)
    assert_type(await broker.resolve(event), ArvoEvent | None)
    assert_type(await service.execute(event), list[ArvoEvent])
    plain: IMachineMemory = leased
    assert_type(await plain.read("id"), Record | None)
    assert_type(await leased.acquire("id"), MachineLease | None)
    await leased.commit(event, {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await plain.write("id", {"a": object()}, None)  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


not_leased: ILeasedMachineMemory = memory  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
SimpleEventBroker([memory])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
TransactionViolation("x", cause="LEASE_LOST", subject="s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(TransactionViolationCause.LEASE_LOST.retryable, bool)
