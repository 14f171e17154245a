"""Machines bound to a contract: what is refused on construction, and what machines describe."""

import json
import math
from typing import Any

import pytest
from pydantic import BaseModel

from arvo_core import (
    ArvoContract,
    ArvoOrchestratorContract,
    ContractVersion,
    OrchestratorVersion,
    SimpleArvoContract,
)
from arvo_event_handler import (
    ArvoMachine,
    ConfigViolation,
    ContractViolation,
    InvalidHandlerError,
)
from arvo_statechart import assign, enqueue_actions, raise_

from .order_machines import (
    CHARGE_SERVICE,
    ORDER_CONFIG,
    PARALLEL_CONFIG,
    RESERVE_SERVICE,
    machine,
)
from .shop import (
    CHARGE,
    CHARGE_V1,
    ORDER,
    ORDER_V1,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    Order,
    Ordered,
    charge_contract,
    order_contract,
    reserve_contract,
    start,
)


def test_it_says_what_it_implements() -> None:
    made = machine()
    assert (made.source, made.version) == (ORDER, "1.0.0")
    assert list(made.services) == [RESERVE, charge_contract.type]
    assert repr(made) == "ArvoMachine('#/shop/order/1.0.0')"


class TestActors:
    """Refused with their place where they are meant; as the name of a state they are allowed."""

    @pytest.mark.parametrize(
        ("place", "config"),
        [
            ("{}", lambda word: {word: {}}),
            (
                "states.a.{}",
                lambda word: {"initial": "a", "states": {"a": {word: [{"src": "x"}]}}},
            ),
            (
                "states.states.states.b.{}",
                lambda word: {
                    "initial": "states",
                    "states": {"states": {"initial": "b", "states": {"b": {word: {}}}}},
                },
            ),
        ],
        ids=["root", "state", "nested"],
    )
    def test_actors_are_refused(self, place: str, config: Any) -> None:
        word = "invoke"
        with pytest.raises(ConfigViolation) as refused:
            machine(config(word))
        assert f"{place.format(word)}: a workflow waits for events" in str(refused.value)

    def test_several_actors_are_named_together(self) -> None:
        config: Any = {"invoke": {}, "initial": "a", "states": {"a": {"invoke": {}}}}
        with pytest.raises(ConfigViolation) as refused:
            machine(config)
        assert "invoke" in str(refused.value)
        assert "states.a.invoke" in str(refused.value)

    @pytest.mark.parametrize("word", ["invoke", "after"])
    def test_a_state_may_be_named_invoke_or_after(self, word: str) -> None:
        config: Any = {"initial": word, "states": {word: {"on": {word: word}}}}
        assert machine(config).machine.start().snapshot.value == word

    @pytest.mark.parametrize("word", ["invoke", "after"])
    def test_an_error_in_a_state_named_so_is_reported_as_usual(self, word: str) -> None:
        config: Any = {"initial": word, "states": {word: 5}}
        with pytest.raises(InvalidHandlerError, match=rf"states\.{word}"):
            machine(config)


GUARDED: Any = {"guard": "isRich", "target": "b"}


class TestNames:
    def test_the_name_of_the_queues_action_is_reserved(self) -> None:
        with pytest.raises(ConfigViolation, match="'enqueueArvoEvent' is reserved by Arvo"):
            machine(actions={"enqueueArvoEvent": assign({})})

    def test_the_queues_action_may_be_used(self) -> None:
        made = machine({"entry": {"type": "enqueueArvoEvent", "params": {"type": RESERVE}}})
        assert "arvo$$" in made.machine.start().snapshot.context

    def test_unknown_actions_are_refused(self) -> None:
        with pytest.raises(InvalidHandlerError, match=r"entry: unknown action 'ship'"):
            machine({"entry": "ship"})

    def test_unknown_guards_are_refused(self) -> None:
        config: Any = {"on": {"a.b.c": {"guard": "isRich", "actions": []}}}
        with pytest.raises(InvalidHandlerError, match=r"guard: unknown guard 'isRich'"):
            machine(config)

    def test_known_actions_and_guards_are_found(self) -> None:
        made = machine(
            {"entry": "ship", "initial": "a", "states": {"a": {"always": GUARDED}, "b": {}}},
            actions={"ship": assign({"shipped": True})},
            guards={"isRich": lambda call: True},
        )
        snapshot = made.machine.start().snapshot
        assert (snapshot.context, snapshot.value) == ({"shipped": True}, "b")

    def test_other_errors_are_reported_with_their_place(self) -> None:
        with pytest.raises(InvalidHandlerError) as refused:
            machine({"initial": "a", "states": {"a": {"on": {"b.c.d": "nowhere"}}}})
        assert "#/shop/order/1.0.0" in str(refused.value)
        assert "states.a.on['b.c.d']" in str(refused.value)


