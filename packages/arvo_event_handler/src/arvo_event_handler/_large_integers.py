"""Integers that are right as JSON and yet change in JavaScript, whose numbers are doubles."""

from collections.abc import Iterable
from typing import Any

from arvo_core import ArvoEvent
from arvo_time.logs import excerpt

_LARGEST = 2**53
_PLACE_BYTES = 512


def large_integer(event: ArvoEvent) -> str | None:
    """Return where an event holds an integer beyond 2**53; None for nowhere.

    The data, the extensions and `executionunits` are looked at. Of a place of more than 512 bytes
    the middle is cut out.
    """
    found = _find(
        (("data", event.data), ("executionunits", event.executionunits), *event.extensions.items())
    )
    return None if found is None else excerpt(".".join(map(str, found)), max_bytes=_PLACE_BYTES)


def _find(items: Iterable[tuple[Any, object]]) -> tuple[Any, ...] | None:
    for key, item in items:
        if isinstance(item, int):
            if not -_LARGEST <= item <= _LARGEST:
                return (key,)
        elif isinstance(item, dict | list):
            inside = _find(item.items() if isinstance(item, dict) else enumerate(item))
            if inside is not None:
                return (key, *inside)
    return None
