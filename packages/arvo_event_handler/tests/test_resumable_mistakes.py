"""Mistakes of the user and damage in the store are refused; neither ends a workflow."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from arvo_event_handler import (
    ArvoEventHandler,
    ArvoResumable,
    Complete,
    ConfigViolation,
    ContractViolation,
    Emit,
    HandlerInput,
    InvalidHandlerError,
    Reply,
    SimpleEventBroker,
    SimpleMachineMemory,
    Start,
    Step,
    TransactionViolation,
    TransactionViolationCause,
    _simple_broker,
)

from .shop import (
    ORDER,
    RESERVE,
    RESERVED,
    AnyCall,
    Order,
    Ordered,
    Reserve,
    Reserved,
    order,
    order_contract,
    reserve_contract,
    reserved,
    start,
)

SLIPS: list[tuple[Callable[[], Any], str]] = [
    (lambda: Step(services=Emit(RESERVE, {})), r"write services=\[Emit\(\.\.\.\), \.\.\.\]"),  # type: ignore[arg-type]
    (lambda: Step(services=[{}]), r"write each request as Emit\(type, data\)"),  # type: ignore[list-item]
    (lambda: Step(output=Ordered(total=1)), r"write output=Complete\(Ordered\(\.\.\.\)\)"),  # type: ignore[arg-type]
    (lambda: Emit(Reserve(item="a"), RESERVE), r"a string, got Reserve; write Emit\(type, data\)"),  # type: ignore[arg-type]
    (lambda: Emit(RESERVE, Reserve), "a pydantic model or a mapping, got the class Reserve"),  # type: ignore[arg-type]
    (lambda: Complete(7), "the data of the completion: expected a pydantic model"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("slip", "words"), SLIPS, ids=[words for _, words in SLIPS])
async def test_a_mistake_is_named_and_stores_nothing(slip: Callable[[], Any], words: str) -> None:
    async def careless(call: AnyCall) -> Step[Any]:
        made: Step[Any] = slip()
        return made

    memory = SimpleMachineMemory()
    event = start()
    with pytest.raises(ContractViolation, match=words):
        await order(careless, memory=memory).execute(event)
    assert await memory.read(event.subject) is None


class Remembered(BaseModel):
    price: int


class RememberedNow(BaseModel):
    price: int
    currency: str


async def before(call: Start[Order] | Reply[Remembered]) -> Step[Remembered]:
    if isinstance(call, Start):
        return Step(context=Remembered(price=1), services=[Emit(RESERVE, Reserve(item="tea"))])
    return Step(output=Complete(Ordered(total=call.context.price + call.data.price)))


async def after(call: Start[Order] | Reply[RememberedNow]) -> Step[RememberedNow]:
    raise AssertionError("the context cannot be read, so this is never called")


async def test_a_context_that_a_deployment_cannot_read_waits_for_one_that_can() -> None:
    memory = SimpleMachineMemory()
    event = start()
    [request] = await order(before, memory=memory).execute(event)
    record = await memory.read(event.subject)
    with pytest.raises(ConfigViolation, match=f"{ORDER} 1.0.0: the stored context does not fit"):
        await order(after, memory=memory).execute(reserved(request))
    assert await memory.read(event.subject) == record
    [done] = await order(before, memory=memory).execute(reserved(request, price=5))
    assert done.data == {"total": 6}


async def test_a_context_that_does_not_fit_its_type_is_named() -> None:
    async def misfit(call: Start[Order] | Reply[Remembered]) -> Step[Any]:
        return Step(context=Ordered(total=1), services=[Emit(RESERVE, Reserve(item="tea"))])

    [failed] = await order(misfit).execute(start())
    message = failed.data["errorMessage"]
    assert f"{ORDER} 1.0.0: the context, a Ordered, cannot be stored as Remembered" in message


class Remembering(BaseModel):
    card: SecretStr


class TestAContextWithASecret:
    """It would be stored as asterisks, so nothing is stored."""

    async def remember(self, call: Start[Order] | Reply[Remembering]) -> Step[Remembering]:
        return Step(context=Remembering(card=SecretStr("hunter2")))

    def test_is_refused_when_the_handler_is_made(self) -> None:
        with pytest.raises(
            InvalidHandlerError, match=r"version 1\.0\.0: the context: Remembering.*\n  card: is a"
        ):
            order(self.remember)

    def test_is_refused_when_its_type_is_given_beside_the_function(self) -> None:
        async def bare(call: AnyCall) -> None:
            raise AssertionError("never called")

        with pytest.raises(InvalidHandlerError, match="the context: Remembering has fields"):
            ArvoResumable(
                contract=order_contract,
                services=[],
                memory=SimpleMachineMemory(),
                handler={"1.0.0": bare},
                contexts={"1.0.0": Remembering},
            )

    async def test_is_a_violation_where_no_annotation_names_it(self) -> None:
        async def bare(call: AnyCall) -> Step[Any]:
            return Step(context=Remembering(card=SecretStr("hunter2")))

        memory = SimpleMachineMemory()
        event = start()
        with pytest.raises(ConfigViolation, match="the context cannot be stored; Remembering"):
            await order(bare, memory=memory).execute(event)
        assert await memory.read(event.subject) is None

    async def test_fails_in_a_mapping_as_what_is_not_json_does(self) -> None:
        async def bare(call: AnyCall) -> Step[Any]:
            return Step(context={"card": SecretStr("hunter2")})

        [failed] = await order(bare).execute(start())
        assert "cannot be stored" in failed.data["errorMessage"]
        assert "card: SecretStr is not a JSON value" in failed.data["errorMessage"]


async def test_a_context_that_is_not_json_fails_instead_of_changing() -> None:
    async def dated(call: AnyCall) -> Step[Any]:
        return Step(context={"seen": {1, 2}}, services=[Emit(RESERVE, Reserve(item="tea"))])

    [failed] = await order(dated).execute(start())
    assert "seen: set is not a JSON value" in failed.data["errorMessage"]


async def test_a_model_is_stored_by_a_function_without_annotations_too() -> None:
    async def bare(call: Any) -> Any:
        if isinstance(call, Start):
            return Step(context=Remembered(price=3), services=[Emit(RESERVE, Reserve(item="a"))])
        return Step(output=Complete(Ordered(total=call.context["price"])))

    resumable = order(bare)
    [request] = await resumable.execute(start())
    [done] = await resumable.execute(reserved(request))
    assert done.data == {"total": 3}


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param("garbage", id="no-object"),
        pytest.param({"request": "garbage"}, id="no-list"),
        pytest.param({"request": ["garbage"]}, id="no-event"),
        pytest.param({"request": [{"id": 1, "source": "a", "type": "b"}]}, id="no-text"),
    ],
)
async def test_damaged_answers_are_a_read_failure(expected: Any) -> None:
    memory = SimpleMachineMemory()
    event = start()
    [request] = await order(memory=memory).execute(event)
    record = await memory.read(event.subject)
    assert record is not None
    damaged = {**record, "events": {**record["events"], "expected": expected}}  # type: ignore[dict-item]
    await memory.write(event.subject, damaged, record)
    with pytest.raises(TransactionViolation, match="not a workflow's record") as refused:
        await order(memory=memory).execute(reserved(request))
    assert refused.value.cause is TransactionViolationCause.READ_FAILURE
    assert not refused.value.retryable
    assert await memory.read(event.subject) == damaged


async def test_a_collected_answer_that_is_not_an_event_is_a_read_failure_when_read() -> None:
    memory = SimpleMachineMemory()
    event = start("tea", "cup")
    first, second = await order(memory=memory).execute(event)
    await order(memory=memory).execute(reserved(first))
    record = await memory.read(event.subject)
    assert record is not None
    events: Any = record["events"]
    broken = {"id": "1", "source": "a", "type": RESERVED}
    damaged = {**record, "events": {**events, "expected": {first.id: [broken], second.id: []}}}
    await memory.write(event.subject, damaged, record)
    with pytest.raises(TransactionViolation, match="answer cannot be read: invalid event"):
        await order(memory=memory).execute(reserved(second))


async def test_what_a_function_does_to_its_event_is_not_stored() -> None:
    async def vandal(call: AnyCall) -> Step[Any]:
        call.event.data["items"] = ["changed"]
        return Step(services=[Emit(RESERVE, Reserve(item="tea"))])

    memory = SimpleMachineMemory()
    event = start("tea")
    await order(vandal, memory=memory).execute(event)
    record: Any = await memory.read(event.subject)
    assert record["events"]["consumed"]["data"]["items"] == ["tea"]


async def test_the_services_it_is_shown_cannot_be_changed() -> None:
    async def disarm(call: AnyCall) -> Step[Any]:
        if isinstance(call, Reply):
            call.services.clear()  # type: ignore[attr-defined]
        return Step(services=[Emit(RESERVE, Reserve(item="tea"))])

    resumable = order(disarm)
    [request] = await resumable.execute(start())
    [failed] = await resumable.execute(reserved(request))
    assert "has no attribute 'clear'" in failed.data["errorMessage"]


async def test_collected_answers_are_a_mapping_by_type() -> None:
    async def look(call: AnyCall) -> Step[Any]:
        if isinstance(call, Start):
            return Step(services=[Emit(RESERVE, Reserve(item=item)) for item in "ab"])
        assert (list(call.collected), len(call.collected)) == ([RESERVED], 1)
        assert repr(call.collected) == f"CollectedAnswers({{'{RESERVED}': 1}})"
        assert call.collected[RESERVED][0] is call.event
        return Step(output=Complete(Ordered(total=0)))

    resumable = order(look)
    request, _ = await resumable.execute(start())
    [done] = await resumable.execute(reserved(request))
    assert done.data == {"total": 0}


async def test_a_workflow_that_asks_indefinitely_leaves_room_for_a_timeout(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_simple_broker, "_SUSPICIOUS_EVENT_COUNT", 100)

    async def reserve_v1(call: HandlerInput[Reserve]) -> Emit:
        return Emit(RESERVED, Reserved(price=1))

    asked = 0
    enough = asyncio.Event()

    async def for_ever(call: AnyCall) -> Step[Any]:
        nonlocal asked
        asked += 1
        if asked == 60:
            enough.set()
        return Step(services=[Emit(RESERVE, Reserve(item="tea"))])

    stock = ArvoEventHandler(contract=reserve_contract, handler={"1.0.0": reserve_v1})
    resolving = asyncio.create_task(SimpleEventBroker([order(for_ever), stock]).resolve(start()))
    await enough.wait()
    resolving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resolving
    assert "does a workflow ask again at every answer?" in caplog.text


async def test_a_stored_context_that_is_not_an_object_is_a_read_failure() -> None:
    memory = SimpleMachineMemory()
    event = start()
    [request] = await order(memory=memory).execute(event)
    record = await memory.read(event.subject)
    assert record is not None
    await memory.write(event.subject, {**record, "state$$": []}, record)
    with pytest.raises(TransactionViolation, match="its state\\$\\$ is not an object") as refused:
        await order(memory=memory).execute(reserved(request))
    assert refused.value.subject == event.subject
