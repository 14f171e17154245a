"""Finds numbers that JSON does not have (NaN, infinities), which pydantic writes as null."""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python


def has_null(dumped: Any) -> bool:
    """Return whether there is a null, which may be a lost number, or a NaN or an infinity."""
    for item in dumped.values() if isinstance(dumped, dict) else dumped:
        if item is None:
            return True
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, (dict, list)) and has_null(item):
            return True
    return False


def plain(value: object) -> Any:
    """Return a value as dicts and lists, without using its type's serializers.

    Members have the names under which the type writes them; sets become lists.
    """
    match value:
        case RootModel():
            return plain(value.root)
        case BaseModel():
            members = {**value.__dict__, **(value.__pydantic_extra__ or {})}
            return _plain_members(members, type(value).model_fields)
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple() | deque() | set() | frozenset():
            return [plain(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            members = {item.name: getattr(value, item.name, None) for item in fields(value)}
            return _plain_members(members, getattr(value, "__pydantic_fields__", {}))
        case _:
            return value


def put_back(held: object, dumped: Any) -> bool:
    """Put NaN and infinities back into `dumped` where it has null instead.

    Args:
        held: The value as written by the serializer in Python mode, or as returned by `plain`.
        dumped: The same value as written by the same serializer in JSON mode.

    Returns:
        True if there are any.
    """
    lost = False
    for key, item in _items(held):
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


def _plain_members(members: Mapping[str, object], described: Mapping[str, FieldInfo]) -> Any:
    aliases = {name: field.serialization_alias for name, field in described.items()}
    return {aliases.get(name) or name: plain(item) for name, item in members.items()}


def _items(held: object) -> Iterable[tuple[Any, object]]:
    match held:
        case dict():
            return held.items()
        case list() | tuple() | set() | frozenset():
            return enumerate(held)
        case _:
            return ()
