"""Orchestration subjects."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from arvo_core import ArvoOrchestrationSubject
from conformance.arguments import misses
from conformance.cases import Case
from conformance.comparison import Comparison
from conformance.outcome import REFUSED, returned
from conformance.values import decode_subject

_NAMES = {"orchestator": "orchestrator"}  # the original misspells it


async def run(case: Case) -> None:
    """Check one operation."""
    match case.input["op"]:
        case "create":
            _same_made(case, partial(ArvoOrchestrationSubject.create, case.input["param"]))
        case "new":
            param = {"version": None, **case.input["param"]}
            _same_made(case, ArvoOrchestrationSubject.new, param)
        case "from":
            _same_made(case, ArvoOrchestrationSubject.from_parent, _of_parent(case.input["param"]))
        case "parse":
            _same_parsed(case)
        case "isValid":
            valid = ArvoOrchestrationSubject.is_valid(case.input["subject"])
            Comparison().same(case.expected["ok"], valid)
        case operation:
            raise ValueError(f"unknown operation: {operation!r}")


def _of_parent(param: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out a null domain: it means the parent's in the original, and no domain here."""
    said = {name: value for name, value in param.items() if (name, value) != ("domain", None)}
    return {"version": None, **said}


def _same_made(
    case: Case, make: Callable[..., str], param: Mapping[str, Any] | None = None
) -> None:
    arguments = {_NAMES.get(name, name): value for name, value in (param or {}).items()}
    made = returned(
        case.expected, partial(make, **arguments), may_miss_arguments=misses(make, arguments)
    )
    if made is REFUSED:
        return
    expected, content = case.expected["ok"], decode_subject(made)
    comparison = Comparison()
    comparison.same(expected["content"], content)
    if "json" in expected:
        comparison.same_json_text(expected["json"], json.dumps(content))
    order = expected.get("contentKeyOrder", {})
    for part, keys in order.items():
        assert list(content if part == "root" else content[part]) == keys, part


def _same_parsed(case: Case) -> None:
    parsed = returned(case.expected, partial(ArvoOrchestrationSubject.parse, case.input["subject"]))
    if parsed is not REFUSED:
        Comparison().same(case.expected["ok"]["content"], parsed.model_dump(mode="json"))
