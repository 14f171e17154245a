"""A handler's functions are checked when it is made, not when the first event comes."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from arvo_core import (
    ArvoContract,
    ContractVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoEventHandlerFunction,
    ArvoResumable,
    Emit,
    HandlerInput,
    InvalidHandlerError,
    Outputs,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
)

from .shop import (
    RESERVED,
    Charge,
    Order,
    Reserve,
    Reserved,
    order,
    order_contract,
    reserve_contract,
    reserved,
    start,
)


async def reserve(call: HandlerInput[Reserve]) -> Emit:
    return Emit(RESERVED, Reserved(price=1))


async def untyped(call):  # type: ignore[no-untyped-def]
    return None


def handle(contract: ArvoContract = reserve_contract, **functions: Any) -> ArvoEventHandler:
    table: dict[str, ArvoEventHandlerFunction] = {
        name.removeprefix("v").replace("_", "."): function for name, function in functions.items()
    }
    return ArvoEventHandler(contract=contract, handler=table)


class TestVersions:
    def test_every_version_needs_a_function(self) -> None:
        contract = SimpleArvoContract(
            uri="#/a",
            type="a.b",
            versions=[
                SimpleVersion("1.0.0", accepts=Reserve, emits=Reserved),
                SimpleVersion("1.1.0", accepts=Reserve, emits=Reserved),
            ],
        )
        with pytest.raises(
            InvalidHandlerError, match=r"com\.a\.b.*no function for version 1\.1\.0"
        ):
            handle(contract, v1_0_0=reserve)

    def test_every_function_needs_a_version(self) -> None:
        with pytest.raises(InvalidHandlerError, match=r"has no version 2\.0\.0; it has 1\.0\.0"):
            handle(v1_0_0=reserve, v2_0_0=reserve)

    def test_the_error_is_a_value_error(self) -> None:
        with pytest.raises(ValueError, match="no function"):
            handle()


class Reserving:
    async def __call__(self, call: HandlerInput[Reserve]) -> Emit:
        return Emit(RESERVED, Reserved(price=1))

    async def method(self, call: HandlerInput[Reserve]) -> Emit:
        return Emit(RESERVED, Reserved(price=1))


async def with_price(price: int, call: HandlerInput[Reserve]) -> Emit:
    return Emit(RESERVED, Reserved(price=price))


class TestWhatIsAsync:
    @pytest.mark.parametrize(
        "function",
        [reserve, Reserving(), Reserving().method, partial(with_price, 3), untyped],
        ids=["function", "object", "method", "partial", "unannotated"],
    )
    def test_anything_that_can_be_awaited_when_called_is_taken(
        self, function: ArvoEventHandlerFunction
    ) -> None:
        assert handle(v1_0_0=function).source == "com.stock.reserve"

    def test_a_plain_function_is_refused(self) -> None:
        def plain(call: HandlerInput[Reserve]) -> Emit:
            return Emit(RESERVED, Reserved(price=1))

        with pytest.raises(InvalidHandlerError, match=r"version 1\.0\.0 must be `async def`"):
            handle(v1_0_0=plain)


class Base(BaseModel):
    item: str


class Special(Base):
    colour: str = "red"


class TestAnnotations:
    def test_the_wrong_payload_is_named_with_the_right_one(self) -> None:
        async def charge(call: HandlerInput[Charge]) -> None: ...

        with pytest.raises(
            InvalidHandlerError,
            match=r"charge is annotated HandlerInput\[Charge\], but the contract accepts Reserve",
        ):
            handle(v1_0_0=charge)

    def test_a_base_class_of_the_payload_fits(self) -> None:
        async def any_base(call: HandlerInput[Base]) -> None: ...

        version = ContractVersion("1.0.0", accepts=Special, emits={})
        contract = ArvoContract(uri="#/a", type="com.a.b", versions=[version])
        assert handle(contract, v1_0_0=any_base).contract is contract

    def test_any_fits(self) -> None:
        async def anything(call: HandlerInput[Any]) -> None: ...

        assert handle(v1_0_0=anything).contract is reserve_contract

    def test_what_is_no_class_is_not_compared(self) -> None:
        async def numbers(call: HandlerInput[dict[str, int]]) -> None: ...

        version = ContractVersion("1.0.0", accepts=TypeAdapter(dict[str, int]), emits={})
        contract = ArvoContract(uri="#/a", type="com.a.b", versions=[version])
        assert handle(contract, v1_0_0=numbers).contract is contract

    def test_text_that_cannot_be_resolved_is_not_compared(self) -> None:
        async def local(call: "HandlerInput[Nowhere]") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        assert handle(v1_0_0=local).contract is reserve_contract

    def test_a_function_without_arguments_is_not_compared(self) -> None:
        async def nothing() -> None: ...

        function: Callable[..., Awaitable[Outputs]] = nothing
        assert handle(v1_0_0=function).contract is reserve_contract

    def test_a_resumable_is_told_by_its_start(self) -> None:
        async def flow(call: Start[Charge] | Reply[dict[str, Any]]) -> Step[dict[str, Any]]:
            return Step()

        with pytest.raises(InvalidHandlerError, match=r"Start\[Charge\].*accepts Order"):
            order(flow)


class Context(BaseModel):
    left: int


class TestContextType:
    async def test_an_annotated_model_is_what_the_function_gets_back(self) -> None:
        contexts: list[Context] = []

        async def flow(call: Start[Order] | Reply[Context]) -> Step[Context]:
            if isinstance(call, Start):
                return Step(
                    context=Context(left=1), services=[Emit("com.stock.reserve", {"item": "a"})]
                )
            contexts.append(call.context)
            return Step()

        flow_handler = order(flow)
        [request] = await flow_handler.execute(start())
        await flow_handler.execute(reserved(request))
        assert contexts == [Context(left=1)]

    def test_an_annotation_that_cannot_be_resolved_is_told_with_the_remedy(self) -> None:
        async def flow(call: "Start[Order] | Reply[Nowhere]") -> Step[Any]:  # type: ignore[name-defined]  # noqa: F821
            return Step()

        with pytest.raises(InvalidHandlerError, match=r"pass contexts=\{'1\.0\.0': \.\.\.\}"):
            order(flow)

    async def test_contexts_say_it_instead(self) -> None:
        async def flow(call: "Start[Order] | Reply[Nowhere]") -> Step[Any]:  # type: ignore[name-defined]  # noqa: F821
            return Step(context={"left": "3"})

        memory = SimpleMachineMemory()
        flow_handler = ArvoResumable(
            contract=order_contract,
            services=[],
            memory=memory,
            handler={"1.0.0": flow},
            contexts={"1.0.0": Context},
        )
        event = start()
        await flow_handler.execute(event)
        record = await memory.read(event.subject)
        assert record is not None
        assert record["state$$"] == {"left": 3}

    @pytest.mark.parametrize("context", [Any, dict[str, Any]])
    async def test_any_json_object_is_a_context(self, context: Any) -> None:
        async def flow(call: Start[Order] | Reply[context]) -> Step[Any]:
            return Step(context={"a": [1, None, "é"]})

        memory = SimpleMachineMemory()
        event = start()
        await order(flow, memory=memory).execute(event)
        record = await memory.read(event.subject)
        assert record is not None
        assert record["state$$"] == {"a": [1, None, "é"]}
