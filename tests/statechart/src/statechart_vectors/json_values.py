"""The small language of paths and templates in which the cases speak about data."""

from collections.abc import Mapping
from typing import Any

_MISSING = object()


def at_path(value: object, path: str) -> object:
    """Return the value at a dotted path; None if there is none."""
    found = _find(value, path)
    return None if found is _MISSING else found


def _find(value: object, path: str) -> object:
    for key in path.split(".") if path else ():
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _MISSING
    return value


def fill(template: object, sources: Mapping[str, object]) -> Any:
    """Return the template with its references to the sources resolved."""
    if isinstance(template, list):
        return [fill(item, sources) for item in template]
    if not isinstance(template, Mapping):
        return template
    if len(template) == 1:
        ((key, path),) = template.items()
        if key in {"$ctx", "$event", "$input"}:
            return at_path(sources[key], path)
    return {key: fill(item, sources) for key, item in template.items()}


def mentions(template: object, reference: str) -> bool:
    """Return whether a template refers to a source."""
    if isinstance(template, list):
        return any(mentions(item, reference) for item in template)
    if not isinstance(template, Mapping):
        return False
    if list(template) == [reference]:
        return True
    return any(mentions(item, reference) for item in template.values())


def same(one: object, other: object) -> bool:
    """Return whether two JSON values are equal; the order of an object's keys does not count."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def is_number(value: object) -> bool:
    """Return whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
