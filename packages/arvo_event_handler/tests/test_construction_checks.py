"""A handler's functions are checked when it is made, not when the first event comes."""

from functools import partial
from typing import Annotated, Any, Protocol, TypeVar

import pytest
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypeAliasType, TypedDict

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
    order_v1,
    reserve_contract,
    reserved,
    start,
    stored,
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
    def test_any_callable_with_an_awaitable_result_is_accepted(
        self, function: ArvoEventHandlerFunction
    ) -> None:
        assert handle(v1_0_0=function).source == "com.stock.reserve"

    def test_a_plain_function_is_refused(self) -> None:
        def plain(call: HandlerInput[Reserve]) -> Emit:
            return Emit(RESERVED, Reserved(price=1))

        with pytest.raises(
            InvalidHandlerError, match=r"version 1\.0\.0: the function must be `async def`"
        ):
            handle(v1_0_0=plain)


class Base(BaseModel):
    item: str


class Special(Base):
    colour: str = "red"


class Typed(TypedDict):
    item: str


class HasItem(Protocol):
    item: str


class TestArguments:
    @pytest.mark.parametrize("bound", [(), (3, None)], ids=["two arguments", "none"])
    def test_a_function_takes_exactly_one(self, bound: tuple[Any, ...]) -> None:
        function: Any = partial(with_price, *bound)
        with pytest.raises(
            InvalidHandlerError, match=r"version 1\.0\.0: expected a function of one argument"
        ):
            handle(v1_0_0=function)

    def test_further_arguments_may_have_defaults(self) -> None:
        async def priced(call: HandlerInput[Reserve], price: int = 3) -> None: ...

        assert handle(v1_0_0=priced).contract is reserve_contract

    def test_a_service_is_not_called_with_a_workflows_input(self) -> None:
        async def flow(call: Start[Reserve]) -> None: ...

        with pytest.raises(
            InvalidHandlerError,
            match=r"annotated Start, but.* calls .* with HandlerInput\[\.\.\.\]",
        ):
            handle(v1_0_0=flow)

    def test_a_workflow_is_not_called_with_a_services_input(self) -> None:
        async def service(call: HandlerInput[Order]) -> None: ...

        with pytest.raises(
            InvalidHandlerError,
            match=r"annotated HandlerInput, but.* with Start\[\.\.\.\] \| Reply\[\.\.\.\]",
        ):
            order(service)


