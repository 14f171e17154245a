"""Lets Python's garbage collector rest while a large payload is made.

A payload holds no cycles, so there is nothing to collect. But every object that is made counts, and
with hundreds of thousands of them the collector visits all of them over and over: that takes up to
four times as long as making them.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from .core_schema import nodes

T = TypeVar("T")

_MANY: Final = 1_000
"""Items of a container above which it is worth it."""
_OUT_OF_REACH: Final = 2**31 - 2
"""More objects than are ever made between two collections, and no value that others choose."""
_SIZED: Final = frozenset((dict, frozenset, list, set, tuple))
_UNBOUNDED: Final = frozenset(
    ("any", "dict", "frozenset", "generator", "json", "list", "set", "tuple")
)


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Let the garbage collector rest while many objects without cycles are made.

    The collector is the process's: other threads do without it as well until the block ends. So
    nothing is changed that they may rely on. It stays enabled, and its threshold alone is raised,
    out of reach; a thread that disables the collector meanwhile, or sets a threshold, has its way.
    Run none of the user's code within, which could meet that threshold.

    Example:
        >>> with collector_at_rest():
        ...     numbers = [[number] for number in range(100_000)]
    """
    first, *others = gc.get_threshold()
    if first in (_OUT_OF_REACH, 0) or not gc.isenabled():
        yield
        return
    gc.set_threshold(_OUT_OF_REACH, *others)
    try:
        yield
    finally:
        if gc.get_threshold()[0] == _OUT_OF_REACH:
            gc.set_threshold(first, *others)


def may_be_large(schema: object) -> bool:
    """Return whether a core schema takes containers of any number of items."""
    return any(node.get("type") in _UNBOUNDED for node in nodes(schema))


def uncollected(call: Callable[[Any], T], data: object) -> T:
    """Return `call(data)`, while the collector rests if the data is large.

    Args:
        call: Runs none of the user's serializers and validators; see `collector_at_rest`.
        data: What it is given.
    """
    if not _is_large(data):
        return call(data)
    with collector_at_rest():
        return call(data)


def _is_large(data: object) -> bool:
    # Small payloads pay for this look, so it is a short one: into the members of an object, and
    # into those of the objects among them.
    members = data if type(data) is dict else getattr(data, "__dict__", None)
    if members is None:
        return False
    if len(members) >= _MANY:
        return True
    for item in members.values():
        kind = type(item)
        if kind in _SIZED and (len(item) >= _MANY or (kind is dict and _has_many(item))):
            return True
    return False


def _has_many(members: dict[str, Any]) -> bool:
    return any(type(item) in _SIZED and len(item) >= _MANY for item in members.values())
