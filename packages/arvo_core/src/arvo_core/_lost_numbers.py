"""Numbers that are no JSON, which pydantic writes as null."""

import math
from collections.abc import Iterable
from typing import Any

from pydantic_core import to_jsonable_python


def has_null(dumped: Any) -> bool:
    """Tell whether there is a null, which may be a lost number, or a number that is no JSON."""
    for item in dumped.values() if isinstance(dumped, dict) else dumped:
        if item is None:
            return True
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, (dict, list)) and has_null(item):
            return True
    return False


def put_back(plain: object, dumped: Any) -> bool:
    """Put numbers that are no JSON into `dumped` where it has null instead.

    Args:
        plain: What the serializer writes in Python mode.
        dumped: What the same serializer writes of the same value in JSON mode.

    Returns:
        Whether there are any.
    """
    lost = False
    for key, item in _items(plain):
        if isinstance(dumped, dict):
            key = key if isinstance(key, str) else next(iter(to_jsonable_python({key: None})))
            if key not in dumped:
                continue
        elif not isinstance(dumped, list) or key >= len(dumped):
            continue
        if not isinstance(item, float):
            lost = put_back(item, dumped[key]) or lost
        elif not math.isfinite(item) and isinstance(dumped[key], float | None):
            dumped[key] = item
            lost = True
    return lost


def _items(plain: object) -> Iterable[tuple[Any, object]]:
    match plain:
        case dict():
            return plain.items()
        case list() | tuple() | set() | frozenset():
            return enumerate(plain)
        case _:
            return ()
