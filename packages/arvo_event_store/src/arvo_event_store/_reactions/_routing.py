"""Routing: which targets of which reactions an event concerns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from arvo_event_store._errors import UnknownEventError
from arvo_event_store._event import DamagedEvent, Event
from arvo_event_store._names import check_name
from arvo_event_store._scan_page import Mark, UnroutedEvent
from arvo_event_store._target import TargetKind
from arvo_event_store.stores import check_target_key

from ._event_consumer import EventConsumer, Route
from ._failure import error_text

LOG_KEY = "*"
"""The key of the one target of a projection."""


@dataclass(slots=True)
class Routed:
    """What the events of a page concern."""

    targets: dict[tuple[str, str], Mark] = field(default_factory=dict)
    """The targets, by reaction and key."""
    lists: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """The positions to list for those that read a list."""
    unrouted: list[tuple[UnroutedEvent, Exception]] = field(default_factory=list)
    """The events whose route failed, and how."""

    def marks(self) -> list[Mark]:
        """Return the targets as they are stored."""
        for place, positions in self.lists.items():
            self.targets[place].positions = positions
        return [*self.targets.values()]

    @property
    def reactions(self) -> frozenset[str]:
        """The reactions that are concerned."""
        return frozenset(
            (
                *(reaction for reaction, _ in self.targets),
                *(each.reaction for each, _ in self.unrouted),
            )
        )


class Routing:
    """Routes events to the targets of some reactions.

    Args:
        consumers: The reactions; addressed ones are left out.
    """

    def __init__(self, consumers: Iterable[EventConsumer]) -> None:
        self._any: list[EventConsumer] = []
        self._named: dict[str, list[EventConsumer]] = {}
        for consumer in consumers:
            if consumer.spec.addressed:
                continue
            if consumer.spec.events is None:
                self._any.append(consumer)
            for name in consumer.spec.events or ():
                self._named.setdefault(name, []).append(consumer)

    def add(self, routed: Routed, events: Sequence[Event], *, scanned: Mapping[str, int]) -> None:
        """Route events.

        Args:
            routed: What to add the targets to.
            events: The events, in order.
            scanned: The reactions to route to, and up to where each has seen the events.
        """
        for event in events:
            for consumer in (*self._named.get(event.name, ()), *self._any):
                spec = consumer.spec
                seen = scanned.get(spec.name)
                if seen is None or event.position <= seen:
                    continue
                if not event.stream.startswith(spec.stream_prefix):
                    continue
                try:
                    keys = _keys(event, kind=spec.to, route=consumer.route)
                except Exception as error:
                    unrouted = UnroutedEvent(
                        reaction=spec.name, position=event.position, error=error_text(error)
                    )
                    routed.unrouted.append((unrouted, error))
                    continue
                for key in keys:
                    _mark(routed, consumer, key, event)


def _keys(event: Event, *, kind: TargetKind, route: Route | None) -> Sequence[str]:
    if route is None:
        if kind is TargetKind.LOG:
            return (LOG_KEY,)
        if kind is TargetKind.STREAM:
            return (check_target_key(event.stream, path="stream"),)
        return (str(event.position),)
    if isinstance(event, DamagedEvent):
        raise UnknownEventError(event.damage)
    found = route(event)
    if found is None:
        return ()
    if isinstance(found, str):
        found = (found,)
    if not isinstance(found, Sequence):
        raise TypeError(f"a route must return a string, a list of strings or None, got {found!r}")
    names = [check_name(key, path="key") for key in dict.fromkeys(found)]
    return [check_target_key(name, path="key") for name in names]


def _mark(routed: Routed, consumer: EventConsumer, key: str, event: Event) -> None:
    spec = consumer.spec
    mark = routed.targets.get((spec.name, key))
    if mark is None:
        mark = routed.targets[spec.name, key] = Mark(
            reaction=spec.name,
            key=key,
            lane=spec.lane,
            reads=spec.to,
            stream=event.stream if spec.to in (TargetKind.STREAM, TargetKind.EVENT) else None,
            at=event.position - 1,
            mark=event.position,
        )
    mark.mark = event.position
    if spec.to is TargetKind.KEY:
        routed.lists.setdefault((spec.name, key), []).append(event.position)
