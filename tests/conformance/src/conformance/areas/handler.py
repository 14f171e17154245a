"""Stateless handlers."""

from collections.abc import Mapping, Sequence
from typing import Any

from arvo_event_handler import (
    ArvoEventHandler,
    ArvoEventHandlerFunction,
    HandlerInput,
    IArvoEventHandler,
    SystemErrorPolicy,
)
from conformance import rules
from conformance.cases import Case
from conformance.emission import emission_domains
from conformance.memories import PlainMemory, WatchedMemory
from conformance.scenario import Contracts, Scenario


async def run(case: Case) -> None:
    """Run the scenario; a stateless handler keeps nothing."""
    await Scenario(case, build=_build, memory=PlainMemory()).run(_described)


def _build(
    given: Mapping[str, Any], contracts: Contracts, memory: WatchedMemory
) -> IArvoEventHandler:
    description = given["handler"]
    options: dict[str, Any] = {}
    if "executionunits" in description:
        options["executionunits"] = description["executionunits"]
    return ArvoEventHandler(
        # The TypeScript version sends stacks.
        system_errors=SystemErrorPolicy(stack=True),
        contract=contracts[description["contract"]],
        handler={
            version: _function(version_rules)
            for version, version_rules in description["versions"].items()
        },
        **options,
        **emission_domains(description),
    )


def _function(version_rules: Sequence[rules.Rule]) -> ArvoEventHandlerFunction:
    async def function(call: HandlerInput[Any]) -> Any:
        environment = {
            "event": call.event.to_dict(),
            "source": call.source,
            "domain": {"self": call.domain.self, "event": call.domain.event},
            "contract": {
                "version": call.contract.version,
                "uri": call.contract.uri,
                "domain": call.contract.domain,
            },
        }
        return rules.outputs(rules.apply(version_rules, environment))

    return function


def _described(handler: ArvoEventHandler) -> dict[str, Any]:
    return {
        "source": handler.source,
        "domain": handler.domain,
        "systemErrorType": handler.contract.system_error_type,
    }
