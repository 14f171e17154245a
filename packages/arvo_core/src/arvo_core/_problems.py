"""Finds what is wrong with a value, place by place: by a walk through it, or from pydantic's error.

Both stop early, because refusing a value must not cost more than accepting one.
"""

import json
import math
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypedDict

from pydantic import ValidationError

from ._errors import MAX_PROBLEMS, FieldProblem
from ._json import DEEPEST, MAX_DEPTH, MAX_INTEGER, NOT_JSON

LONE_SURROGATE = "the string holds a lone surrogate; remove it"
"""Message about a string for which `has_lone_surrogate` is true."""

# Above this number of errors, the beginning of pydantic's JSON of them is read, which takes a fifth
# of the memory of a list.
_READ_AS_JSON_ABOVE = 1_000
# Above this number, even that JSON is too long.
_ONLY_COUNTED_ABOVE = 20_000


class Problems(TypedDict):
    """Arguments for an `InvalidValueError`."""

    problems: list[FieldProblem]
    """The first ones, at most 20."""
    unlisted: int | None
    """How many more there are; None means an unknown number, at least 1."""


def field_problems(error: ValidationError) -> Problems:
    """List the problems that a pydantic error reports, without the values."""
    count = error.error_count()
    if count > _ONLY_COUNTED_ABOVE:
        summary = FieldProblem(path=(), message=f"{count} values are invalid, too many to list")
        return Problems(problems=[summary], unlisted=0)
    as_json = count > _READ_AS_JSON_ABOVE
    found = _read_errors(error) if as_json else error.errors(include_url=False)
    listed: list[FieldProblem] = []
    for item in islice(found, MAX_PROBLEMS):
        # One error may stand for many places.
        listed += islice(_places(item), MAX_PROBLEMS + 1)
    return Problems(
        problems=listed[:MAX_PROBLEMS],
        unlisted=None if len(listed) > MAX_PROBLEMS else max(0, count - MAX_PROBLEMS),
    )


def json_problems(
    value: object, *, path: tuple[str | int, ...] = (), max_depth: int = MAX_DEPTH
) -> list[FieldProblem]:
    """List the first 20 places where `value` is not a JSON object; empty if it is one.

    Args:
        value: An event's data, as given.
        path: The path of `value`, with which every reported path begins.
        max_depth: How many levels below the root a value may be nested.
    """
    found = find_json_problems(value, path=path, max_depth=max_depth)
    return list(islice(found, MAX_PROBLEMS))


def find_json_problems(
    value: object, *, path: tuple[str | int, ...] = (), max_depth: int = MAX_DEPTH
) -> Iterator[FieldProblem]:
    """Find every place that `json_problems` would list, one by one."""
    if isinstance(value, dict):
        return _Walk(path, max_depth).through(value)
    message = f"expected a JSON object, got {type(value).__name__}"
    return iter([FieldProblem(path=path, message=message)])


def has_lone_surrogate(text: str) -> bool:
    """Return whether `text` holds half of a surrogate pair, which UTF-8 and JSON cannot express."""
    if text.isascii():
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


class _Walk:
    """A walk through a value, with the current path and the containers around it."""

    __slots__ = ("_max_depth", "_parents", "_path", "_root")

    def __init__(self, root: tuple[str | int, ...], max_depth: int) -> None:
        self._root = root
        self._max_depth = max_depth
        self._path: list[str | int] = []
        self._parents: set[int] = set()

    def through(self, value: object) -> Iterator[FieldProblem]:
        match value:
            case _ if len(self._parents) > self._max_depth:
                yield self._problem(
                    f"nested more than {self._max_depth} levels deep; flatten the data, "
                    "or raise max_depth of EventLimits"
                )
            case None | bool():
                return
            case int():
                if abs(value) > MAX_INTEGER:
                    yield self._problem(
                        "the integer is beyond 1.8e308, the range of a double; use a string"
                    )
            case str():
                if has_lone_surrogate(value):
                    yield self._problem(LONE_SURROGATE)
            case float():
                if not math.isfinite(value):
                    yield self._problem(f"{value} is not a JSON number; use null or leave it out")
            case dict() | list() if id(value) in self._parents:
                yield self._problem("the container holds itself")
            case dict() | list():
                self._parents.add(id(value))
                yield from self._members(value)
                self._parents.remove(id(value))
            case _:
                yield self._problem(
                    f"{type(value).__name__} is not a JSON value; "
                    "use a string, a number, true, false, null, a list or a dict"
                )

    def _members(self, container: dict[Any, Any] | list[Any]) -> Iterator[FieldProblem]:
        named = isinstance(container, dict)
        items: Iterable[tuple[Any, object]] = (
            container.items() if isinstance(container, dict) else enumerate(container)
        )
        for key, item in items:
            if named and not isinstance(key, str):
                name = type(key).__name__
                yield self._problem(f"a key is of type {name}; JSON object keys are strings")
            elif named and has_lone_surrogate(key):
                yield self._problem("a key holds a lone surrogate; remove it")
            else:
                self._path.append(key)
                yield from self.through(item)
                self._path.pop()

    def _problem(self, message: str) -> FieldProblem:
        return FieldProblem(path=(*self._root, *self._path), message=message)


def _read_errors(error: ValidationError) -> Iterator[dict[str, Any]]:
    """Read pydantic's errors one by one from its JSON of all of them."""
    text = error.json(include_url=False, include_context=False, include_input=False)
    decoder, position = json.JSONDecoder(), 1
    while True:
        item, end = decoder.raw_decode(text, position)
        yield item
        position = end + 1


def _places(item: Any) -> Iterator[FieldProblem]:
    path = tuple(item["loc"])
    if item["type"] == NOT_JSON:
        places = _Walk(path, DEEPEST).through(item["input"]) if "input" in item else iter(())
        first = next(places, FieldProblem(path=path, message=item["msg"]))
        yield from chain((first,), places)
    elif item["type"] == "union_tag_invalid":
        # pydantic's own message shows the given tag.
        context = item.get("ctx", {"discriminator": "its tag", "expected_tags": "those declared"})
        message = f"{context['discriminator']} must be one of {context['expected_tags']}"
        yield FieldProblem(path=path, message=message)
    else:
        yield FieldProblem(path=path, message=item["msg"])
