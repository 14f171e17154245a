"""Dataclasses of JSON values as events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from ._codec import EventType, NamedEvents, Upcast
from ._json import JsonValue

Fits = Callable[[object], bool]


class DataclassCodec:
    """Stores dataclasses whose fields are JSON values, under the names of their classes.

    A field may be a `str`, `int`, `float`, `bool`, `None`, a `Literal` of them, a `list[...]` or
    `dict[str, ...]` of those, a union, or any JSON value: `JsonValue` or `Any`. Types are checked when an
    object is stored and when it is read. For anything else, such as times or nested dataclasses, there
    is `arvo_event_store.pydantic.PydanticCodec`.

    Args:
        names: The names of events that are not those of their classes.
        upcasts: What to do with data of older schemas.

    Raises:
        TypeError: A setting is of another type.
        ValueError: The upcasts of an event are not those since 1, 2 and so on, each once.
        InvalidEventError: A name breaks the rules for names.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Added:
        ...     amount: int
        >>> (added,) = DataclassCodec(names={Added: "added"}).event_types([Added])
        >>> added.name, added.dump(Added(7)), added.load({"amount": 7})
        ('added', {'amount': 7}, Added(amount=7))
    """

    def __init__(
        self, *, names: Mapping[type[Any], str] | None = None, upcasts: Sequence[Upcast] = ()
    ) -> None:
        self._named = NamedEvents(names={} if names is None else names, upcasts=upcasts)

    def event_types(self, kinds: Sequence[type[Any]]) -> Sequence[EventType]:
        """See `IEventCodec.event_types`."""
        return self._named.event_types(kinds, converters=_converters)


def _converters(kind: type[Any]) -> tuple[Callable[[Any], JsonValue], Callable[[Any], object]]:
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} must be a dataclass; {_REMEDY}")
    try:
        # The alias is a string that only its own module can resolve.
        hints = get_type_hints(kind, localns={"JsonValue": Any})
    except Exception as error:
        raise TypeError(
            f"the annotations of {kind.__name__} cannot be resolved: {error}"
        ) from error
    fitting = {each.name: _fits(hints[each.name], kind, each) for each in fields(kind)}
    needed = {
        each.name
        for each in fields(kind)
        if each.default is MISSING and each.default_factory is MISSING
    }

    def dump(given: Any) -> JsonValue:
        data = {name: getattr(given, name) for name in fitting}
        _check(data)
        return data

    def load(data: Any) -> object:
        if not isinstance(data, dict):
            raise TypeError(f"it must be an object, got {data!r}")
        for name in needed - data.keys():
            raise TypeError(f"{kind.__name__}.{name} is missing")
        for name in data.keys() - fitting.keys():
            raise TypeError(f"{kind.__name__} has no field {name!r}")
        _check(data)
        return kind(**data)

    def _check(data: Mapping[str, object]) -> None:
        for name, value in data.items():
            if not fitting[name](value):
                wanted = getattr(hints[name], "__name__", hints[name])
                raise TypeError(f"{kind.__name__}.{name} must be {wanted}, got {value!r}")

    return dump, load


_REMEDY: Final = (
    "DataclassCodec stores dataclasses of JSON values, "
    "`arvo_event_store.pydantic.PydanticCodec` everything else"
)


def _fits(hint: Any, kind: type[Any], field: Field[Any]) -> Fits:
    """Return what tells whether a value fits an annotation."""
    if not field.init:
        raise TypeError(f"{kind.__name__}.{field.name} is not set by the constructor; {_REMEDY}")
    found = _known_fits(hint, lambda inner: _fits(inner, kind, field))
    if found is None:
        name = getattr(hint, "__name__", hint)
        raise TypeError(f"{kind.__name__}.{field.name}: {name} is not a JSON value; {_REMEDY}")
    return found


def _known_fits(hint: Any, inner: Callable[[Any], Fits]) -> Fits | None:
    simple = _SIMPLE.get(hint) if isinstance(hint, type) else None
    if hint is Any or simple is not None:
        return simple or _anything
    if isinstance(hint, NewType):
        return inner(hint.__supertype__)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return inner(arguments[0])
    if origin in {Union, UnionType}:
        options = [inner(argument) for argument in arguments]
        return lambda value: any(fits(value) for fits in options)
    if origin is Literal and all(type(each) in _SIMPLE for each in arguments):
        return lambda value: any(type(value) is type(each) and value == each for each in arguments)
    if origin is list:
        item = inner(arguments[0])
        return lambda value: isinstance(value, list) and all(map(item, value))
    if origin is dict and arguments[0] is str:
        member = inner(arguments[1])
        return lambda value: isinstance(value, dict) and all(map(member, value.values()))
    return None


def _anything(_: object) -> bool:
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SIMPLE: Final[dict[type, Fits]] = {
    str: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: _is_number,
    NoneType: lambda value: value is None,
    list: lambda value: isinstance(value, list),
    dict: lambda value: isinstance(value, dict),
}
