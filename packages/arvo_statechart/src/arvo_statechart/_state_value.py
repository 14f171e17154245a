"""The status of a machine, and its state value, which consists of keys of states."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["active", "done", "error", "stopped"]
"""Whether a machine takes events, has reached its end, has failed, or was stopped."""

StateValue: TypeAlias = str | dict[str, "StateValue"]
"""The key of the active child, or the value of each active child by its key."""

PartialStateValue: TypeAlias = str | Mapping[str, "PartialStateValue"]
"""A state value that may leave out states, or a path like `"open.waiting"`."""

_LARGEST_INDEX = 2**32 - 2


def in_key_order(keys: Iterable[str]) -> list[str]:
    """Sort keys as JavaScript does: integer-like ones first and ascending, then others as they are."""
    listed = list(keys)
    indexes = [key for key in listed if key[:1].isdigit() and is_index(key)]
    if not indexes:
        return listed
    return sorted(indexes, key=int) + [key for key in listed if not is_index(key)]


def is_index(key: str) -> bool:
    """Return whether a key is integer-like, so that JavaScript sorts it before others."""
    if not (key.isascii() and key.isdigit() and len(key) <= 10):
        return False
    return key == "0" or (key[0] != "0" and int(key) <= _LARGEST_INDEX)


def split_path(path: str) -> list[str]:
    """Split at dots; a backslash escapes the next character."""
    if "\\" not in path:
        return path.split(".")
    keys: list[list[str]] = [[]]
    characters = iter(path)
    for character in characters:
        if character == ".":
            keys.append([])
        else:
            keys[-1].append(next(characters, "") if character == "\\" else character)
    return ["".join(key) for key in keys]


def value_of_path(path: str) -> PartialStateValue:
    """Return the state value of a path: `a.b` is `{"a": "b"}`."""
    *parents, value = split_path(path)
    nested: PartialStateValue = value
    for key in reversed(parents):
        nested = {key: nested}
    return nested


def matches(wanted: PartialStateValue, value: PartialStateValue) -> bool:
    """Return whether all states that `wanted` names are active in `value`."""
    waiting = [(wanted, value)]
    while waiting:
        asked, active = waiting.pop()
        if isinstance(asked, str):
            asked = value_of_path(asked)
        if isinstance(active, str):
            if asked != active:
                return False
        elif isinstance(asked, str):
            if asked not in active:
                return False
        else:
            for key, below in asked.items():
                if key not in active:
                    return False
                waiting.append((below, active[key]))
    return True


def copy_value(value: PartialStateValue) -> StateValue:
    """Return a copy that shares nothing with the original."""
    if isinstance(value, str):
        return value
    copied: dict[str, StateValue] = {}
    waiting = [(value, copied)]
    for original, copy in waiting:
        for key, below in original.items():
            if type(below) is str or not isinstance(below, Mapping):
                copy[key] = below
            else:
                deeper: dict[str, StateValue] = {}
                copy[key] = deeper
                waiting.append((below, deeper))
    return copied
