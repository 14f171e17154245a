"""Whatever pydantic can store, as events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import PydanticUserError, TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from arvo_event_store._codec import EventType, NamedEvents, Upcast
from arvo_event_store._json import JsonValue


class PydanticCodec:
    """Stores models, dataclasses and typed dicts by pydantic, under the names of their classes.

    What is stored is the JSON of pydantic, with aliases; it is validated when it is read.

    Args:
        names: The names of events that are not those of their classes.
        upcasts: What to do with data of older schemas.

    Raises:
        TypeError: A setting is of another type.
        ValueError: The upcasts of an event are not those since 1, 2 and so on, each once.
        InvalidEventError: A name breaks the rules for names.

    Example:
        >>> from datetime import date
        >>> from pydantic import BaseModel
        >>> class Booked(BaseModel):
        ...     day: date
        >>> (booked,) = PydanticCodec().event_types([Booked])
        >>> booked.dump(Booked(day=date(2030, 1, 2)))
        {'day': '2030-01-02'}
        >>> booked.load({"day": "2030-01-02"})
        Booked(day=datetime.date(2030, 1, 2))
    """

    def __init__(
        self, *, names: Mapping[type[Any], str] | None = None, upcasts: Sequence[Upcast] = ()
    ) -> None:
        self._named = NamedEvents(names={} if names is None else names, upcasts=upcasts)

    def event_types(self, kinds: Sequence[type[Any]]) -> Sequence[EventType]:
        """See `IEventCodec.event_types`."""
        return self._named.event_types(kinds, converters=_converters)


def _converters(kind: type[Any]) -> tuple[Callable[[Any], JsonValue], Callable[[Any], object]]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        adapter.json_schema(mode="serialization")
    except PydanticUserError as error:
        raise TypeError(f"pydantic cannot store {kind.__name__}: {error}") from error

    def dump(given: Any) -> JsonValue:
        try:
            data: JsonValue = adapter.dump_python(
                given, mode="json", by_alias=True, round_trip=True, warnings="error"
            )
        except PydanticSerializationError as error:
            raise TypeError(f"{kind.__name__} cannot be stored: {error}") from error
        return data

    def load(data: Any) -> object:
        # As JSON, since strict models refuse a string for a time otherwise.
        return adapter.validate_json(to_json(data))

    return dump, load
