"""Stored data that does not fit the deployed code ends no workflow: the old code goes on.

A workflow outlives deployments. Everything that the library raises while it reads what an earlier
step has stored is a violation, also inside a user's function, however that reacts.
"""

import asyncio
import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, field_validator
from typing_extensions import override

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
    ViolationError,
)
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    ConfigViolation,
    ContractViolation,
    Emit,
    IArvoEventHandler,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
    TransactionViolation,
    TransactionViolationCause,
    WorkflowControl,
)
from arvo_event_handler._workflow._control_events import WAKE
from arvo_event_handler.memory import Record
from arvo_statechart.typing import MachineConfig
from arvo_time.testing import FakeClock

from .leased_memory import LeasedMemory
from .order_machines import machine, orchestrator
from .shop import (
    CHARGE,
    ORDERED,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    AnyCall,
    Order,
    Ordered,
    Reserve,
    charge_contract,
    order,
    reserve_contract,
    reserved,
    start,
    stored,
)


class Dated(BaseModel):
    """What the stock service answers from now on: one member more, and required."""

    price: int
    warehouse: str


class Checked(BaseModel):
    """A model whose validator raises on stored data."""

    price: int

    @field_validator("price")
    @classmethod
    def _listed(cls, price: int) -> int:
        return {7: price}[price]


def grown(model: type[BaseModel]) -> tuple[SimpleVersion[Any, Any], SimpleArvoContract]:
    version = SimpleVersion("1.0.0", accepts=Reserve, emits=model)
    return version, SimpleArvoContract(
        uri=reserve_contract.uri, type="stock.reserve", versions=[version]
    )


def newer(
    function: Callable[[AnyCall, SimpleVersion[Any, Any]], Any],
    memory: SimpleMachineMemory,
    *,
    model: type[BaseModel] = Dated,
) -> ArvoResumable:
    """Deploy a version of the workflow that reads the stock's answers by another model."""
    version, contract = grown(model)

    async def flow(call: AnyCall) -> Any:
        made = function(call, version)
        return await made if asyncio.iscoroutine(made) else made

    return order(
        flow,
        memory=memory,
        services=[contract.version(version), charge_contract.version("1.0.0")],
    )


async def half_done(memory: SimpleMachineMemory) -> tuple[ArvoEvent, ArvoEvent]:
    """Start an order of two items, and answer for the first; return start and second request."""
    event = start("tea", "cup")
    first, second = await order(memory=memory).execute(event)
    assert await order(memory=memory).execute(reserved(first, price=1, id="answer-1")) == []
    return event, second


def answer(request: ArvoEvent, **data: object) -> ArvoEvent:
    return reserved(request, id="answer-2").model_copy(update={"data": {"price": 2, **data}})


async def old_code_goes_on(
    memory: SimpleMachineMemory, event: ArvoEvent, before: Record, second: ArvoEvent
) -> None:
    assert await stored(memory, event) == before
    [done] = await order(memory=memory).execute(answer(second))
    assert (done.type, done.data) == (ORDERED, {"total": 3})


