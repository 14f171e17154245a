"""Between the objects of a program and the events of the log."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from arvo_time.settings import check_callable, check_count, check_instance

from ._errors import UnknownEventError
from ._event import Event, NewEvent
from ._json import JsonValue
from ._names import check_name

E = TypeVar("E")

SCHEMA: Final = "schema"
"""The member of an event's meta that has the schema of its data, if that is not 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcast:
    """How older data of an event is turned into the next schema.

    An event has schema 0 until there is an upcast for it, and then that of its last one. The number is
    stored in the event's meta, as `schema`.

    Raises:
        TypeError: A field is of another type.
        ValueError: `since` is below 1.
        InvalidEventError: The name breaks the rules for names.

    Example:
        >>> upcast = Upcast(event="Added", since=1, function=lambda data: {"amount": data["n"]})
        >>> upcast.function({"n": 7})
        {'amount': 7}
    """

    event: str
    """The name of the event."""
    since: int
    """The schema that `function` gives, from 1; it takes the one before."""
    function: Callable[[Any], Any]
    """Returns the data of schema `since`, given that of the schema before."""

    def __post_init__(self) -> None:
        check_name(self.event, path="event")
        check_count(self.since, name="since", least=1)
        check_callable(self.function, name="function")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """How events of one class are stored."""

    kind: type[Any]
    """The class of the objects."""
    name: str
    """The name of the events."""
    dump: Callable[[Any], JsonValue]
    """Returns the data of an object, or raises a TypeError or ValueError."""
    load: Callable[[Any], object]
    """Returns the object of data that has the newest schema, or raises any exception."""
    upcasts: Sequence[Callable[[Any], Any]] = ()
    """What to do with older data, beginning with that of schema 0."""


class IEventCodec(Protocol):
    """Knows how to store objects as events; `DataclassCodec` is one."""

    def event_types(self, kinds: Sequence[type[Any]]) -> Sequence[EventType]:
        """Return how events of these classes are stored, each once.

        Raises:
            TypeError: One of them cannot be stored.
            ValueError: The settings of the codec do not fit them.
        """
        ...


class EventTypes(Generic[E]):
    """The events that a program knows, by class and by name.

    Raises:
        TypeError: `kinds` is not a sequence of classes, or the codec cannot store one.
        ValueError: There are none, one comes twice, or two have the same name.
    """

    def __init__(self, kinds: Sequence[type[E]], *, codec: IEventCodec) -> None:
        _check_list(kinds, of=type, name="events")
        if not kinds:
            raise ValueError("events must not be empty")
        if len({*kinds}) < len(kinds):
            raise ValueError("a class comes twice in events")
        types = codec.event_types(kinds)
        self._by_kind = {each.kind: each for each in types}
        self._by_name = {each.name: each for each in types}
        if len(self._by_name) < len(types):
            names = sorted(each.name for each in types)
            raise ValueError(f"two classes must not have the same event name: {', '.join(names)}")

    @property
    def names(self) -> Collection[str]:
        """The names of the events."""
        return self._by_name.keys()

    def new_event(self, given: E) -> NewEvent:
        """Return the event that stores an object.

        Raises:
            TypeError: It is of another class, or a field is of another type.
            ValueError: It cannot be stored.
        """
        found = self._by_kind.get(type(given))
        if found is None:
            known = ", ".join(kind.__name__ for kind in self._by_kind)
            raise TypeError(f"an event must be one of {known}, got {given!r}")
        schema = len(found.upcasts)
        meta: dict[str, JsonValue] = {SCHEMA: schema} if schema else {}
        return NewEvent(found.name, found.dump(given), meta=meta)

    def read(self, event: Event) -> E:
        """Return the object that an event stores.

        Raises:
            UnknownEventError: Its name or schema is unknown, or its data does not fit.
        """
        return self._read(
            event.name, event.data, event.meta, where=f"{event.stream!r}, version {event.version}"
        )

    def read_new(self, event: NewEvent) -> E:
        """Return the object that an event will give once it is stored.

        Raises:
            UnknownEventError: It could not be read.
        """
        return self._read(event.name, event.data, event.meta, where="a new event")

    def _read(self, name: str, data: Any, meta: Mapping[str, Any], *, where: str) -> E:
        found = self._by_name.get(name)
        if found is None:
            known = ", ".join(sorted(self._by_name))
            raise UnknownEventError(f"{where}: {name!r} is not one of the known events: {known}")
        schema = meta.get(SCHEMA, 0)
        newest = len(found.upcasts)
        if not isinstance(schema, int) or isinstance(schema, bool) or not 0 <= schema <= newest:
            raise UnknownEventError(
                f"{where}: {name!r} has schema {schema!r}, and this program knows it up to {newest}"
            )
        try:
            for upcast in found.upcasts[schema:]:
                data = upcast(data)
            loaded: E = found.load(data)  # type: ignore[assignment] # `kind` says so
        except Exception as error:
            raise UnknownEventError(
                f"{where}: the data of {name!r} does not fit: {error}"
            ) from error
        return loaded


def _check_list(value: object, *, of: type, name: str) -> None:
    if not isinstance(value, Sequence) or not all(isinstance(each, of) for each in value):
        kind = "classes" if of is type else of.__name__
        raise TypeError(f"{name} must be a list of {kind}, got {value!r}")


Converters = Callable[[type[Any]], tuple[Callable[[Any], JsonValue], Callable[[Any], object]]]


class NamedEvents:
    """What codecs share: names of events other than those of their classes, and upcasts.

    Raises:
        TypeError: A setting is of another type.
        ValueError: The upcasts of an event are not those since 1, 2 and so on, each once.
        InvalidEventError: A name breaks the rules for names.
    """

    def __init__(self, *, names: Mapping[type[Any], str], upcasts: Sequence[Upcast]) -> None:
        check_instance(names, kind=Mapping, name="names")  # type: ignore[type-abstract]
        for kind, name in names.items():
            check_instance(kind, kind=type, name="names")
            check_name(name, path="names")
        self._names = dict(names)
        self._upcasts: dict[str, list[Callable[[Any], Any]]] = {}
        _check_list(upcasts, of=Upcast, name="upcasts")
        for upcast in sorted(upcasts, key=lambda each: (each.event, each.since)):
            functions = self._upcasts.setdefault(upcast.event, [])
            functions.append(upcast.function)
            if upcast.since != len(functions):
                raise ValueError(
                    f"the upcasts of {upcast.event!r} must be those since 1, 2 and so on, each once; "
                    f"{len(functions)} is missing or comes twice"
                )

    def event_types(
        self, kinds: Sequence[type[Any]], *, converters: Converters
    ) -> Sequence[EventType]:
        """Return how events of these classes are stored.

        Args:
            kinds: The classes.
            converters: Returns how objects of a class are dumped and loaded.

        Raises:
            TypeError: `converters` cannot store one.
            ValueError: A name or an upcast is for none of them.
        """
        others = [kind.__name__ for kind in self._names if kind not in kinds]
        if others:
            raise ValueError(f"names has classes that are not in events: {', '.join(others)}")
        names = {kind: self._names.get(kind, kind.__name__) for kind in kinds}
        unknown = sorted({*self._upcasts} - {*names.values()})
        if unknown:
            raise ValueError(f"there are upcasts for events that nobody has: {', '.join(unknown)}")
        types: list[EventType] = []
        for kind, name in names.items():
            dump, load = converters(kind)
            upcasts = tuple(self._upcasts.get(name, ()))
            types.append(EventType(kind=kind, name=name, dump=dump, load=load, upcasts=upcasts))
        return types
