"""Workflows written as statecharts, on a plain memory and on a leased one."""

from collections.abc import Callable, Mapping
from typing import Any

from arvo_event_handler import (
    ArvoMachine,
    ArvoOrchestrator,
    ExecutionPolicy,
    IArvoEventHandler,
    SystemErrorPolicy,
)
from arvo_statechart import Call, assign, emit
from conformance.cases import Case
from conformance.emission import emission_domains
from conformance.expression import evaluate
from conformance.javascript import MISSING, truth
from conformance.memories import LeasedMemory, PlainMemory, WatchedMemory
from conformance.rules import throw
from conformance.scenario import Contracts, Scenario

_ASSIGN, _EMIT, _FUNCTION = "$assign", "$emit", "$fn"


async def run(case: Case) -> None:
    """Run the scenario twice."""
    await Scenario(case, build=build, memory=PlainMemory()).run(_described)
    unit = case.expected.get("ok", {}).get("unit", {})
    leased = LeasedMemory(locking=unit.get("requiresResourceLocking", False))
    await Scenario(case, build=build, memory=leased).run(_described)


def build(
    given: Mapping[str, Any], contracts: Contracts, memory: WatchedMemory
) -> IArvoEventHandler:
    """Make the handler that a case describes."""
    description = given["orchestrator"]
    options: dict[str, Any] = {}
    if "executionunits" in description:
        options["executionunits"] = description["executionunits"]
    if "requiresResourceLocking" in description:
        options["requires_resource_locking"] = description["requiresResourceLocking"]
    return ArvoOrchestrator(
        # The TypeScript version sends stacks.
        system_errors=SystemErrorPolicy(stack=True),
        machines=[_machine(machine, contracts) for machine in description["machines"]],
        memory=memory,
        # The vectors show finished records in full, and a leased memory would shorten them.
        policy=ExecutionPolicy(finished_expiry=None),
        **options,
        **emission_domains(description),
    )


def _machine(description: Mapping[str, Any], contracts: Contracts) -> ArvoMachine:
    config: Any = _described_config(description["config"])
    return ArvoMachine(
        contract=contracts[description["self"]].version(description["version"]),
        services=[
            contracts[name].version(version) for name, version in description["services"].values()
        ],
        config=config,
        actions={name: _action(action) for name, action in description["actions"].items()},
        guards={
            name: _function(guard["expr"], as_guard=True)
            for name, guard in description["guards"].items()
        },
    )


def _described_config(value: Any) -> Any:
    """Replace the vectors' functions and inline actions by ours."""
    match value:
        case {"$fn": expression}:
            return _function(expression)
        case {"$assign": changes}:
            return _assign(changes)
        case {"$emit": event}:
            return emit(_function(event))
        case dict():
            return {name: _described_config(item) for name, item in value.items()}
        case list():
            return [_described_config(item) for item in value]
        case _:
            return value


def _action(action: Mapping[str, Any]) -> Any:
    match action["type"]:
        case "assign":
            return _assign(action["assign"])
        case "emit":
            return emit(_function(action["event"]))
        case "throw":
            return lambda call: throw(action["throw"], _environment(call))
        case other:
            raise ValueError(f"unknown kind of action: {other!r}")


def _assign(changes: Mapping[str, Any]) -> Any:
    return assign({name: _function(expression) for name, expression in changes.items()})


def _function(expression: Any, *, as_guard: bool = False) -> Callable[[Call], Any]:
    def function(call: Call) -> Any:
        value = evaluate(expression, _environment(call))
        if as_guard:
            return truth(value)
        return None if value is MISSING else value

    return function


def _environment(call: Call) -> dict[str, Any]:
    started = call.input
    environment = {"context": call.context, "event": call.event, "params": dict(call.params)}
    return environment if started is None else {**environment, "input": started}


def _described(handler: ArvoOrchestrator) -> dict[str, Any]:
    return {
        "source": handler.source,
        "domain": handler.domain,
        "requiresResourceLocking": handler.requires_resource_locking,
        "systemErrorType": handler.contract.system_error_type,
    }
