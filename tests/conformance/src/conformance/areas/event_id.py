"""Event ids: policies, and what an Arvo-managed id carries."""

import re
from collections.abc import Mapping
from typing import Any

from arvo_core import ArvoEvent
from arvo_core.event_id import parse_event_id
from conformance.arguments import event_id
from conformance.cases import Case
from conformance.comparison import Comparison

_RANDOM = re.compile(r"[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}")


async def run(case: Case) -> None:
    """Check one operation."""
    expected = case.expected["ok"]
    match case.input["op"]:
        case "create":
            _same_created(expected, _created(case.input.get("id")))
        case "parse":
            _same_parsed(expected, case.input["id"])
        case operation:
            raise ValueError(f"unknown operation: {operation!r}")


def _created(requested: object) -> str:
    return ArvoEvent.create(
        source="com.app.main", type="com.app.event", subject="s", data={}, id=event_id(requested)
    ).id


def _same_created(expected: Mapping[str, Any], made: str) -> None:
    comparison = Comparison()
    match expected["kind"]:
        case "literal":
            comparison.same(expected["value"], made)
        case "managed":
            comparison.same({"$managedId": expected["parsed"]}, made)
        case "uuid4":
            assert _RANDOM.fullmatch(made), f"expected a random UUID, got {made!r}"
        case kind:
            raise ValueError(f"unknown kind of id: {kind!r}")


def _same_parsed(expected: Mapping[str, Any], text: str) -> None:
    parsed = parse_event_id(text)
    if expected["error"]:
        assert parsed is None, f"expected no managed id, got {parsed!r}"
        assert expected["value"] == text
    else:
        Comparison().same({"$managedId": expected["value"]}, text)
