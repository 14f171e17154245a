"""State values: where a machine is, as keys of its states."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

StateValue: TypeAlias = str | dict[str, "StateValue"]
"""The key of the active child, or the value of each active child by its key."""

PartialStateValue: TypeAlias = str | Mapping[str, "PartialStateValue"]
"""A state value that may leave out what does not matter, or a path like `"open.waiting"`."""

_LARGEST_INDEX = 2**32 - 2


def in_key_order(keys: Iterable[str]) -> list[str]:
    """Sort keys as JavaScript does: integer-like ones first and ascending, others as they come."""
    listed = list(keys)
    indexes = [key for key in listed if key[:1].isdigit() and _is_index(key)]
    if not indexes:
        return listed
    return sorted(indexes, key=int) + [key for key in listed if not _is_index(key)]


def _is_index(key: str) -> bool:
    if not (key.isascii() and key.isdigit() and len(key) <= 10):
        return False
    return key == "0" or (key[0] != "0" and int(key) <= _LARGEST_INDEX)


def split_path(path: str) -> list[str]:
    """Split at dots; a backslash takes the next character as it is."""
    if "\\" not in path:
        return path.split(".")
    keys = [""]
    characters = iter(path)
    for character in characters:
        if character == ".":
            keys.append("")
        else:
            keys[-1] += next(characters, "") if character == "\\" else character
    return keys


def value_of_path(path: str) -> PartialStateValue:
    """Return the state value that a path stands for: `a.b` is `{"a": "b"}`."""
    *parents, value = split_path(path)
    nested: PartialStateValue = value
    for key in reversed(parents):
        nested = {key: nested}
    return nested


def matches(wanted: PartialStateValue, value: PartialStateValue) -> bool:
    """Whether everything that `wanted` names is active in `value`."""
    if isinstance(wanted, str):
        wanted = value_of_path(wanted)
    if isinstance(value, str):
        return wanted == value
    if isinstance(wanted, str):
        return wanted in value
    return all(key in value and matches(below, value[key]) for key, below in wanted.items())


def copy_value(value: StateValue) -> StateValue:
    """Return a copy that shares nothing with the original."""
    if isinstance(value, str):
        return value
    return {
        key: below if isinstance(below, str) else copy_value(below) for key, below in value.items()
    }
