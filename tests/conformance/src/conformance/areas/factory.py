"""Factories: events that conform to a contract."""

from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from conformance import arguments
from conformance.cases import Case
from conformance.comparison import Comparison
from conformance.contracts import contract
from conformance.outcome import REFUSED, returned
from conformance.values import with_subjects

from .event import path_of_the_original

_METHODS = {
    "accepts": "accepts",
    "emits": "emits",
    "systemError": "system_error",
    "init": "init",
    "complete": "complete",
}


async def run(case: Case) -> None:
    """Make the event and compare it."""
    subjects = case.input.get("subjects", {})
    given = with_subjects(case.input, subjects)
    expected = with_subjects(case.expected, subjects)
    kind, _, operation = given["op"].rpartition(".")
    factory = ArvoOrchestratorEventFactory if kind == "orc" else ArvoEventFactory

    members = arguments.event_members(given["event"])
    if "error" in members:
        members["error"] = arguments.error(members["error"])
    method = getattr(factory, _METHODS[operation])

    def make() -> ArvoEvent:
        version = contract(given["contract"]).version(given["version"])
        made: ArvoEvent = method(
            factory(version),
            **arguments.accepted(method, members),
            extensions=given.get("extensions"),
        )
        return made

    event = returned(
        expected,
        make,
        may_miss_arguments=arguments.misses(method, members),
        path=path_of_the_original,
    )
    if event is not REFUSED:
        comparison = Comparison(expected["ok"]["subjects"])
        comparison.same(expected["ok"]["event"], event.to_dict())
