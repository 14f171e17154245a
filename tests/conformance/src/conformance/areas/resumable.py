"""Workflows written as code, on a plain memory and on a leased one."""

from collections.abc import Mapping, Sequence
from typing import Any

from arvo_event_handler import (
    ArvoResumable,
    ArvoResumableFunction,
    ExecutionPolicy,
    IArvoEventHandler,
    Reply,
    Start,
    SystemErrorPolicy,
)
from conformance import rules
from conformance.cases import Case
from conformance.emission import emission_domains
from conformance.memories import LeasedMemory, PlainMemory, WatchedMemory
from conformance.scenario import Contracts, Scenario
from conformance.steps import step


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
    description = given["resumable"]
    own: Any = contracts[description["self"]]
    options: dict[str, Any] = {}
    if "executionunits" in description:
        options["executionunits"] = description["executionunits"]
    if "requiresResourceLocking" in description:
        options["requires_resource_locking"] = description["requiresResourceLocking"]
    return ArvoResumable(
        # The TypeScript version sends stacks.
        system_errors=SystemErrorPolicy(stack=True),
        contract=own,
        services=[
            contracts[name].version(version) for name, version in description["services"].values()
        ],
        memory=memory,
        handler={
            version: _function(version_rules)
            for version, version_rules in description["versions"].items()
        },
        # The vectors show finished records in full, and a leased memory would shorten them.
        policy=ExecutionPolicy(finished_expiry=None),
        **options,
        **emission_domains(description),
    )


def _function(version_rules: Sequence[rules.Rule]) -> ArvoResumableFunction:
    async def function(call: Start[Any] | Reply[Any]) -> Any:
        domain = {"self": call.domain.self, "event": call.domain.event}
        environment = {**_seen(call), "domain": domain}
        return step(rules.apply(version_rules, environment))

    return function


def _seen(call: Start[Any] | Reply[Any]) -> dict[str, Any]:
    event = call.event.to_dict()
    if isinstance(call, Start):
        return {
            "input": event,
            "service": None,
            "context": None,
            "metadata": None,
            "collectedEvents": {},
        }
    return {
        "input": None,
        "service": event,
        "context": call.context,
        "metadata": call.metadata,
        "collectedEvents": {
            name: [each.to_dict() for each in events] for name, events in call.collected.items()
        },
    }


def _described(handler: ArvoResumable) -> dict[str, Any]:
    return {
        "source": handler.source,
        "domain": handler.domain,
        "requiresResourceLocking": handler.requires_resource_locking,
        "systemErrorType": handler.contract.system_error_type,
    }