class TestVersion:
    @pytest.mark.parametrize("version", [None, "1.0.0"])
    def test_the_contracts_version_may_be_given(self, version: str | None) -> None:
        config: Any = {} if version is None else {"version": version}
        assert machine(config).version == "1.0.0"

    @pytest.mark.parametrize("version", ["1.0.1", "2.0.0", "1", "", 1], ids=repr)
    def test_another_version_than_the_contracts_is_refused(self, version: Any) -> None:
        with pytest.raises(ConfigViolation, match=f"to be .1.0.0., got {version!r}"):
            machine({"version": version})


FALLS_BACK: Any = {
    "on": {
        "a.b.c": {"guard": lambda call: False},
        "*": {"actions": lambda call: None},
    }
}


class TestXStateVersion:
    def test_the_xstate_version_can_be_chosen(self) -> None:
        event = {"type": "a.b.c"}
        answers = [
            made.machine.start().snapshot.can(event)
            for made in (machine(FALLS_BACK, xstate="5.33"), machine(FALLS_BACK, xstate="5.24"))
        ]
        assert answers == [True, False]

    def test_a_missing_xstate_version_is_a_warning_where_it_matters(self) -> None:
        *_, warning = machine(FALLS_BACK).machine.warnings
        assert warning.location == "on['a.b.c']"
        chosen = machine(FALLS_BACK, xstate="5.24").machine.warnings
        assert not any("choose" in warning.message for warning in chosen)

    def test_an_unknown_xstate_version_is_refused(self) -> None:
        with pytest.raises(InvalidHandlerError, match="unknown version '5'"):
            machine({}, xstate="5")  # type: ignore[arg-type]


class TestServices:
    def test_one_contract_is_listed_once(self) -> None:
        with pytest.raises(ConfigViolation, match="'#/shop/stock/reserve' is listed twice"):
            machine(services=[RESERVE_SERVICE, RESERVE_SERVICE])

    def test_services_differ_by_uri_and_type(self) -> None:
        twin = SimpleArvoContract(uri="#/twin", type="stock.reserve", versions=[RESERVE_V1])
        with pytest.raises(ConfigViolation, match=r"'#/shop/stock/reserve' and '#/twin' both"):
            machine(services=[RESERVE_SERVICE, twin.version(RESERVE_V1)])

    def test_a_workflow_is_not_its_own_service(self) -> None:
        with pytest.raises(ConfigViolation, match="cannot be its own service"):
            machine(services=[order_contract.version(ORDER_V1)])

    def test_a_contract_without_a_version_is_not_a_service(self) -> None:
        services: Any = [reserve_contract]
        with pytest.raises(ConfigViolation, match=r"did you mean contract\.version"):
            machine(services=services)


class TestContract:
    def test_the_contract_must_be_an_orchestrator_contract(self) -> None:
        with pytest.raises(InvalidHandlerError, match="must be an ArvoOrchestratorContract"):
            machine(contract=RESERVE_SERVICE)

    def test_the_contract_must_be_in_a_version(self) -> None:
        contract: Any = order_contract
        with pytest.raises(InvalidHandlerError, match=r"pass contract\.version"):
            ArvoMachine(contract=contract, services=[], config={})


class Word(BaseModel):
    word: str


TALK_V1 = ContractVersion(
    "1.0.0", accepts=Word, emits={"evt.talk.said": Word, "evt.talk.sung": Word}
)
talk_contract = ArvoContract(uri="#/talk", type="com.talk.ask", versions=[TALK_V1])


class TestLockingIsInferred:
    """From parallel states and services with several answers; a leased memory leases anyway."""

    def test_sequential_states_need_no_lock(self) -> None:
        assert not machine().requires_resource_locking

    def test_parallel_states_need_a_lock(self) -> None:
        assert machine(PARALLEL_CONFIG).requires_resource_locking

    def test_a_parallel_root_needs_a_lock(self) -> None:
        config: Any = {"type": "parallel", "states": {"a": {}, "b": {}}}
        assert machine(config).requires_resource_locking

    def test_a_service_with_several_answers_needs_a_lock(self) -> None:
        assert machine({}, services=[talk_contract.version(TALK_V1)]).requires_resource_locking

    def test_a_parallel_state_without_regions_needs_no_lock(self) -> None:
        config: Any = {"initial": "a", "states": {"a": {"type": "parallel", "states": {}}}}
        assert not machine(config).requires_resource_locking

    def test_a_state_merely_named_parallel_needs_no_lock(self) -> None:
        config: Any = {"initial": "parallel", "states": {"parallel": {"on": {"a.b.c": "parallel"}}}}
        assert not machine(config).requires_resource_locking


