"""Compares results with what the vector shows, up to ids, subjects, times and stacks."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from arvo_core.event_id import parse_event_id

from .javascript import is_number
from .values import decode_subject

_PLACEHOLDER = re.compile(r"<(?:id:\d+|subject:\d+|time|stack|machineDefinition)>")
_SHAPES = {
    "id": r"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}",
    "subject": r"[A-Za-z\d+/=_-]+",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00",
    "stack": r"(?s:.+)",
    "machineDefinition": r"\{(?s:.+)\}",
}
# What is new each time, so that nothing is learnt from one occurrence about the next.
_UNBOUND = {"<time>", "<stack>", "<machineDefinition>"}
_INDEX = re.compile(r"0|[1-9]\d*", re.ASCII)


Compare = Callable[[Any, Any, str], None]
"""Compares what the vector shows with what came out, at a place."""


class Difference(AssertionError):
    """The result differs from what the vector shows."""


class Comparison:
    """Compares one run of one case; a placeholder means the same thing wherever it stands."""

    def __init__(self, subjects: Mapping[str, object] | None = None) -> None:
        self._subjects = subjects or {}
        self.bound: dict[str, str] = {}
        """The known values of placeholders."""

    def same(self, expected: object, actual: object, place: str = "$") -> None:
        """Compare two JSON values; the order of members is free.

        Raises:
            Difference: They differ; the message names the place.
        """
        match expected:
            case {"$managedId": content, **rest} if not rest:
                self._same_managed_id(content, actual, place)
            case Mapping():
                members = _object(actual, place, expected)
                self.same_members(expected, members, self.same, place)
            case list():
                self._same_list(expected, actual, place)
            case str():
                self._same_text(expected, actual, place)
            case _:
                _expect(_same_scalar(expected, actual), place, expected, actual)

    def contains(self, expected: Mapping[str, Any], actual: object, place: str = "$") -> None:
        """Compare the members that `expected` shows; `actual` may have more."""
        members = _object(actual, place, expected)
        for key, value in expected.items():
            _expect(key in members, f"{place}.{key}", value, "nothing")
            self.same(value, members[key], f"{place}.{key}")

    def same_members(
        self, expected: Mapping[str, Any], actual: Mapping[str, Any], compare: Compare, place: str
    ) -> None:
        """Compare the members of two objects, whose names may be placeholders.

        Args:
            expected: What the vector shows.
            actual: What came out.
            compare: Compares two values, as `same` does.
            place: Where the objects stand.
        """
        free = list(actual)
        # What needs no guess goes first.
        for name in sorted(expected, key=self._is_open):
            found = next(
                (each for each in free if self._is_pair(name, each, expected, actual, compare)),
                None,
            )
            if found is None:
                self._explain(name, expected, actual, compare, place)
            else:
                free.remove(found)
        _expect(not free, place, "no more members", free)

    def same_json_text(self, expected: str, actual: str, place: str = "$") -> None:
        """Compare two JSON texts by value and order of members.

        Where JavaScript moves a member named like an array index to the front, its place is free.
        """
        theirs, ours = json.loads(expected), json.loads(actual)
        self.same(theirs, ours, place)
        same_order(theirs, ours, place)

    def _is_pair(
        self,
        name: str,
        other: str,
        expected: Mapping[str, Any],
        actual: Mapping[str, Any],
        compare: Compare,
    ) -> bool:
        before = dict(self.bound)
        try:
            self._same_text(name, other, name)
            compare(expected[name], actual[other], name)
        except Difference:
            self.bound = before
            return False
        return True

    def _explain(
        self,
        name: str,
        expected: Mapping[str, Any],
        actual: Mapping[str, Any],
        compare: Compare,
        place: str,
    ) -> NoReturn:
        shown = self._shown(name)
        if shown in actual:
            compare(expected[name], actual[shown], f"{place}.{shown}")
        raise Difference(f"{place}: expected a member {shown!r}, got {list(actual)!r}")

    def _same_list(self, expected: list[Any], actual: object, place: str) -> None:
        if not isinstance(actual, list | tuple):
            raise Difference(f"{place}: expected a list, got {actual!r}")
        _expect(len(expected) == len(actual), f"{place} (length)", expected, actual)
        for position, (theirs, ours) in enumerate(zip(expected, actual, strict=True)):
            self.same(theirs, ours, f"{place}[{position}]")

    def _same_managed_id(self, content: Mapping[str, Any], actual: object, place: str) -> None:
        parsed = parse_event_id(actual) if isinstance(actual, str) else None
        if parsed is None:
            raise Difference(f"{place}: expected a managed id, got {actual!r}")
        self.same(content, {"uuid": parsed.uuid, "value": parsed.value}, place)

    def _same_text(self, expected: str, actual: object, place: str) -> None:
        if not isinstance(actual, str):
            raise Difference(f"{place}: expected {self._shown(expected)!r}, got {actual!r}")
        if "<" not in expected:
            _expect(expected == actual, place, expected, actual)
            return
        names = _PLACEHOLDER.findall(expected)
        pattern = "".join(
            re.escape(literal) + (f"({self._shape(name)})" if name else "")
            for literal, name in zip(_PLACEHOLDER.split(expected), [*names, ""], strict=True)
        )
        found = re.fullmatch(pattern, actual)
        if found is None:
            raise Difference(f"{place}: expected {self._shown(expected)!r}, got {actual!r}")
        for name, text in zip(names, found.groups(), strict=True):
            self._bind(name, text, place)

    def _shape(self, placeholder: str) -> str:
        if placeholder in self.bound:
            return re.escape(self.bound[placeholder])
        return _SHAPES[placeholder.strip("<>").split(":")[0]]

    def _bind(self, placeholder: str, text: str, place: str) -> None:
        if placeholder in _UNBOUND or placeholder in self.bound:
            return
        for other, bound in self.bound.items():
            if bound == text:
                raise Difference(f"{place}: {text!r} was {other}, now it stands for {placeholder}")
        self.bound[placeholder] = text
        if placeholder.startswith("<subject:"):
            self.same(
                self._subjects[placeholder],
                decode_subject(text),
                f"{place} (decoded {placeholder})",
            )

    def _is_open(self, text: str) -> bool:
        return any(name not in self.bound for name in _PLACEHOLDER.findall(text))

    def _shown(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda name: self.bound.get(name[0], name[0]), text)


def same_order(expected: object, actual: object, place: str) -> None:
    """Compare the order of members of two values that are otherwise the same."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        theirs, ours = (
            [key for key in each if not _INDEX.fullmatch(key)] for each in (expected, actual)
        )
        _expect(theirs == ours, f"{place} (order)", theirs, ours)
        for key in expected:
            same_order(expected[key], actual[key], f"{place}.{key}")
    elif isinstance(expected, list) and isinstance(actual, Sequence):
        for position, (one, other) in enumerate(zip(expected, actual, strict=True)):
            same_order(one, other, f"{place}[{position}]")


def same_indentation(expected: str, actual: str) -> None:
    """Compare how two JSON texts of the same value are laid out."""
    _expect(_depths(expected) == _depths(actual), "indentation", expected, actual)


def _depths(text: str) -> list[int]:
    return [len(line) - len(line.lstrip(" ")) for line in text.split("\n")]


def _object(actual: object, place: str, expected: object) -> Mapping[str, Any]:
    if not isinstance(actual, Mapping):
        raise Difference(f"{place}: expected {expected!r}, got {actual!r}")
    return actual


def _same_scalar(expected: object, actual: object) -> bool:
    if is_number(expected) and is_number(actual):
        # JavaScript has no integers: what it printed is the nearest double.
        theirs, ours = float(str(expected)), float(str(actual))
        return theirs == ours or (theirs != theirs and ours != ours)
    return type(expected) is type(actual) and expected == actual


def _expect(condition: bool, place: str, expected: object, actual: object) -> None:
    if not condition:
        raise Difference(f"{place}: expected {expected!r}, got {actual!r}")
