"""Publishes events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_redis import Word
from arvo_transport import Output, TopicState, TransportError, address_of, delivery_id

from ._namespace import Namespace
from ._outgoing import DUPLICATES_DROPPED, Outgoing, event_json
from ._scripts import PUBLISH

_MOST_AT_ONCE: Final = 100
_MOST_BYTES_AT_ONCE: Final = 1024 * 1024
_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class _Event:
    event: ArvoEvent
    topic: str
    text: bytes


class Publisher:
    """Stores events that no delivery has caused."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    async def publish(
        self, events: Sequence[ArvoEvent], *, at: datetime | None, again: str
    ) -> None:
        """Store events; see `IEventTransport.publish`."""
        if at is not None and at.tzinfo is None:
            raise ValueError("at must have a time zone, as in datetime.now(UTC)")
        found = [_Event(event, address_of(event), event_json(event)) for event in events]
        await self._check_topics(found, at=at)
        stored: list[ArvoEvent] = []
        for some in _batches(found):
            try:
                await self._store(some, at=at, again=again)
            except TransportError as error:
                error.stored = tuple(stored)
                raise
            stored += (each.event for each in some)

    async def _check_topics(self, events: Sequence[_Event], *, at: datetime | None) -> None:
        registry = self._namespace.registry
        layout = await registry.layout()
        if not layout.topics.keys() >= {each.topic for each in events}:
            layout = await registry.layout(fresh=True)
        for each in events:
            state = layout.topics.get(each.topic)
            if state is None:
                raise UnroutableError(each.event)
            if at is not None:
                _check_delays(state)

    async def _store(self, some: Sequence[_Event], *, at: datetime | None, again: str) -> None:
        keys = self._namespace.keys

        async def run(outgoing: Outgoing) -> Any:
            words: list[Word] = []
            if at is not None:  # in the layout that it is stored by, which may be newer
                for each in some:
                    _check_delays(outgoing.layout.topics[each.topic])
            for each in some:
                mark = delivery_id(each.event, topic=each.topic, again=again)
                if at is None:
                    output = Output(each.event, topic=each.topic)
                    stored = tuple(outgoing.event(output, again=again, text=each.text))
                else:
                    stored = tuple(
                        outgoing.delayed(each.text, topic=each.topic, due=at, again=again, tag=mark)
                    )
                words += (keys.duplicate(mark), len(stored), *stored)
            return await self._namespace.server.run(
                PUBLISH,
                keys.registry,
                keys.layout,
                outgoing.layout.version,
                DUPLICATES_DROPPED // _MS,
                *words,
            )

        await self._namespace.store((each.topic for each in some), run)


def _check_delays(state: TopicState) -> None:
    if state.order != "none" or state.kind == "answers":
        raise ValueError(
            f"topic {state.name!r} has an order or is for answers, so nothing can be published to "
            "it for later"
        )


def _batches(events: Sequence[_Event]) -> Iterator[Sequence[_Event]]:
    """Yield events as they are stored together; a large one alone."""
    batch: list[_Event] = []
    size = 0
    for each in events:
        if batch and (len(batch) == _MOST_AT_ONCE or size + len(each.text) > _MOST_BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += len(each.text)
    if batch:
        yield batch
