"""Handlers written as rules: the first that applies says what to return or to raise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from arvo_core import ViolationError
from arvo_event_handler import (
    ConfigViolation,
    ContractViolation,
    Emit,
    ExecutionViolation,
)

from .arguments import event_id
from .expression import evaluate
from .javascript import MISSING, text, truth

Rule = Mapping[str, Any]

_VIOLATIONS: Mapping[str, Callable[[str], ViolationError]] = {
    "ContractViolation": ContractViolation,
    "ConfigViolation": ConfigViolation,
    "ExecutionViolation": ExecutionViolation,
    "ViolationError": ViolationError,
}
_OPTIONS = {
    "to": "to",
    "domain": "domain",
    "time": "time",
    "dataschema": "dataschema",
    "executionunits": "executionunits",
    "accesscontrol": "accesscontrol",
    "redirectto": "redirectto",
    "__extensions": "extensions",
}


def apply(rules: Sequence[Rule], environment: Mapping[str, object]) -> Any:
    """Return what the first rule that applies returns; None if it returns nothing.

    Raises:
        Exception: The rule raises it.
    """
    for rule in rules:
        if "when" in rule and not truth(evaluate(rule["when"], environment)):
            continue
        if "throw" in rule:
            throw(rule["throw"], environment)
        value = evaluate(rule.get("return"), environment)
        return None if value is MISSING else value
    return None


def throw(description: Mapping[str, Any], environment: Mapping[str, object]) -> NoReturn:
    """Raise what is described: a violation, or an exception of the name given."""
    kind = description["kind"]
    message = text(evaluate(description.get("message", ""), environment))
    if kind in _VIOLATIONS:
        raise _VIOLATIONS[kind](message)
    raise type(description.get("name", kind), (Exception,), {})(message)


def outputs(returned: Any) -> Any:
    """Turn what a service's rule returned into what our API takes.

    A value that is falsy in JavaScript becomes None. A value that is not an output is passed on
    unchanged, as our API must refuse it.
    """
    if not truth(returned):
        return None
    if isinstance(returned, list):
        return [emit(item) for item in returned]
    return emit(returned)


def emit(item: Any) -> Any:
    """Turn one output into an `Emit`; members that an `Emit` lacks are left out."""
    if not isinstance(item, Mapping) or "type" not in item:
        return item
    options = {ours: item[theirs] for theirs, ours in _OPTIONS.items() if theirs in item}
    data: Any = item.get("data")
    return Emit(item["type"], data, id=event_id(item.get("id")), **options)