class TestAStoredAnswerThatNoLongerFits:
    def looks(self, call: AnyCall, version: SimpleVersion[Any, Any]) -> Step[Any]:
        assert isinstance(call, Reply)
        return Step(output=Complete({"total": len(list(call.replies(version)))}))

    @pytest.mark.parametrize(
        ("model", "why"),
        [
            pytest.param(Dated, r"does not fit Dated; .*warehouse", id="a-required-member"),
            pytest.param(
                Checked, r"does not fit Checked; .*KeyError", id="a-validator-that-breaks"
            ),
        ],
    )
    async def test_is_a_config_violation_that_names_answer_model_and_remedy(
        self, model: type[BaseModel], why: str
    ) -> None:
        memory = SimpleMachineMemory()
        event, second = await half_done(memory)
        before = await stored(memory, event)
        deployed = newer(self.looks, memory, model=model)
        fitting = {"price": 7, "warehouse": "north"}
        with pytest.raises(ConfigViolation, match=f"(?s){why}") as caught:
            await deployed.execute(answer(second, **fitting))
        message = str(caught.value)
        assert "'answer-1'" in message
        assert RESERVED in message
        assert "deploy a version that can read it, then deliver again" in message
        await old_code_goes_on(memory, event, before, second)

    async def test_the_events_own_data_is_still_measured_by_its_contract(self) -> None:
        memory = SimpleMachineMemory()
        _, second = await half_done(memory)
        with pytest.raises(ContractViolation, match="warehouse"):
            await newer(self.looks, memory).execute(answer(second))

    @pytest.mark.parametrize("how", ["swallowed", "wrapped", "in a group", "later"])
    async def test_counts_however_the_function_reacts(self, how: str) -> None:
        """It decides without the data it asked for, so its decision is not stored."""

        async def ask(call: Reply[Any], version: SimpleVersion[Any, Any]) -> int:
            return len(list(call.replies(version)))

        async def flow(call: AnyCall, version: SimpleVersion[Any, Any]) -> Step[Any]:
            assert isinstance(call, Reply)
            if how == "in a group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(ask(call, version))
                    group.create_task(broken())
            try:
                await ask(call, version)
            except Exception as error:
                if how == "wrapped":
                    raise RuntimeError("no price") from error
            if how == "later":
                raise LookupError("no price")
            return Step(output=Complete({"total": 0}))

        async def broken() -> None:
            raise LookupError("no stock")

        memory = SimpleMachineMemory()
        event, second = await half_done(memory)
        before = await stored(memory, event)
        with pytest.raises(ConfigViolation, match="'answer-1'"):
            await newer(flow, memory).execute(answer(second, warehouse="north"))
        await old_code_goes_on(memory, event, before, second)

    async def test_a_function_that_does_not_read_the_answer_goes_on(self) -> None:
        def waits(call: AnyCall, version: SimpleVersion[Any, Any]) -> Step[Any]:
            assert isinstance(call, Reply)
            return Step(output=Complete({"total": call.data.price}))

        memory = SimpleMachineMemory()
        _, second = await half_done(memory)
        [done] = await newer(waits, memory).execute(answer(second, warehouse="north"))
        assert done.data == {"total": 2}

    async def test_what_user_code_raises_on_its_own_still_ends_the_workflow(self) -> None:
        def fails(call: AnyCall, version: SimpleVersion[Any, Any]) -> Step[Any]:
            assert isinstance(call, Reply)
            raise LookupError("sold out")

        memory = SimpleMachineMemory()
        event, second = await half_done(memory)
        [error] = await newer(fails, memory).execute(answer(second, warehouse="north"))
        assert error.data["errorName"] == "LookupError"
        assert (await stored(memory, event))["executionStatus"] == "failure"

    async def test_a_childs_completion_that_no_longer_fits_is_a_config_violation(self) -> None:
        """A child workflow answers its parent as any service does."""

        class Total(BaseModel):
            total: int

        class Sums(BaseModel):
            total: int
            currency: str

        old = OrchestratorVersion("1.0.0", init=Reserve, complete=Total)
        new = OrchestratorVersion("1.0.0", init=Reserve, complete=Sums)

        def parent(
            version: OrchestratorVersion[Any, Any], memory: SimpleMachineMemory
        ) -> ArvoResumable:
            contract = ArvoOrchestratorContract(
                uri="#/child", name="shop.child", versions=[version]
            )

            async def flow(call: AnyCall) -> Step[Any]:
                if isinstance(call, Start):
                    ask = {"item": "a", "parentSubject$$": call.event.subject}
                    return Step(services=[Emit(contract.type, ask) for _ in range(2)])
                replies = list(call.replies(version))
                return Step(output=Complete({"total": 1})) if len(replies) == 2 else Step()

            return order(flow, memory=memory, services=[contract.version(version)])

        def completed(request: ArvoEvent, **data: object) -> ArvoEvent:
            return ArvoEvent.create(
                source=request.type,
                type="arvo.orc.shop.child.done",
                subject=event.subject,
                dataschema="#/child/1.0.0",
                data={"total": 1, **data},
                parentid=request.id,
                to=request.source,
            )

        memory = SimpleMachineMemory()
        event = start()
        first, second = await parent(old, memory).execute(event)
        await parent(old, memory).execute(completed(first))
        before = await stored(memory, event)
        with pytest.raises(ConfigViolation, match="does not fit Sums"):
            await parent(new, memory).execute(completed(second, currency="EUR"))
        assert await stored(memory, event) == before
        [done] = await parent(old, memory).execute(completed(second))
        assert done.type == ORDERED


