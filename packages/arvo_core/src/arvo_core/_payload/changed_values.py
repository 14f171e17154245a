"""Finds where a value differs from the one read back from its written form."""

import math
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from pydantic import BaseModel, PydanticUserError, TypeAdapter
from pydantic_core import to_json

from arvo_core._errors import FieldProblem

_Path: TypeAlias = tuple[str | int, ...]
_STRINGS = (str, bytes, bytearray)
_NATIVE = frozenset({str, int, float, bool, type(None), dict, list})


def changed(value: object, read: object, *, free: bool, path: _Path = ()) -> Iterator[FieldProblem]:
    """Find where `read` differs from `value`.

    Lists, tuples and other sequences are not told apart. Of an instance of a subclass, only the
    members of its base class are compared, since the type promises no more. Private attributes are
    ignored, and instances of one class without `__eq__` count as equal.

    Args:
        value: The original value.
        read: The value read back from its written form.
        free: Whether the content of an `Any` is read as plain JSON; it is then unchanged if its own
            class can read it.
        path: The path of both values.
    """
    match value, read:
        case BaseModel(), BaseModel() if isinstance(value, type(read)):
            pairs = _members_of_models(value, read)
        case _ if is_dataclass(read) and isinstance(value, type(read)):
            pairs = (
                (item.name, getattr(value, item.name, None), getattr(read, item.name, None))
                for item in fields(read)
            )
        case Mapping(), Mapping():
            names = {comparable(name): name for name in read}
            known = {comparable(name): name for name in value}
            lost = [known[key] for key in known.keys() - names.keys()]
            lost = lost or [names[key] for key in names.keys() - known.keys()]
            yield from (_problem((*path, _step(name))) for name in sorted(lost, key=str))
            pairs = (
                (_step(name), value[name], read[names[key]])
                for key, name in known.items()
                if key in names
            )
        case Sequence(), Sequence() if (
            not isinstance(value, _STRINGS)
            and not isinstance(read, _STRINGS)
            and len(value) == len(read)
        ):
            pairs = zip(range(len(read)), value, read, strict=True)
        case _ if is_equal(value, read) or (free and _is_read_by_its_class(value)):
            return
        case _:
            yield _problem(path)
            return
    for name, item, item_read in pairs:
        yield from changed(item, item_read, free=free, path=(*path, name))


def rewritten(written: dict[str, Any], again: dict[str, Any]) -> Iterator[FieldProblem]:
    """Find where two written forms differ, ignoring the order of items, which sets do not have."""
    for problem in changed(_ordered(written), _ordered(again), free=False):
        yield FieldProblem(path=problem.path, message="is written differently after it was read")


def is_equal(value: object, read: object) -> bool:
    """Return whether two values are equal, as far as their class defines it.

    Two instances of one class without `__eq__` are equal, and values that cannot be compared are
    not. NaN equals NaN. Datetimes of one instant are equal even in the hour when a zone's clocks are
    changed, in which Python finds no datetime of another zone equal (PEP 495).
    """
    if type(value) is type(read) and type(value).__eq__ is object.__eq__:
        return True
    try:
        if isinstance(read, AbstractSet) and isinstance(value, Sequence):
            value = set(value)
        return bool(value == read) or bool(comparable(value) == comparable(read))
    except Exception:  # a user's class may refuse to be compared
        return False


def comparable(value: Any) -> Any:
    """Return a stand-in that is equal for equal values, even if Python finds them different."""
    match value:
        case datetime() if value.tzinfo is not None:
            return datetime, value.astimezone(UTC)
        case float() if math.isnan(value):
            return float, "nan"
        case complex():
            return complex, comparable(value.real), comparable(value.imag)
        case Decimal() if value.is_nan():
            return Decimal, str(value)
        case tuple():
            return tuple(map(comparable, value))
        case set() | frozenset():
            return frozenset(map(comparable, value))
        case BaseModel():
            members = {name: value.__dict__.get(name) for name in type(value).model_fields}
            members |= value.__pydantic_extra__ or {}
            return type(value), *((name, comparable(item)) for name, item in members.items())
        case _ if is_dataclass(value) and not isinstance(value, type):
            return type(value), *(comparable(getattr(value, item.name)) for item in fields(value))
        case _:
            return value


def _problem(path: _Path) -> FieldProblem:
    return FieldProblem(path=path, message="is read back as a different value")


def _step(key: object) -> str | int:
    return key if isinstance(key, str | int) else str(key)


def _members_of_models(value: BaseModel, read: BaseModel) -> Iterator[tuple[Any, object, object]]:
    for name in type(read).model_fields:
        yield name, value.__dict__.get(name), read.__dict__.get(name)
    extra, read_extra = value.__pydantic_extra__ or {}, read.__pydantic_extra__ or {}
    # If unknown members are allowed, a computed one is read as if it had been given.
    computed = type(read).model_computed_fields
    written_as = {item.alias or name for name, item in computed.items()}
    for name in {**extra, **read_extra}:
        if name not in written_as:
            yield name, extra.get(name), read_extra.get(name)


def _ordered(value: object) -> object:
    match value:
        case dict():
            return {name: _ordered(item) for name, item in value.items()}
        case list():
            return sorted(map(_ordered, value), key=to_json)
        case _:
            return value


def _is_read_by_its_class(value: object) -> bool:
    kind: Any = type(value)
    adapter = None if kind in _NATIVE else _adapter(kind)
    if adapter is None:
        return False
    try:
        read = adapter.validate_python(adapter.dump_python(value, mode="json", by_alias=True))
    except ValueError:
        return False
    if isinstance(value, BaseModel) or is_dataclass(value):
        return not any(changed(value, read, free=True))
    return is_equal(value, read)


@lru_cache(maxsize=256)
def _adapter(kind: type[Any]) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(kind)
    except PydanticUserError:
        return None