class TestContract:
    def test_a_versioned_contract_is_refused_with_the_remedy(self) -> None:
        versioned: Any = reserve_contract.version("1.0.0")
        with pytest.raises(
            InvalidHandlerError,
            match=r"must be an ArvoContract, got VersionedArvo.*without \.version\(\.\.\.\)",
        ):
            handle(versioned, v1_0_0=reserve)

    def test_a_workflow_needs_an_orchestrator_contract(self) -> None:
        service: Any = reserve_contract
        with pytest.raises(
            InvalidHandlerError, match="must be an ArvoOrchestratorContract, got SimpleArvoContract"
        ):
            order(contract=service)

    def test_a_function_instead_of_a_mapping_is_refused(self) -> None:
        function: Any = reserve
        with pytest.raises(InvalidHandlerError, match=r"such as \{'1\.0\.0': function\}"):
            ArvoEventHandler(contract=reserve_contract, handler=function)


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

    def test_the_annotation_any_fits(self) -> None:
        async def anything(call: HandlerInput[Any]) -> None: ...

        assert handle(v1_0_0=anything).contract is reserve_contract

    def test_an_annotation_that_is_not_a_class_is_not_compared(self) -> None:
        async def numbers(call: HandlerInput[dict[str, int]]) -> None: ...

        version = ContractVersion("1.0.0", accepts=TypeAdapter(dict[str, int]), emits={})
        contract = ArvoContract(uri="#/a", type="com.a.b", versions=[version])
        assert handle(contract, v1_0_0=numbers).contract is contract

    def test_a_string_annotation_that_cannot_be_resolved_is_not_compared(self) -> None:
        async def local(call: "HandlerInput[Nowhere]") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        assert handle(v1_0_0=local).contract is reserve_contract

    def test_a_partial_is_compared_by_its_remaining_argument(self) -> None:
        async def charge(price: int, call: HandlerInput[Charge]) -> None: ...

        with pytest.raises(InvalidHandlerError, match=r"HandlerInput\[Charge\].*accepts Reserve"):
            handle(v1_0_0=partial(charge, 3))

    def test_an_alias_made_by_type_is_looked_into(self) -> None:
        Call = TypeAliasType("Call", HandlerInput[Charge])  # noqa: N806 - as `type Call = ...`

        async def charge(call: Call) -> None: ...

        with pytest.raises(InvalidHandlerError, match=r"HandlerInput\[Charge\].*accepts Reserve"):
            handle(v1_0_0=charge)

    def test_a_generic_alias_made_by_type_is_looked_into(self) -> None:
        T = TypeVar("T")
        Call = TypeAliasType(  # noqa: N806 - as `type Call[T] = ...`
            "Call", Annotated[HandlerInput[T], "the call"], type_params=(T,)
        )

        async def charge(call: Call[Charge]) -> None: ...

        with pytest.raises(InvalidHandlerError, match=r"HandlerInput\[Charge\].*accepts Reserve"):
            handle(v1_0_0=charge)

    def test_a_typed_dict_fits_itself(self) -> None:
        async def typed(call: HandlerInput[Typed]) -> None: ...

        version = ContractVersion("1.0.0", accepts=Typed, emits={})
        contract = ArvoContract(uri="#/a", type="com.a.b", versions=[version])
        assert handle(contract, v1_0_0=typed).contract is contract

    @pytest.mark.parametrize("kind", ["Typed", "HasItem"])
    def test_a_class_that_refuses_comparison_is_not_compared(self, kind: str) -> None:
        async def other(call: Any) -> None: ...

        other.__annotations__["call"] = f"HandlerInput[{kind}]"
        assert handle(v1_0_0=other).contract is reserve_contract

    @pytest.mark.parametrize("text", ["models.Nope", "1 +", "int[3]", "1 / 0"])
    def test_a_string_annotation_that_raises_is_not_compared(self, text: str) -> None:
        async def broken(call: Any) -> None: ...

        broken.__annotations__["call"] = f"HandlerInput[{text}]"
        assert handle(v1_0_0=broken).contract is reserve_contract

    def test_a_resumable_is_compared_by_its_start(self) -> None:
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

    async def test_a_partials_annotation_counts(self) -> None:
        async def flow(left: int, call: Start[Order] | Reply[Context]) -> Step[Context]:
            return Step(context=Context(left=left))

        memory = SimpleMachineMemory()
        event = start()
        await order(partial(flow, 7), memory=memory).execute(event)
        assert (await stored(memory, event))["state$$"] == {"left": 7}

    async def test_an_alias_made_by_type_counts(self) -> None:
        Call = TypeAliasType("Call", Start[Order] | Reply[Context])  # noqa: N806

        async def flow(call: Call) -> Step[Context]:
            return Step(context=Context(left=8))

        memory = SimpleMachineMemory()
        event = start()
        await order(flow, memory=memory).execute(event)
        assert (await stored(memory, event))["state$$"] == {"left": 8}

    @pytest.mark.parametrize("text", ["models.Nope", "1 +", "int[3]", "1 / 0"])
    def test_a_context_annotation_that_raises_is_refused_with_the_remedy(self, text: str) -> None:
        async def flow(call: Any) -> Step[Any]:
            return Step()

        flow.__annotations__["call"] = f"Reply[{text}]"
        with pytest.raises(InvalidHandlerError, match=r"pass contexts=\{'1\.0\.0': \.\.\.\}"):
            order(flow)

    def test_contexts_of_an_unknown_version_are_refused(self) -> None:
        with pytest.raises(InvalidHandlerError, match=r"has no version 9\.9\.9; it has 1\.0\.0"):
            ArvoResumable(
                contract=order_contract,
                services=[],
                memory=SimpleMachineMemory(),
                handler={"1.0.0": order_v1},
                contexts={"9.9.9": Context},
            )

    def test_a_context_annotation_that_cannot_be_resolved_is_refused_with_the_remedy(self) -> None:
        async def flow(call: "Start[Order] | Reply[Nowhere]") -> Step[Any]:  # type: ignore[name-defined]  # noqa: F821
            return Step()

        with pytest.raises(InvalidHandlerError, match=r"pass contexts=\{'1\.0\.0': \.\.\.\}"):
            order(flow)

    async def test_contexts_replace_an_annotation_that_cannot_be_resolved(self) -> None:
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