class TestAnAnswerOfWhatIsThereNoLonger:
    async def test_of_a_removed_service_is_no_matter(self) -> None:
        """Its stored answers stay in the record, and nothing reads them."""
        memory = SimpleMachineMemory()
        event = start("tea", "cup")
        first, second = await order(memory=memory).execute(event)
        await order(memory=memory).execute(reserved(first))
        record = await stored(memory, event)
        stale = {**record["events"]["expected"][first.id][0], "type": "evt.stock.gone"}
        renamed = {**record["events"], "expected": {first.id: [stale], second.id: []}}
        await memory.write(event.subject, {**record, "events": renamed}, record)
        seen: list[str] = []

        async def flow(call: AnyCall) -> Step[Any]:
            assert isinstance(call, Reply)
            seen.extend(call.collected)
            return Step(output=Complete({"total": len(call.replies(RESERVE_V1))}))

        [done] = await order(flow, memory=memory).execute(reserved(second))
        assert (seen, done.data) == (["evt.stock.gone", RESERVED], {"total": 1})


class TestAContextThatNoLongerFits:
    async def test_may_break_a_validator_too(self) -> None:
        """Not only by an error of pydantic's."""
        memory = SimpleMachineMemory()
        event, second = await half_done(memory)
        before = await stored(memory, event)

        class Items(BaseModel):
            items: int

            @field_validator("items")
            @classmethod
            def _listed(cls, items: int) -> int:
                return {7: items}[items]

        async def flow(call: Start[Any] | Reply[Items]) -> Step[Items]:
            raise AssertionError("it must not be called")

        changed = ArvoResumable(
            contract=order().contract,
            services=[reserve_contract.version(RESERVE_V1)],
            memory=memory,
            handler={"1.0.0": flow},
            contexts={"1.0.0": Items},
        )
        with pytest.raises(
            ConfigViolation, match=r"(?s)stored context does not fit Items.*KeyError"
        ):
            await changed.execute(answer(second))
        await old_code_goes_on(memory, event, before, second)


class TestARecordOfAnotherStyle:
    async def test_a_machines_record_is_refused_by_a_resumable(self) -> None:
        """For the opposite case see the orchestrator's tests."""
        memory = SimpleMachineMemory()
        event = start("tea")
        [request] = await orchestrator(memory=memory).execute(event)
        before = await stored(memory, event)
        with pytest.raises(TransactionViolation, match="not a resumable's") as caught:
            await order(memory=memory).execute(reserved(request))
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert not caught.value.retryable
        assert await stored(memory, event) == before


class HandsOutObjects(SimpleMachineMemory):
    """A memory whose records are not JSON, as one that pickles may have."""

    @override
    async def read(self, machine_id: str) -> Record | None:
        record = await super().read(machine_id)
        return None if record is None else {**record, "note": object()}  # type: ignore[dict-item]


class TestDamageThatUserCodeMeets:
    @pytest.mark.parametrize("swallowed", [False, True])
    async def test_in_the_metadata(self, swallowed: bool) -> None:
        memory = SimpleMachineMemory()
        event, second = await half_done(memory)
        before = await stored(memory, event)
        odd = HandsOutObjects()
        await odd.write(event.subject, before, None)

        async def flow(call: AnyCall) -> Step[Any]:
            assert isinstance(call, Reply)
            try:
                assert call.metadata
            except Exception:
                if not swallowed:
                    raise
            return Step()

        with pytest.raises(TransactionViolation, match="not a workflow's record") as caught:
            await order(flow, memory=odd).execute(answer(second))
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert not caught.value.retryable
        assert {**await stored(odd, event), "note": None} == {**before, "note": None}

    @pytest.mark.parametrize("swallowed", [False, True])
    async def test_in_a_collected_answer(self, swallowed: bool) -> None:
        memory = SimpleMachineMemory()
        event, second = await half_done(memory)
        record = await stored(memory, event)
        [request, other] = record["events"]["expected"]
        broken = {**record["events"]["expected"][request][0], "data": "no object"}
        events = {**record["events"], "expected": {request: [broken], other: []}}
        damaged = {**record, "events": events}
        await memory.write(event.subject, damaged, record)

        async def flow(call: AnyCall) -> Step[Any]:
            assert isinstance(call, Reply)
            try:
                assert list(call.collected[RESERVED])
            except Exception:
                if not swallowed:
                    raise
            return Step()

        with pytest.raises(
            TransactionViolation, match="a collected answer cannot be read: "
        ) as caught:
            await order(flow, memory=memory).execute(answer(second))
        assert not caught.value.retryable
        assert await stored(memory, event) == damaged

    async def test_in_a_journal_when_its_base_is_written(self) -> None:
        """The step that meets it need not read the event itself."""
        memory = LeasedMemory(clock=FakeClock())
        event = start("tea", "cup")

        async def flow(call: AnyCall) -> Step[Any]:
            items = call.data.items if isinstance(call, Start) else ()
            return Step(services=[Emit(RESERVE, Reserve(item=item)) for item in items])

        first, _ = await order(flow, memory=memory).execute(event)
        await order(flow, memory=memory).execute(reserved(first, price=7))
        stored_before = memory._stored[event.subject]
        chunks = [
            (name, data.replace(b'"price":7', b'"price":!')) for name, data in stored_before.chunks
        ]
        memory._stored[event.subject] = replace(stored_before, chunks=tuple(chunks))

        async def notes() -> None:
            for number in range(9):
                before.append(memory._stored[event.subject])
                large = answer(first, note="x" * 20_000).model_copy(
                    update={"id": f"note-{number}", "parentid": None}
                )
                await order(flow, memory=memory).execute(large)

        before: list[object] = []
        with pytest.raises(TransactionViolation, match="stored journal is damaged") as caught:
            await notes()
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert not caught.value.retryable
        assert len(before) > 1
        assert memory._stored[event.subject] == before[-1]
        assert memory.locked == []


