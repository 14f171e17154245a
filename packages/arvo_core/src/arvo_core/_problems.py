"""What is wrong with a value, place by place: found by a walk through it, or told by pydantic.

Both stop early, for a value that is refused must not cost more than one that is accepted.
"""

import json
import math
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypedDict

from pydantic import ValidationError

from ._errors import MAX_PROBLEMS, FieldProblem
from ._json import DEEPEST, MAX_DEPTH, MAX_INTEGER, NOT_JSON

LONE_SURROGATE = "the text holds a lone surrogate; remove it"
"""What is wrong with text that `has_lone_surrogate`."""

# Above this many errors pydantic is asked for their text, which takes a fifth of the memory and of
# which the beginning is read; above that many even the text is too long.
_READ_AS_TEXT_ABOVE = 1_000
_COUNTED_ONLY_ABOVE = 20_000


class Problems(TypedDict):
    """Arguments of an `InvalidValueError`."""

    problems: list[FieldProblem]
    """The first ones."""
    unlisted: int | None
    """How many more there are; None for some."""


def field_problems(error: ValidationError) -> Problems:
    """List what a pydantic error complains about, without the values it saw."""
    count = error.error_count()
    if count > _COUNTED_ONLY_ABOVE:
        told = FieldProblem(path=(), message=f"{count} values do not fit, too many to list")
        return Problems(problems=[told], unlisted=0)
    as_text = count > _READ_AS_TEXT_ABOVE
    found = _read_errors(error) if as_text else error.errors(include_url=False)
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
    """List where `value` is not a JSON object: the first 20 places; empty when it is one.

    Args:
        value: What was given as an event's data.
        path: Where it stands; leads every reported path.
        max_depth: How many levels a value may stand below the root.
    """
    found = find_json_problems(value, path=path, max_depth=max_depth)
    return list(islice(found, MAX_PROBLEMS))


def find_json_problems(
    value: object, *, path: tuple[str | int, ...] = (), max_depth: int = MAX_DEPTH
) -> Iterator[FieldProblem]:
    """Find what `json_problems` lists, place after place, to the last one."""
    if isinstance(value, dict):
        return _Walk(path, max_depth).through(value)
    told = f"expected a JSON object, got {type(value).__name__}"
    return iter([FieldProblem(path=path, message=told)])


def has_lone_surrogate(text: str) -> bool:
    """Tell whether `text` holds half of a pair, which UTF-8 and so JSON cannot express."""
    if text.isascii():
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


class _Walk:
    """One walk through a value: the place where it stands, and the containers around it."""

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
                    yield self._problem("the integer is beyond 1.8e308, a double; use text")
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
                    "use text, a number, true, false, null, a list or a dict"
                )

    def _members(self, container: dict[Any, Any] | list[Any]) -> Iterator[FieldProblem]:
        named = isinstance(container, dict)
        items: Iterable[tuple[Any, object]] = (
            container.items() if isinstance(container, dict) else enumerate(container)
        )
        for key, item in items:
            if named and not isinstance(key, str):
                name = type(key).__name__
                yield self._problem(f"a key is of type {name}; JSON object keys are text")
            elif named and has_lone_surrogate(key):
                yield self._problem("a key holds a lone surrogate; remove it")
            else:
                self._path.append(key)
                yield from self.through(item)
                self._path.pop()

    def _problem(self, message: str) -> FieldProblem:
        return FieldProblem(path=(*self._root, *self._path), message=message)


def _read_errors(error: ValidationError) -> Iterator[dict[str, Any]]:
    """Read pydantic's errors one by one from the text that it writes of all of them."""
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
        # pydantic's own words show the tag that was given.
        context = item.get("ctx", {"discriminator": "its tag", "expected_tags": "those declared"})
        words = f"{context['discriminator']} must be one of {context['expected_tags']}"
        yield FieldProblem(path=path, message=words)
    else:
        yield FieldProblem(path=path, message=item["msg"])
