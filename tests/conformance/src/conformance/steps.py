"""Turns what a resumable's rule returned into what our API takes."""

from collections.abc import Mapping
from typing import Any

from arvo_event_handler import Complete, Step

from .arguments import event_id
from .javascript import truth
from .rules import emit


def step(returned: Any) -> Any:
    """Turn what a resumable's rule returned into what our API takes; falsy becomes None."""
    if not truth(returned):
        return None
    if not isinstance(returned, Mapping):
        return returned
    members: dict[str, Any] = {}
    if returned.get("context") is not None:
        members["context"] = returned["context"]
    if returned.get("services"):
        members["services"] = [_request(item) for item in returned["services"]]
    if truth(returned.get("output")):
        members["output"] = _complete(returned["output"])
    return Step(**members)


def _request(item: Any) -> Any:
    """Turn a service's request into an `Emit`; the original gives it a time of its own."""
    if isinstance(item, Mapping):
        item = {name: value for name, value in item.items() if name != "time"}
    return emit(item)


def _complete(output: Mapping[str, Any]) -> Complete:
    hidden = {"__id": "id", "__domain": "domain", "__executionunits": "executionunits"}
    options = {ours: output[theirs] for theirs, ours in hidden.items() if theirs in output}
    if "id" in options:
        options["id"] = event_id(options["id"])
    return Complete({key: value for key, value in output.items() if key not in hidden}, **options)