class TestAMachinesSnapshot:
    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param({"value": "gone"}, id="unknown-state"),
            pytest.param({"value": 7}, id="no-value"),
            pytest.param({"context": "none"}, id="no-context"),
            pytest.param({"status": []}, id="no-status"),
            pytest.param({"status": "error", "error": {"message": "x"}}, id="has-failed"),
            pytest.param({"status": "done", "output": {"total": 1}}, id="has-ended"),
            pytest.param({"status": "stopped"}, id="was-stopped"),
            pytest.param({"historyValue": 7}, id="no-history"),
            pytest.param({"context": {"arvo$$": 7}}, id="queue-of-ours"),
        ],
    )
    async def test_that_cannot_be_restored_stays_as_it_is(self, damage: dict[str, Any]) -> None:
        memory = SimpleMachineMemory()
        event = start("tea")
        [request] = await orchestrator(memory=memory).execute(event)
        record = await stored(memory, event)
        damaged = {**record, "state": {**record["state"], **damage}}
        await memory.write(event.subject, damaged, record)
        with pytest.raises(ConfigViolation):
            await orchestrator(memory=memory).execute(reserved(request))
        assert await stored(memory, event) == damaged

    async def test_any_error_of_restoring_is_about_the_snapshot(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory = SimpleMachineMemory()
        event = start("tea")
        [request] = await orchestrator(memory=memory).execute(event)
        before = await stored(memory, event)
        config: MachineConfig = {"initial": "other", "states": {"other": {}}}
        broken = machine(config)

        def restore(snapshot: object) -> None:
            raise RecursionError("too deep")

        monkeypatch.setattr(
            type(broken.machine), "restore", lambda self, snapshot: restore(snapshot)
        )
        with pytest.raises(ConfigViolation, match=r"cannot read the stored state.*too deep"):
            await orchestrator(broken, memory=memory).execute(reserved(request))
        assert await stored(memory, event) == before
        monkeypatch.undo()
        [charge] = await orchestrator(memory=memory).execute(reserved(request))
        assert charge.type == CHARGE


def test_a_reply_of_a_unit_test_says_the_same() -> None:
    """A direct call of the function raises the violation immediately."""
    version, contract = grown(Dated)
    service = contract.version(version)
    request = ArvoEvent.create(source="com.a.b", type=RESERVE, subject="s", data={}, to=RESERVE)
    call: Reply[None] = Reply(
        context=None,
        event=reserved(request),
        data=None,
        contract=order().contract.version("1.0.0"),
        services={RESERVE: service},
        collected=MappingProxyType({RESERVED: [reserved(request, id="answer-1")]}),
    )
    with pytest.raises(ConfigViolation, match="'answer-1'"):
        list(call.replies(version))


class Items(BaseModel):
    items: int


async def typed_order(call: Start[Order] | Reply[Items]) -> Step[Items]:
    """The order workflow with a context that can be checked."""
    if isinstance(call, Start):
        requests = [Emit(RESERVE, Reserve(item=item)) for item in call.data.items]
        return Step(context=Items(items=len(requests)), services=requests)
    assert isinstance(call.metadata, dict)
    prices = [reserved.price for reserved in call.replies(RESERVE_V1)]
    # None is a context that may be stored: that of a workflow without one.
    if (context := call.context) is None or len(prices) < context.items:  # type: ignore[redundant-expr]
        return Step()
    return Step(output=Complete(Ordered(total=sum(prices))))


STYLES: Final[dict[str, Callable[[SimpleMachineMemory], IArvoEventHandler]]] = {
    "resumable": lambda memory: order(typed_order, memory=memory, answers="awaited"),
    "machine": lambda memory: orchestrator(memory=memory, answers="awaited"),
}
GONE: Final = object()
VALUES: Final[list[Any]] = [
    *(GONE, None, True, 7, -1, 1e300, "garbage", [], {}, [[]], [None], ["x"], [{"id": 1}]),
    *({"a": 1}, {"id": "x"}),
]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a record."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for name, below in inside:
        yield (*above, name)
        if isinstance(below, dict | list):
            yield from places(below, (*above, name))


def damaged_at(record: Any, place: tuple[Any, ...], value: Any) -> Record:
    damaged = inner = copy.deepcopy(record)
    for name in place[:-1]:
        inner = inner[name]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return damaged  # type: ignore[no-any-return]


@cache
def half_done_once(style: str) -> tuple[ArvoEvent, ArvoEvent, Record]:
    """Run an order until one answer is missing; return its start, that answer, and its record."""

    async def run() -> tuple[ArvoEvent, ArvoEvent, Record]:
        memory = SimpleMachineMemory()
        event = start("tea", "cup")
        first, *more = await STYLES[style](memory).execute(event)
        reply = reserved(first)
        if more:
            await STYLES[style](memory).execute(reply)
            reply = reserved(more[0])
        return event, reply, await stored(memory, event)

    return asyncio.run(run())


def failed_at(event: ArvoEvent) -> Record:
    """Return what a record says when an event has made its workflow fail."""
    failure: Any = {"in": event.to_dict(), "out": [], "attempt": 1}
    error: Any = {"name": "LookupError", "message": "sold out", "stack": None}
    return {"executionStatus": "failure", "error": error, "failure": failure}


@pytest.mark.parametrize("style", STYLES)
@given(choice=st.data())
def test_no_damage_of_one_value_ends_a_workflow(style: str, choice: st.DataObject) -> None:
    """It has no effect, or is a violation that leaves the record as it is; never anything else."""

    event, reply, record = half_done_once(style)
    control = WorkflowControl(event.subject, source="com.app.operator")
    deliveries = [reply, event, control.wake()]
    if choice.draw(st.booleans(), label="has failed"):
        record = {**record, **failed_at(reply)}
        deliveries = [event, control.wake(), control.retry(attempt=1)]
    place = choice.draw(st.sampled_from(list(places(record))))
    damaged = damaged_at(record, place, choice.draw(st.sampled_from(VALUES)))

    async def deliver(delivered: ArvoEvent) -> None:
        memory = SimpleMachineMemory()
        await memory.write(event.subject, damaged, None)
        try:
            await STYLES[style](memory).execute(delivered)
        except ViolationError:
            assert await stored(memory, event) == damaged
        else:
            after = await stored(memory, event)
            assert after == damaged or after["executionStatus"] == "normal"
            assert after == damaged or delivered.type != WAKE

    for delivered in deliveries:
        asyncio.run(deliver(delivered))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", [[], {}, 7, None])
def test_an_owed_output_without_a_type_has_no_effect_until_it_is_sent_again(
    style: str, kind: Any
) -> None:
    event, reply, record = half_done_once(style)
    owed = ("redelivery", "out", 0, 1, 0, "type")
    damaged = damaged_at(record, owed, kind)

    async def deliver() -> None:
        memory = SimpleMachineMemory()
        await memory.write(event.subject, damaged, None)
        with pytest.raises(TransactionViolation, match="an output kept to be sent again"):
            await STYLES[style](memory).execute(event)
        assert await stored(memory, event) == damaged
        assert await STYLES[style](memory).execute(reply) != []

    asyncio.run(deliver())


@pytest.mark.parametrize("place", [("initEventId",), ("events", "consumed", "id")])
def test_a_name_that_is_not_unicode_is_a_read_failure(place: tuple[Any, ...]) -> None:
    """JSON can say it. Without `redelivery` the record's events are hashed when it is read."""
    _, reply, record = half_done_once("resumable")
    damaged = damaged_at(damaged_at(record, ("redelivery",), GONE), place, "\ud800")
    handler = STYLES["resumable"](HandsOut(damaged))
    with pytest.raises(TransactionViolation, match="not a workflow's record") as caught:
        asyncio.run(handler.execute(reply))
    assert caught.value.cause is TransactionViolationCause.READ_FAILURE
    assert not caught.value.retryable


class HandsOut(SimpleMachineMemory):
    """A memory that holds one record, which it does not check."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    @override
    async def read(self, machine_id: str) -> Record | None:
        return copy.deepcopy(self._record)
