"""What consumes events: reactions and projections."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

from typing_extensions import override

from arvo_event_store._codec import EventTypes, IEventCodec
from arvo_event_store._dataclass_codec import DataclassCodec
from arvo_event_store._errors import UnknownEventError
from arvo_event_store._event import DamagedEvent, Event, NewEvent
from arvo_event_store._names import check_name
from arvo_event_store._reaction_spec import ReactionSpec, Start
from arvo_event_store._target import PER_EVENT, PER_STREAM, TargetKind
from arvo_event_store.stores import check_reactions
from arvo_time import RetryPolicy
from arvo_time.settings import check_async, check_instance

from ._call import Batch, ReactionCall

E = TypeVar("E")

Route: TypeAlias = Callable[[Event], str | Sequence[str] | None]
"""Returns the keys that an event concerns; None or an empty list if it concerns none."""
OnExhausted: TypeAlias = Literal["block", "park"]
"""What becomes of an event whose tries are used up: its target stops there, or goes on without it."""

_RETRY: Final = RetryPolicy()


class EventConsumer(ABC):
    """What a `ReactionWorker` runs: a `Reaction` or a `Projection`."""

    def __init__(
        self,
        *,
        name: str,
        on: Sequence[type[Any]],
        handler: Callable[[Any], Awaitable[None]],
        to: TargetKind,
        route: Route | None,
        lane: str,
        retry: RetryPolicy,
        on_exhausted: OnExhausted,
        start: Start,
        stream_prefix: str,
        addressed: bool,
        codec: IEventCodec | None,
    ) -> None:
        where = f"reaction {check_name(name, path='reaction')!r}"
        self._codec: IEventCodec = DataclassCodec() if codec is None else codec
        self._kinds = _event_classes(on, where=where)
        self._emitted: dict[type[Any], EventTypes[Any]] = {}
        self._types: EventTypes[Any] | None = None
        if self._kinds:
            try:
                self._types = EventTypes(self._kinds, codec=self._codec)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{where}: {error}") from error
        check_async(handler, name=f"{where}: handler")
        self.handler: Callable[[Any], Awaitable[None]] = handler
        """What is called."""
        self.retry: RetryPolicy = check_instance(retry, kind=RetryPolicy, name=f"{where}: retry")
        """How often an event is tried again."""
        if on_exhausted not in ("block", "park"):
            raise ValueError(
                f"{where}: on_exhausted must be 'block' or 'park', got {on_exhausted!r}"
            )
        self.on_exhausted: OnExhausted = on_exhausted
        """What becomes of an event whose tries are used up."""
        self.route: Route | None = route
        """Returns the keys that an event concerns; None if its targets are not keys."""
        spec = ReactionSpec(
            name=name,
            events=None if self._types is None else tuple(sorted(self._types.names)),
            to=to,
            lane=lane,
            stream_prefix=stream_prefix,
            addressed=addressed,
            start=start,
        )
        check_reactions([spec], group=name)
        self.spec: ReactionSpec = spec
        """As what it is registered."""

    @property
    def name(self) -> str:
        """Its name, unique in its group."""
        return self.spec.name

    def read(self, event: Event) -> Any:
        """Return the object that an event stores.

        Raises:
            UnknownEventError: Its name or schema is unknown, its data does not fit, or it is damaged.
        """
        if isinstance(event, DamagedEvent):
            raise UnknownEventError(event.damage)
        return event if self._types is None else self._types.read(event)

    def new_event(self, given: object) -> NewEvent:
        """Return the event that stores an object that a handler emits.

        Raises:
            TypeError: The codec cannot store it.
            ValueError: It cannot be stored.
        """
        if isinstance(given, NewEvent):
            return given
        kind = type(given)
        types = self._emitted.get(kind)
        if types is None:
            kinds = self._kinds if kind in self._kinds else (*self._kinds, kind)
            types = self._emitted[kind] = EventTypes(kinds, codec=self._codec)
        return types.new_event(given)

    @abstractmethod
    def parts(self, events: Sequence[Event]) -> list[Sequence[Event]]:
        """Return the events that are handed out together, in order."""


class Reaction(EventConsumer):
    """A handler that is called with events one by one; what it stages is stored once for each event.

    Args:
        name: Its name, unique in its group. What it has done is kept under this name.
        on: The classes of the events it takes, or `[Event]` for all, as they are.
        handler: An `async def` function. It runs at least once for each event. It may raise `Reject`,
            `Postpone`, or any exception to be tried again.
        to: What its targets are: `PER_STREAM`, `PER_EVENT`, or a function that returns the keys that
            an event concerns. The events of a target are handled in order, those of different targets
            at the same time.
        lane: The lane of its targets.
        retry: How often and after which pauses a failed event is tried again.
        on_exhausted: What becomes of an event whose tries are used up. None is "park" with `PER_EVENT`,
            else "block".
        start: Where it begins when it is registered for the first time: "beginning", "now" or after a
            position.
        stream_prefix: How the names of the streams begin whose events it takes, literally.
        addressed: Whether only appends with `Wake` set it going, so that it needs no scan.
        codec: How events are stored; None is a `DataclassCodec()`.

    Raises:
        TypeError: A setting is of another type, the handler is not async, or the codec cannot store a
            class; the message names the reaction.
        ValueError: `on` is empty, has a class twice, or `Event` beside others; `to`, `on_exhausted` or
            `start` is none of the choices; or it is addressed and its targets are keys.
        InvalidEventError: A name breaks the rules for names.
    """

    def __init__(
        self,
        *,
        name: str,
        on: Sequence[type[E]],
        handler: Callable[[ReactionCall[E]], Awaitable[None]],
        to: TargetKind | Route = PER_STREAM,
        lane: str = "default",
        retry: RetryPolicy = _RETRY,
        on_exhausted: OnExhausted | None = None,
        start: Start = "beginning",
        stream_prefix: str = "",
        addressed: bool = False,
        codec: IEventCodec | None = None,
    ) -> None:
        kind = _target_kind(to, name=name)
        if on_exhausted is None:
            on_exhausted = "park" if kind is PER_EVENT else "block"
        super().__init__(
            name=name,
            on=on,
            handler=handler,
            to=kind,
            route=None if isinstance(to, TargetKind) else to,
            lane=lane,
            retry=retry,
            on_exhausted=on_exhausted,
            start=start,
            stream_prefix=stream_prefix,
            addressed=addressed,
            codec=codec,
        )

    @override
    def parts(self, events: Sequence[Event]) -> list[Sequence[Event]]:
        return [(event,) for event in events]


class Projection(EventConsumer):
    """A handler that is called with all events of its classes, in the order of the log, in batches.

    Args:
        name: See `Reaction`.
        on: See `Reaction`.
        handler: An `async def` function. It gets each event at least once.
        lane: See `Reaction`.
        retry: See `Reaction`.
        on_exhausted: What becomes of an event whose tries are used up; "block" stops the projection.
        start: See `Reaction`.
        stream_prefix: See `Reaction`.
        codec: See `Reaction`.

    Raises:
        TypeError: See `Reaction`.
        ValueError: See `Reaction`.
        InvalidEventError: A name breaks the rules for names.
    """

    def __init__(
        self,
        *,
        name: str,
        on: Sequence[type[E]],
        handler: Callable[[Batch[E]], Awaitable[None]],
        lane: str = "default",
        retry: RetryPolicy = _RETRY,
        on_exhausted: OnExhausted = "block",
        start: Start = "beginning",
        stream_prefix: str = "",
        codec: IEventCodec | None = None,
    ) -> None:
        super().__init__(
            name=name,
            on=on,
            handler=handler,
            to=TargetKind.LOG,
            route=None,
            lane=lane,
            retry=retry,
            on_exhausted=on_exhausted,
            start=start,
            stream_prefix=stream_prefix,
            addressed=False,
            codec=codec,
        )

    @override
    def parts(self, events: Sequence[Event]) -> list[Sequence[Event]]:
        return [events]


def _event_classes(on: Sequence[type[E]], *, where: str) -> Sequence[type[E]]:
    """Return the classes of events; none if it is any event, as it is."""
    check_instance(on, kind=Sequence, name=f"{where}: on")  # type: ignore[type-abstract]
    if not all(isinstance(each, type) for each in on):
        raise TypeError(f"{where}: on must be a list of classes, got {on!r}")
    if not on:
        raise ValueError(f"{where}: on must not be empty; [Event] takes every event")
    if Event not in on:
        return tuple(on)
    if len(on) > 1:
        raise ValueError(f"{where}: on must not have other classes beside Event")
    return ()


def _target_kind(to: object, *, name: str) -> TargetKind:
    if to is PER_STREAM or to is PER_EVENT:
        return to
    if not isinstance(to, TargetKind) and callable(to):
        return TargetKind.KEY
    raise ValueError(
        f"reaction {name!r}: to must be PER_STREAM, PER_EVENT or a function that returns keys, "
        f"got {to!r}"
    )
