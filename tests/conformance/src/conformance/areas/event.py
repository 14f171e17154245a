"""Making events, and writing them."""

from functools import partial

from arvo_core import ArvoEvent
from conformance.arguments import accepted, event_members, misses
from conformance.cases import Case
from conformance.comparison import Comparison, same_indentation, same_order
from conformance.outcome import REFUSED, returned
from conformance.refusals import Path


async def run(case: Case) -> None:
    """Make the event and compare all its attributes and formats."""
    members = event_members(case.input["event"])
    event = returned(
        case.expected,
        partial(
            ArvoEvent.create,
            **accepted(ArvoEvent.create, members),
            extensions=case.input.get("extensions"),
        ),
        may_miss_arguments=misses(ArvoEvent.create, members),
        path=path_of_the_original,
    )
    if event is not REFUSED:
        _same_event(case, event)


def path_of_the_original(path: Path) -> Path:
    """Return where the original reports a problem: those of the data at the root."""
    return () if path[:1] == ("data",) else path


def _same_event(case: Case, event: ArvoEvent) -> None:
    expected, indent = case.expected["ok"], case.input.get("spacing")
    comparison = Comparison()
    comparison.same(expected["toJSON"], event.to_dict(), "toJSON")
    comparison.same(expected["extensions"], event.extensions, "extensions")
    comparison.same(expected["otelAttributes"], event.otel_attributes, "otelAttributes")
    same_order(dict.fromkeys(expected["keyOrder"]), dict.fromkeys(event.to_dict()), "keyOrder")
    text = event.to_json(indent=indent)
    comparison.same_json_text(
        expected.get("toString") or expected["toStringTemplate"], text, "toString"
    )
    if "toString" in expected:
        same_indentation(expected["toString"], text)
