"""Values that JSON cannot hold, and names that stand for subjects and earlier events."""

import base64
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

JsonObject = Mapping[str, Any]

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, "-0": -0.0}
_SUBJECT = re.compile(r"\$subj:(\w+)")
_REFERENCE = re.compile(r"\$ref:s(\d+)\.e(\d+)\.([\w$.]+)")


def has_foreign_value(value: object) -> bool:
    """Return whether some part of `value` exists in JavaScript only."""
    return any(
        set(part) == {"$js"} and part["$js"] not in _NUMBERS
        for part in _walk(value)
        if isinstance(part, Mapping)
    )


def with_numbers(value: Any) -> Any:
    """Replace each `{"$js": tag}` that is a number by that number."""
    match value:
        case {"$js": str(tag)} if len(value) == 1:
            return _NUMBERS[tag]
        case Mapping():
            return {key: with_numbers(inner) for key, inner in value.items()}
        case list():
            return [with_numbers(item) for item in value]
        case _:
            return value


def encode_subject(content: object) -> str:
    """Encode what an orchestration subject holds, whether or not the content is a valid one."""
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(data)).decode()


def decode_subject(text: str) -> Any:
    """Read what a subject made here or by the library holds, whether or not it is a valid one."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def with_subjects(value: Any, subjects: Mapping[str, object]) -> Any:
    """Replace each `$subj:NAME`, also in keys and within longer texts."""

    def put(text: str) -> str:
        return _SUBJECT.sub(lambda found: encode_subject(subjects[found[1]]), text)

    return _mapped(value, put)


def with_references(value: Any, steps: Sequence[Sequence[JsonObject]]) -> Any:
    """Replace each `$ref:s<step>.e<event>.<field>` by what that event, already emitted, has."""

    def find(reference: re.Match[str]) -> Any:
        found: Any = steps[int(reference[1])][int(reference[2])]
        for name in reference[3].split("."):
            found = found[int(name)] if isinstance(found, list) else found[name]
        return found

    def put(text: str) -> Any:
        if whole := _REFERENCE.fullmatch(text):
            return find(whole)
        return _REFERENCE.sub(lambda reference: str(find(reference)), text)

    return _mapped(value, put)


def _mapped(value: Any, put: Callable[[str], Any]) -> Any:
    match value:
        case str():
            return put(value)
        case Mapping():
            return {put(key): _mapped(inner, put) for key, inner in value.items()}
        case list():
            return [_mapped(item, put) for item in value]
        case _:
            return value


def _walk(value: object) -> Iterator[object]:
    yield value
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)