class TestDefinition:
    def test_the_definition_is_the_config_as_json(self) -> None:
        config: Any = {
            "initial": "open",
            "context": {"n": 1, "none": None, "real": 0.5},
            "states": {"open": {"on": {"a.b.c": ["done", {"target": "done"}]}}, "done": {}},
        }
        assert json.loads(machine(config).definition) == config

    def test_infinity_is_null_in_the_definition_as_in_javascript(self) -> None:
        definition = machine({"options": {"maxIterations": math.inf}}).definition
        assert json.loads(definition) == {"options": {"maxIterations": None}}

    def test_functions_appear_by_name_in_the_definition(self) -> None:
        described = json.loads(machine().definition)
        assert described["context"] == "first_context"
        assert described["states"]["reserving"]["entry"] == "Emit"
        assert described["output"] == "total"
        assert list(described) == list(ORDER_CONFIG)

    def test_making_it_changes_nothing_of_the_config(self) -> None:
        config: Any = {"tags": ("a", "b"), "meta": {"1": [2]}}
        machine(config)
        assert config == {"tags": ("a", "b"), "meta": {"1": [2]}}


def test_versions_share_nothing() -> None:
    v2 = OrchestratorVersion("2.0.0", init=Order, complete=Ordered)
    both = ArvoOrchestratorContract(uri="#/two", name="two", versions=[ORDER_V1, v2])
    old = machine(contract=both.version("1.0.0"), services=[RESERVE_SERVICE])
    new = machine(contract=both.version("2.0.0"), services=[CHARGE_SERVICE])
    assert (old.version, new.version) == ("1.0.0", "2.0.0")
    assert [*old.services, *new.services] == [RESERVE, charge_contract.type]
    assert CHARGE_SERVICE.version == CHARGE_V1.version


class TestValidateInput:
    def test_an_event_that_the_machine_accepts_passes(self) -> None:
        machine().validate_input(start("tea"))

    def test_data_that_does_not_match_is_refused(self) -> None:
        broken = start("tea").model_copy(update={"data": {"parentSubject$$": None, "items": 5}})
        with pytest.raises(ContractViolation, match="items"):
            machine().validate_input(broken)

    def test_an_event_of_no_service_is_refused(self) -> None:
        stray = start("tea").model_copy(update={"type": "evt.somebody.else"})
        with pytest.raises(ConfigViolation, match="none of its services emits it"):
            machine().validate_input(stray)


def waiting_for(event_type: str, **more: Any) -> ArvoMachine:
    """A machine of two services whose first state waits for one type of event."""
    config: Any = {
        "context": {},
        "initial": "a",
        "states": {"a": {"on": {event_type: "b"}, **more}, "b": {"type": "final"}},
    }
    return machine(config=config, services=[RESERVE_SERVICE, CHARGE_SERVICE])


@pytest.mark.parametrize(
    ("event_type", "message"),
    [
        ("evt.stock.reserve.sucess", "did you mean 'evt.stock.reserve.success'?"),
        (f"sys.{RESERVE}.eror", f"did you mean 'sys.{RESERVE}.error'?"),
        (RESERVE, "nothing sends or raises it"),
        (ORDER, "nothing sends or raises it"),
        ("ship", "nothing sends or raises it"),
    ],
)
def test_an_event_that_no_service_emits_is_a_warning_at_definition(
    event_type: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    (warning,) = waiting_for(event_type).machine.warnings
    assert warning.path == ("states", "a", "on", event_type)
    assert message in warning.message
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("arvo_event_handler", "WARNING")
    assert warning.location in record.message
    assert message in record.message


@pytest.mark.parametrize(
    ("event_type", "more"),
    [
        (RESERVED, {}),
        (f"sys.{CHARGE}.error", {}),
        ("evt.stock.*", {}),
        ("*", {}),
        ("ship", {"entry": raise_({"type": "ship"})}),
        ("ship", {"entry": raise_(lambda call: {"type": "ship"})}),
        ("ship", {"exit": [enqueue_actions(lambda call: [])]}),
    ],
)
def test_an_event_that_may_come_is_not_a_warning(event_type: str, more: Any) -> None:
    assert waiting_for(event_type, **more).machine.warnings == ()


def test_an_event_misspelt_is_a_warning_whatever_functions_raise() -> None:
    more: Any = {"entry": raise_(lambda call: {"type": "ship"})}
    (warning,) = waiting_for("evt.stock.reserve.sucess", **more).machine.warnings
    assert "did you mean 'evt.stock.reserve.success'?" in warning.message


def nested_states(levels: int) -> Any:
    config: Any = {}
    for _ in range(levels):
        config = {"initial": "a", "states": {"a": config}}
    return config


def test_states_are_nested_as_deep_as_records_can_be() -> None:
    assert machine(config=nested_states(100)).definition.count("initial") == 100
    for levels in (101, 1_000):
        with pytest.raises(InvalidHandlerError, match="nested more than 100 levels deep"):
            machine(config=nested_states(levels))


def test_a_value_in_a_config_that_json_cannot_hold_is_refused() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidHandlerError, match="nested too deeply to be written as JSON"):
        machine(config={"context": {"deep": deep}})
