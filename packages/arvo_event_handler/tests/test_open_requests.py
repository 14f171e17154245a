"""Which answers a workflow accepts: any that fits a contract, or only those that it waits for."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import override

from arvo_core import ArvoContract, ArvoEvent, ContractVersion
from arvo_event_handler import (
    Answers,
    ArvoOrchestrator,
    ArvoResumable,
    Complete,
    Emit,
    ExecutionViolation,
    IMachineMemory,
    SimpleMachineMemory,
    Start,
    Step,
    TransactionViolation,
    TransactionViolationCause,
)

from .order_machines import EVERY_ITEM_CONFIG, machine, orchestrator
from .shop import (
    CHARGE,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    AnyCall,
    Charge,
    Ordered,
    Reserve,
    charged,
    order,
    reserve_contract,
    reserve_failed,
    reserved,
    start,
    stored,
)

Workflow = ArvoResumable | ArvoOrchestrator


def resumable(memory: IMachineMemory, answers: Answers) -> Workflow:
    return order(memory=memory, answers=answers)


def statechart(memory: IMachineMemory, answers: Answers) -> Workflow:
    return orchestrator(machine(EVERY_ITEM_CONFIG), memory=memory, answers=answers)


@pytest.fixture(params=[resumable, statechart], ids=["resumable", "orchestrator"])
def make(request: pytest.FixtureRequest) -> Callable[[IMachineMemory, Answers], Workflow]:
    made: Callable[[IMachineMemory, Answers], Workflow] = request.param
    return made


class Shop:
    """A workflow that has asked to reserve tea and cocoa."""

    def __init__(
        self, make: Callable[[IMachineMemory, Answers], Workflow], answers: Answers
    ) -> None:
        self.memory = SimpleMachineMemory()
        self.workflow = make(self.memory, answers)
        self.event = start("tea", "cocoa")

    async def ask(self) -> tuple[ArvoEvent, ArvoEvent]:
        tea, cocoa = await self.workflow.execute(self.event)
        return tea, cocoa

    async def refuses(self, answer: ArvoEvent, *, why: str) -> None:
        before = await stored(self.memory, self.event)
        with pytest.raises(ExecutionViolation, match=why) as caught:
            await self.workflow.execute(answer)
        assert not caught.value.retryable
        assert await stored(self.memory, self.event) == before


@pytest.fixture
def shop(make: Callable[[IMachineMemory, Answers], Workflow]) -> Shop:
    return Shop(make, "awaited")


class TestAwaitedAnswers:
    async def test_answers_of_the_asked_service_are_accepted(self, shop: Shop) -> None:
        tea, cocoa = await shop.ask()
        await shop.workflow.execute(reserved(tea))
        asked = await shop.workflow.execute(reserved(cocoa))
        record = await stored(shop.memory, shop.event)
        assert asked != []
        assert [request for request, *_ in record["redelivery"]["open"]] == [
            event.id for event in asked if event.type == CHARGE
        ]

    async def test_a_system_error_is_an_answer(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        await shop.workflow.execute(reserve_failed(tea, LookupError("sold out")))
        record = await stored(shop.memory, shop.event)
        assert len(record["redelivery"]["open"]) == 1

    async def test_an_answer_to_an_unknown_request_is_refused(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        await shop.refuses(reserved(tea, parentid="forged"), why="'forged', which is not open")

    async def test_an_answer_without_a_request_is_refused(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        await shop.refuses(reserved(tea, parentid=None), why="None, which is not open")

    async def test_an_answer_from_another_source_is_refused(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        forged = reserved(tea, source="com.evil.stock")
        await shop.refuses(forged, why="from 'com.evil.stock'; 'com.stock.reserve' was asked")

    async def test_a_system_error_from_another_source_is_refused(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        forged = reserve_failed(tea, LookupError("sold out"), source="com.evil.stock")
        await shop.refuses(forged, why="from 'com.evil.stock'")

    async def test_an_answer_of_another_service_is_refused(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        await shop.refuses(
            charged(tea), why="as 'com.payment.charge' would; 'com.stock.reserve' was asked"
        )

    async def test_a_second_answer_is_refused(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        await shop.workflow.execute(reserved(tea))
        await shop.refuses(reserved(tea, id="second"), why="has its answer")

    async def test_a_repeated_answer_changes_nothing(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        answer = reserved(tea)
        await shop.workflow.execute(answer)
        before = await stored(shop.memory, shop.event)
        assert await shop.workflow.execute(answer) == []
        assert await stored(shop.memory, shop.event) == before

    async def test_after_the_end_nothing_is_refused(self, shop: Shop) -> None:
        tea, cocoa = await shop.ask()
        await shop.workflow.execute(reserved(tea))
        for event in await shop.workflow.execute(reserved(cocoa)):
            if event.type == CHARGE:
                await shop.workflow.execute(charged(event))
        assert (await stored(shop.memory, shop.event))["status"] == "done"
        assert await shop.workflow.execute(reserved(tea, source="com.evil.stock")) == []

    async def test_a_failed_step_leaves_the_request_open(
        self, make: Callable[[IMachineMemory, Answers], Workflow]
    ) -> None:
        shop = Shop(make, "awaited")
        tea, _ = await shop.ask()
        before = await stored(shop.memory, shop.event)
        with pytest.raises(TransactionViolation):
            await make(_Refusing(shop.memory), "awaited").execute(reserved(tea))
        assert await stored(shop.memory, shop.event) == before
        await shop.workflow.execute(reserved(tea))

    async def test_a_damaged_record_is_a_read_failure(self, shop: Shop) -> None:
        tea, _ = await shop.ask()
        record = await stored(shop.memory, shop.event)
        damaged = {**record, "redelivery": {**record["redelivery"], "open": [["tea"]]}}
        await shop.memory.write(shop.event.subject, damaged, record)
        with pytest.raises(TransactionViolation, match="open requests") as caught:
            await shop.workflow.execute(reserved(tea))
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE


class _Refusing(SimpleMachineMemory):
    """Reads what another memory holds, and writes nothing."""

    def __init__(self, memory: IMachineMemory) -> None:
        super().__init__()
        self._memory = memory

    @override
    async def read(self, machine_id: str) -> Any:
        return await self._memory.read(machine_id)

    @override
    async def write(self, machine_id: str, record: Any, previous: Any) -> None:
        raise OSError("the disk is gone")


async def test_an_answer_to_an_earlier_collection_is_accepted_while_it_is_open() -> None:
    async def flow(call: AnyCall) -> Step[Any]:
        if isinstance(call, Start):
            return Step(services=[Emit(RESERVE, Reserve(item=item)) for item in call.data.items])
        if len(call.replies(RESERVE_V1)) == 1:
            return Step(services=[Emit(CHARGE, Charge(amount=1))])
        return Step(output=Complete(Ordered(total=len(call.collected))))

    handler = order(flow, answers="awaited")
    tea, cocoa = await handler.execute(start("tea", "cocoa"))
    await handler.execute(reserved(tea))
    [done] = await handler.execute(reserved(cocoa))
    assert done.data == {"total": 0}


async def test_a_request_that_left_for_a_domain_may_be_answered_under_another_name() -> None:
    async def flow(call: AnyCall) -> Step[Any]:
        if isinstance(call, Start):
            ask = Emit(RESERVE, Reserve(item="tea"), domain="branch.north")
            return Step(services=[ask])
        return Step(output=Complete(Ordered(total=1)))

    handler = order(flow, answers="awaited")
    [asked] = await handler.execute(start())
    [done] = await handler.execute(reserved(asked, source="com.north.stock"))
    assert done.data == {"total": 1}


async def test_a_workflow_started_without_open_requests_is_finished_without(
    make: Callable[[IMachineMemory, Answers], Workflow],
) -> None:
    shop = Shop(make, "any")
    tea, cocoa = await shop.ask()
    awaiting = make(shop.memory, "awaited")
    await awaiting.execute(reserved(tea))
    assert await awaiting.execute(reserved(cocoa)) != []


async def test_open_requests_are_forgotten_while_any_answer_is_accepted() -> None:
    """What is asked meanwhile would not be among them, and its answer refused afterwards."""

    async def flow(call: AnyCall) -> Step[Any]:
        if isinstance(call, Start):
            return Step(services=[Emit(RESERVE, Reserve(item="tea"))])
        if call.event.type == RESERVED:
            return Step(services=[Emit(CHARGE, Charge(amount=1))])
        return Step(output=Complete(Ordered(total=1)))

    memory = SimpleMachineMemory()
    event = start()
    [asked] = await order(flow, memory=memory, answers="awaited").execute(event)
    [charge] = await order(flow, memory=memory, answers="any").execute(reserved(asked))
    assert "open" not in (await stored(memory, event))["redelivery"]
    [done] = await order(flow, memory=memory, answers="awaited").execute(charged(charge))
    assert done.data == {"total": 1}


@pytest.mark.parametrize("source", ["com.stock.reserve", "com.evil.stock"])
async def test_by_default_any_answer_is_accepted(
    make: Callable[[IMachineMemory, Answers], Workflow], source: str
) -> None:
    shop = Shop(make, "any")
    tea, cocoa = await shop.ask()
    await shop.workflow.execute(reserved(tea, source=source, parentid=tea.id))
    assert await shop.workflow.execute(reserved(cocoa, source=source)) != []
    assert "open" not in (await stored(shop.memory, shop.event))["redelivery"]


def test_an_unknown_value_of_answers_is_refused(
    make: Callable[[IMachineMemory, Any], Workflow],
) -> None:
    with pytest.raises(ValueError, match='answers must be "any" or "awaited", got \'all\''):
        make(SimpleMachineMemory(), "all")


async def test_a_request_that_goes_elsewhere_is_answered_from_there() -> None:
    async def flow(call: AnyCall) -> Step[Any]:
        if isinstance(call, Start):
            return Step(services=[Emit(RESERVE, Reserve(item="tea"), to="com.stock.proxy")])
        return Step(output=Complete(Ordered(total=1)))

    memory = SimpleMachineMemory()
    handler = order(flow, memory=memory, answers="awaited")
    [asked] = await handler.execute(start())
    with pytest.raises(ExecutionViolation, match=r"'com\.stock\.proxy' was asked"):
        await handler.execute(reserved(asked))
    [done] = await handler.execute(reserved(asked, source="com.stock.proxy"))
    assert done.data == {"total": 1}


class Told(BaseModel):
    text: str


TELL_V1 = ContractVersion("1.0.0", accepts=Told, emits={})
tell_contract = ArvoContract(uri="#/shop/tell", type="com.shop.tell", versions=[TELL_V1])


async def test_unanswered_notifications_are_not_kept_indefinitely() -> None:
    async def flow(call: AnyCall) -> Step[Any]:
        note = Emit("com.shop.tell", Told(text="one more"))
        return Step(services=[Emit(RESERVE, Reserve(item="tea")), note])

    memory = SimpleMachineMemory()
    services: list[Any] = [reserve_contract.version(RESERVE_V1), tell_contract.version(TELL_V1)]
    handler = order(flow, memory=memory, answers="awaited", services=services)
    event = start()
    [asked, _] = await handler.execute(event)
    for _ in range(100):
        [asked, _] = await handler.execute(reserved(asked))
    opened = (await stored(memory, event))["redelivery"]["open"]
    assert [kind for _, kind, _ in opened].count("com.shop.tell") == 64
    assert [name for name, kind, _ in opened if kind == RESERVE] == [asked.id]


async def test_a_failed_step_has_asked_for_nothing_and_answered_nothing() -> None:
    async def flow(call: AnyCall) -> Step[Any]:
        if isinstance(call, Start):
            return Step(services=[Emit(RESERVE, Reserve(item="tea"))])
        raise LookupError("sold out")

    memory = SimpleMachineMemory()
    handler = order(flow, memory=memory, answers="awaited")
    event = start()
    [asked] = await handler.execute(event)
    await handler.execute(reserved(asked))
    assert [name for name, *_ in (await stored(memory, event))["redelivery"]["open"]] == [asked.id]


@pytest.mark.parametrize(
    "damage", [{}, "a", [[1, 2, 3]], [["a", "b"]], [["a", "b", 7]], [["a", None, None]], [7]]
)
async def test_damage_of_the_open_requests_is_a_read_failure(damage: Any) -> None:
    memory = SimpleMachineMemory()
    handler = order(memory=memory, answers="awaited")
    event = start("tea", "cocoa")
    tea, _ = await handler.execute(event)
    record = await stored(memory, event)
    damaged = {**record, "redelivery": {**record["redelivery"], "open": damage}}
    await memory.write(event.subject, damaged, record)
    with pytest.raises(TransactionViolation, match="open requests") as caught:
        await handler.execute(reserved(tea))
    assert caught.value.cause is TransactionViolationCause.READ_FAILURE
