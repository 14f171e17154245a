"""The rules for JSON, and the one way it is written and read: the same text on every store.

What is stored must come back equal, in every language. So lists and dicts with string keys, strings,
numbers that fit a double's range, booleans and None are JSON, and nothing else: a tuple would come back
as a list, a key 1 as "1".
"""

import json
import sys
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, TypeAlias

from ._errors import InvalidEventError

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"
"""A JSON value. Integers are exact up to the range of a double, about 1.8e308."""

MAX_DEPTH: Final = 256
"""How many containers may be nested in each other."""
MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""How long the JSON of an event's data may be by default, in bytes of UTF-8; its `meta` and `private`
likewise, and the state of a snapshot."""

_MAX_INTEGER: Final = int(sys.float_info.max)
_encode: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode
# What `json.loads` calls in the end: by itself, it takes half the time for what an event usually has. The
# stubs of the module lack it.
_scan: Final[Callable[[str, int], tuple[Any, int]]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def to_json(
    value: object,
    *,
    max_bytes: int,
    path: str,
    stream: str | None = None,
    event: int | None = None,
) -> str:
    """Return the JSON text of a value, compact, members in their order.

    Args:
        value: What to write; it is not changed.
        max_bytes: How long the text may be, in bytes of UTF-8.
        path: What it is, for errors, such as "data".
        stream: The stream that the call is about, for errors; None if there is none.
        event: The number of the event in its append, for errors; None if it is not of an event.

    Raises:
        InvalidEventError: It is not JSON, nested too deeply, or too long.

    Example:
        >>> to_json({"amount": 7, "notes": []}, max_bytes=1000, path="data")
        '{"amount":7,"notes":[]}'
    """
    problem = _problem(value, MAX_DEPTH)
    if problem is not None:
        where, why = problem
        raise InvalidEventError(why, stream=stream, event=event, path=f"{path}{where}")
    text = _encode(value)
    length = len(text)
    if length * 3 > max_bytes and not text.isascii():
        length = len(text.encode())
    if length > max_bytes:
        raise InvalidEventError(
            f"has {length} bytes as JSON; at most {max_bytes} are allowed (`max_payload_bytes`)",
            stream=stream,
            event=event,
            path=path,
        )
    return text


def from_json(text: str | bytes) -> Any:
    """Return the value of a JSON text that `to_json` wrote: new containers each time.

    Raises:
        ValueError: It is not JSON.
    """
    if isinstance(text, str):
        try:
            value, end = _scan(text, 0)
        except (StopIteration, ValueError):
            pass  # damaged, or with a space in front
        else:
            if end == len(text):
                return value
    return json.loads(text)


def _problem(value: object, depth: int) -> tuple[str, str] | None:
    """Return where the first value is that is not JSON, and why; None if there is none."""
    if isinstance(value, str):
        return None if value.isascii() or _is_encodable(value) else ("", _SURROGATE)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if -_MAX_INTEGER <= value <= _MAX_INTEGER else ("", _TOO_LARGE)
    if isinstance(value, float):
        return None if isfinite(value) else ("", f"must be finite, got {value}")
    if isinstance(value, dict):
        return _member_problem(value, depth) if depth else ("", _TOO_DEEP)
    if isinstance(value, list):
        return _item_problem(value, depth) if depth else ("", _TOO_DEEP)
    return "", f"is of type {type(value).__name__}, which is not JSON"


def _member_problem(value: dict[Any, Any], depth: int) -> tuple[str, str] | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return "", f"must have strings as keys, got {key!r}"
        if not key.isascii() and not _is_encodable(key):
            return "", "must not have a key with a lone surrogate"
        if type(item) is str and item.isascii():
            continue  # as the call says too, which takes longer
        found = _problem(item, depth - 1)
        if found is not None:
            return f".{key}{found[0]}", found[1]
    return None


def _item_problem(value: list[Any], depth: int) -> tuple[str, str] | None:
    for index, item in enumerate(value):
        found = _problem(item, depth - 1)
        if found is not None:
            return f"[{index}]{found[0]}", found[1]
    return None


_SURROGATE: Final = "must not contain a lone surrogate"
_TOO_LARGE: Final = "must be within the range of a double"
_TOO_DEEP: Final = f"must not be nested more than {MAX_DEPTH} deep"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
