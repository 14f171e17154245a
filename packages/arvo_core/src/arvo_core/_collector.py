"""Lets Python's garbage collector rest while a large payload is made.

A payload holds no cycles, so there is nothing to collect. But every object that is made counts, and
with hundreds of thousands of them the collector visits all of them over and over: that takes up to
four times as long as making them.
"""

import gc
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from ._core_schema import nodes

T = TypeVar("T")

_MANY: Final = 1_000
"""Items of a container above which it is worth it."""
_DEPTH: Final = 2
"""Levels that are looked at for such a container."""
_UNBOUNDED: Final = frozenset(
    (
        "any",
        "custom-error",
        "deque",
        "dict",
        "frozenset",
        "generator",
        "json",
        "list",
        "set",
        "tuple",
    )
)


def may_be_large(schema: object) -> bool:
    """Return whether a core schema takes containers of any number of items."""
    return any(node.get("type") in _UNBOUNDED for node in nodes(schema))


def uncollected(call: Callable[[Any], T], data: object) -> T:
    """Return `call(data)`, while the collector rests if the data is large.

    The collector is the process's: other threads do without it as well until the call returns.
    """
    if not (gc.isenabled() and _is_large(data)):
        return call(data)
    gc.disable()
    try:
        return call(data)
    finally:
        gc.enable()


def _is_large(data: object, depth: int = _DEPTH) -> bool:
    items = vars(data) if isinstance(data, BaseModel) else data
    if isinstance(items, list | tuple | set | frozenset):
        return len(items) >= _MANY
    if not isinstance(items, Mapping):
        return False
    if len(items) >= _MANY:
        return True
    return depth > 0 and any(_is_large(item, depth - 1) for item in items.values())
