"""Stateless services: one event in, any number out."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, ConfigDict, field_validator

from arvo_core import ArvoContract, ArvoEvent, ArvoEventFactory, ContractVersion, ViolationError
from arvo_event_handler import (
    ArvoEventHandler,
    ConfigViolation,
    ContractViolation,
    EmissionDomains,
    Emit,
    ExecutionViolation,
    HandlerDomain,
    HandlerInput,
    SystemErrorPolicy,
    TransactionViolation,
    TransactionViolationCause,
)

from .shop import APP

ADDED = "evt.math.added"


class Add(BaseModel):
    model_config = ConfigDict(extra="ignore")
    numbers: list[float]
    factor: float = 1


class Added(BaseModel):
    result: float


class AddExactly(BaseModel):
    numbers: list[int]


ADD_V1 = ContractVersion("1.0.0", accepts=Add, emits={ADDED: Added})
ADD_V2 = ContractVersion("2.0.0", accepts=AddExactly, emits={ADDED: Added})
add_contract = ArvoContract(
    uri="#/math/add", type="com.math.add", versions=[ADD_V1, ADD_V2], domain="math.domain"
)


async def add_v1(call: HandlerInput[Add]) -> Emit:
    return Emit(ADDED, Added(result=sum(call.data.numbers) * call.data.factor))


async def add_v2(call: HandlerInput[AddExactly]) -> Emit:
    return Emit(ADDED, Added(result=1000 + sum(call.data.numbers)))


def adder(
    v1: Any = add_v1,
    *,
    domains: EmissionDomains | None = None,
    executionunits: float = 0,
    system_errors: SystemErrorPolicy | None = None,
) -> ArvoEventHandler:
    return ArvoEventHandler(
        contract=add_contract,
        handler={"1.0.0": v1, "2.0.0": add_v2},
        domains=domains,
        executionunits=executionunits,
        system_errors=system_errors,
    )


def add(*numbers: float, **changes: Any) -> ArvoEvent:
    event = ArvoEventFactory(add_contract.version(ADD_V1)).accepts(
        source=APP, data=Add(numbers=list(numbers)), accesscontrol="role:clerk"
    )
    return event.model_copy(update=changes)


def raising(error: Exception) -> Any:
    async def fail(call: HandlerInput[Add]) -> Emit:
        raise error

    return fail


def test_it_listens_where_its_contract_says() -> None:
    handler = adder(executionunits=3)
    assert (handler.source, handler.stateful, handler.domain, handler.executionunits) == (
        "com.math.add",
        False,
        "math.domain",
        3,
    )
    assert "com.math.add" in repr(handler)


async def test_an_output_answers_the_event() -> None:
    [answer] = await adder().execute(add(1, 2))
    assert (answer.type, answer.data, answer.to) == (ADDED, {"result": 3.0}, APP)


async def test_any_number_of_executions_run_concurrently() -> None:
    handler = adder()
    answers = await asyncio.gather(*(handler.execute(add(n)) for n in range(20)))
    assert [answer.data["result"] for [answer] in answers] == list(range(20))


class TestWhatTheFunctionReceives:
    async def call(self, event: ArvoEvent) -> HandlerInput[Any]:
        calls: list[HandlerInput[Any]] = []

        async def keep(call: HandlerInput[Add]) -> None:
            calls.append(call)

        await adder(keep).execute(event)
        [call] = calls
        return call

    async def test_the_parsed_data_and_the_event_as_it_came(self) -> None:
        event = add(data={"numbers": ["1", 2], "unknown": True})
        call = await self.call(event)
        assert call.data == Add(numbers=[1, 2], factor=1)
        assert call.event.data == {"numbers": ["1", 2], "unknown": True}

    async def test_the_contract_version_and_where_it_is(self) -> None:
        call = await self.call(add(1, domain="branch.north"))
        assert call.contract.dataschema == "#/math/add/1.0.0"
        assert call.source == "com.math.add"
        assert call.domain == HandlerDomain(self="math.domain", event="branch.north")
        assert not call.span.is_recording()

    async def test_a_unit_test_may_call_it_with_an_input_of_its_own(self) -> None:
        event = add(1, 2)
        call = HandlerInput(
            event=event, data=Add(numbers=[1, 2]), contract=add_contract.version(ADD_V1)
        )
        call.span.set_attribute("nothing", "is traced")
        assert (await add_v1(call)).data == Added(result=3)


class TestVersion:
    @pytest.mark.parametrize(
        ("dataschema", "result"),
        [
            ("#/math/add/1.0.0", 3),
            ("#/math/add/2.0.0", 1003),
            ("#/math/add/01.0.0", 3),
            ("#/math/add/0.0.0", 1003),
            (None, 1003),
            ("no version in here", 1003),
            ("#/math/add/1.0", 1003),
        ],
    )
    async def test_the_dataschema_chooses_it(self, dataschema: str | None, result: float) -> None:
        [answer] = await adder().execute(add(1, 2, dataschema=dataschema, data={"numbers": [1, 2]}))
        assert answer.data == {"result": result}

    async def test_an_unknown_version_is_a_config_violation(self) -> None:
        with pytest.raises(ConfigViolation, match=r"3\.0\.0") as caught:
            await adder().execute(add(1, dataschema="#/math/add/3.0.0", id="event-7"))
        assert "'event-7'" in str(caught.value)

    @pytest.mark.parametrize("dataschema", ["#/other/1.0.0", "/1.0.0", "1.0.0", "#/other/0.0.0"])
    async def test_another_contracts_uri_is_refused_whenever_it_can_be_read(
        self, dataschema: str
    ) -> None:
        with pytest.raises(ContractViolation, match="expected a version of '#/math/add'"):
            await adder().execute(add(1, dataschema=dataschema))


class TestRefusedEvents:
    async def test_an_event_of_another_type_is_refused(self) -> None:
        with pytest.raises(ConfigViolation, match=r"com\.math\.add cannot handle event .*sub"):
            await adder().execute(add(1, type="com.math.sub"))

    async def test_data_that_does_not_match_is_named_with_its_path(self) -> None:
        with pytest.raises(ContractViolation) as caught:
            await adder().execute(add(id="event-7", data={"numbers": [1, "many"]}))
        for part in ("'event-7'", "com.math.add", "#/math/add/1.0.0", "numbers"):
            assert part in str(caught.value)

    async def test_a_validator_that_breaks_refuses_the_event(self) -> None:
        class Picky(BaseModel):
            text: str

            @field_validator("text")
            @classmethod
            def look_up(cls, value: str) -> str:
                return {"known": "known"}[value]

        version = ContractVersion("1.0.0", accepts=Picky, emits={})
        contract = ArvoContract(uri="#/picky", type="com.picky.ask", versions=[version])
        event = ArvoEvent.create(
            source=APP, type="com.picky.ask", subject="s", data={"text": "unknown"}
        )

        async def nothing(call: HandlerInput[Any]) -> None: ...

        with pytest.raises(ContractViolation, match="Picky raised KeyError: 'unknown'"):
            await ArvoEventHandler(contract=contract, handler={"1.0.0": nothing}).execute(event)


class TestSystemErrors:
    """An exception of the function is an answer too."""

    async def test_a_system_error_goes_only_to_the_asker(self) -> None:
        event = add(1, redirectto="com.app.elsewhere")
        [error] = await adder(raising(LookupError("no such number")), executionunits=4).execute(
            event
        )
        assert (error.type, error.to, error.source, error.redirectto) == (
            "sys.com.math.add.error",
            APP,
            "com.math.add",
            None,
        )
        assert (error.subject, error.parentid) == (event.subject, event.id)
        assert (error.executionunits, error.accesscontrol) == (4, "role:clerk")
        assert error.dataschema == "#/math/add/0.0.0"

    async def test_the_asker_learns_name_and_message_and_no_stack(self) -> None:
        [error] = await adder(raising(LookupError("no such number"))).execute(add(1))
        assert error.data == {
            "errorName": "LookupError",
            "errorMessage": "no such number",
            "errorStack": None,
        }

    async def test_the_stack_is_sent_where_the_handler_says_so(self) -> None:
        policy = SystemErrorPolicy(stack=True)
        handler = adder(raising(LookupError("no such number")), system_errors=policy)
        [error] = await handler.execute(add(1))
        assert "in fail" in error.data["errorStack"]

    def test_another_policy_is_refused_when_it_is_made(self) -> None:
        with pytest.raises(TypeError, match="system_errors"):
            adder(system_errors=True)  # type: ignore[arg-type]

    async def test_the_stack_is_in_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", logger="arvo_event_handler")
        event = add(1)
        await adder(raising(LookupError("no such number"))).execute(event)
        [line] = caplog.records
        assert line.getMessage() == (
            f"com.math.add failed on event {event.id} of type com.math.add"
        )
        assert line.exc_info is not None
        assert isinstance(line.exc_info[1], LookupError)

    @pytest.mark.parametrize(
        "error",
        [
            Exception(),
            ValueError("\ud800"),
            KeyError({"a": float("nan")}),
            ExceptionGroup("several", [ValueError("a"), ViolationError("b")]),
            TimeoutError(),
        ],
        ids=repr,
    )
    async def test_every_ordinary_exception_becomes_a_well_formed_one(
        self, error: Exception
    ) -> None:
        [event] = await adder(raising(error)).execute(add(1))
        assert event.data["errorName"] == type(error).__name__
        assert ArvoEvent.from_json(event.to_json()).data == event.data

    async def test_its_domains_can_be_chosen(self) -> None:
        handler = adder(
            raising(LookupError("x")), domains=EmissionDomains(system_error=("alerts", None))
        )
        errors = await handler.execute(add(1))
        assert [error.domain for error in errors] == ["alerts", None]
        assert errors[0].id != errors[1].id


class TestViolations:
    """They escape, and nothing is emitted."""

    @pytest.mark.parametrize(
        "violation",
        [
            ExecutionViolation("not now", retryable=True),
            ContractViolation("not so"),
            ConfigViolation("not there"),
            TransactionViolation(
                "not stored", cause=TransactionViolationCause.WRITE_FAILURE, subject="s"
            ),
        ],
        ids=lambda violation: type(violation).__name__,
    )
    async def test_any_violation_escapes_as_it_is(self, violation: ViolationError) -> None:
        with pytest.raises(type(violation)) as caught:
            await adder(raising(violation)).execute(add(1))
        assert caught.value is violation

    @pytest.mark.parametrize("retryable", [True, False])
    async def test_a_group_of_violations_counts_as_one(self, retryable: bool) -> None:
        group = ExceptionGroup(
            "both",
            [
                ExecutionViolation("first", retryable=True),
                ExceptionGroup("inner", [ExecutionViolation("second", retryable=retryable)]),
            ],
        )
        with pytest.raises(ExecutionViolation, match="both: first; second") as caught:
            await adder(raising(group)).execute(add(1))
        assert caught.value.retryable is retryable
        assert caught.value.__cause__ is group

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    async def test_a_base_exception_is_not_caught(self, stop: type[BaseException]) -> None:
        async def halt(call: HandlerInput[Add]) -> Emit:
            raise stop

        execution = adder(halt).execute(add(1))
        with pytest.raises(stop):
            execution.send(None)


async def test_one_bad_output_discards_all_outputs() -> None:
    async def half(call: HandlerInput[Add]) -> list[Emit]:
        return [Emit(ADDED, Added(result=1)), Emit(ADDED, {"result": "much"})]

    with pytest.raises(ContractViolation, match="result"):
        await adder(half).execute(add(1))


# --- no event raises anything else ------------------------------------------

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
HEADER = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["com.math.add", "com.math.sub", ADDED, "sys.com.math.add.error"])
SCHEMAS = st.none() | st.sampled_from(
    ["#/math/add/1.0.0", "#/math/add/2.0.0", "#/math/add/0.0.0", "#/math/add/9.9.9", "x", "/1.0.0"]
)
DATA = st.dictionaries(TEXT, JSON, max_size=3) | st.fixed_dictionaries(
    {"numbers": st.lists(JSON, max_size=3)}, optional={"factor": JSON}
)


@st.composite
def events(draw: st.DrawFn) -> ArvoEvent:
    return ArvoEvent.create(
        source=draw(TEXT),
        type=draw(TYPES),
        subject=draw(TEXT),
        data=draw(DATA),
        dataschema=draw(SCHEMAS),
        parentid=draw(st.none() | HEADER),
        redirectto=draw(st.none() | TEXT),
        accesscontrol=draw(st.none() | HEADER),
        domain=draw(st.none() | st.sampled_from(["a.b", "domain.event.inherit"])),
        executionunits=draw(st.none() | st.floats(0, 10)),
    )


@given(events())
def test_no_event_raises_anything_but_violations(event: ArvoEvent) -> None:
    async def inverse(call: HandlerInput[Add]) -> Emit:
        return Emit(ADDED, Added(result=1 / sum(call.data.numbers)))

    try:
        outputs = asyncio.run(adder(inverse).execute(event))
    except (ConfigViolation, ContractViolation):
        return
    for output in outputs:
        assert output.parentid == event.id
        assert ArvoEvent.from_json(output.to_json()) == output
