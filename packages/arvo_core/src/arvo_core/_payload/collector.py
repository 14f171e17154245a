"""Keeps Python's garbage collector from running while a large payload is made.

A payload has no cycles, so there is nothing to collect. But the collector runs again and again as
objects are made, and visits all of them each time: with hundreds of thousands of objects that takes
up to four times as long as making them.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from .core_schema import nodes

T = TypeVar("T")

_LARGE_ITEMS: Final = 1_000
"""Number of items from which a container is large enough for this to pay."""
_UNREACHABLE: Final = 2**31 - 2
"""A threshold that is never reached, and that nobody else would choose."""
_SIZED: Final = frozenset((dict, frozenset, list, set, tuple))
_UNBOUNDED: Final = frozenset(
    ("any", "dict", "frozenset", "generator", "json", "list", "set", "tuple")
)


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keep the garbage collector from running while many objects without cycles are made.

    The collector belongs to the process, so it does not run for other threads either until the
    block ends. It stays enabled; only its threshold is raised, out of reach. If another thread
    disables it or sets a threshold meanwhile, that remains. Run no user code in the block, since it
    could observe the raised threshold.

    Example:
        >>> with collector_at_rest():
        ...     numbers = [[number] for number in range(100_000)]
    """
    first, *others = gc.get_threshold()
    if first in (_UNREACHABLE, 0) or not gc.isenabled():
        yield
        return
    gc.set_threshold(_UNREACHABLE, *others)
    try:
        yield
    finally:
        if gc.get_threshold()[0] == _UNREACHABLE:
            gc.set_threshold(first, *others)


def may_be_large(schema: object) -> bool:
    """Return whether a core schema accepts containers with any number of items."""
    return any(node.get("type") in _UNBOUNDED for node in nodes(schema))


def uncollected(call: Callable[[Any], T], data: object) -> T:
    """Return `call(data)`; the collector does not run meanwhile if the data is large.

    Args:
        call: Must not run the user's serializers and validators; see `collector_at_rest`.
        data: The argument of `call`.
    """
    if not _is_large(data):
        return call(data)
    with collector_at_rest():
        return call(data)


def _is_large(data: object) -> bool:
    # Small payloads pay for this check too, so it is shallow: it looks at the members of an object
    # and at those of the objects among them.
    members = data if type(data) is dict else getattr(data, "__dict__", None)
    if members is None:
        return False
    if len(members) >= _LARGE_ITEMS:
        return True
    for item in members.values():
        kind = type(item)
        if kind in _SIZED and (len(item) >= _LARGE_ITEMS or (kind is dict and _has_many(item))):
            return True
    return False


def _has_many(members: dict[str, Any]) -> bool:
    return any(type(item) in _SIZED and len(item) >= _LARGE_ITEMS for item in members.values())
