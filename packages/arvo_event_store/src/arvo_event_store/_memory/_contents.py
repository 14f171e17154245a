"""What a store in memory holds, and the one way in which events get into it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from arvo_event_store._append import Appended
from arvo_event_store._errors import StoreFailure
from arvo_event_store._reaction_state import ParkedEvent
from arvo_event_store._target import PER_EVENT, PER_STREAM
from arvo_event_store.stores import (
    AppendRequest,
    Changes,
    TargetMark,
    target_marks,
    without_known,
)
from arvo_time import Clock

from ._reactions import Reactions
from ._stream import Log, Stream
from ._targets import Target, Targets

Decided: TypeAlias = Sequence[AppendRequest | Appended]
"""What is left to store of appends that nothing stands against, and the answers to the others."""


class InMemory:
    """The contents, for the parts of the store that are built on them.

    Args:
        max_payload_bytes: See `MemoryEventStore`.
        clock: See `MemoryEventStore`.
    """

    def __init__(self, *, max_payload_bytes: int, clock: Clock) -> None:
        self._max_payload_bytes = max_payload_bytes
        self._clock = clock
        self._log = Log()
        self._streams: dict[str, Stream] = {}
        self._targets = Targets()
        self._reactions = Reactions()
        self._parked: dict[tuple[str, str, str, int], ParkedEvent] = {}
        """By group, reaction, key and position."""
        self._changes = Changes(clock)
        self._closed = False

    def _decided(self, requests: Sequence[AppendRequest]) -> Decided:
        """Decide about appends before anything changes.

        Raises:
            EventIdReusedError: See `IEventLog.append_all`, as the others.
            StreamClosedError: A stream is closed.
            ConflictError: A stream is not as expected.
        """
        left = [without_known(each, known=self._log.known(each.events)) for each in requests]
        for request in left:
            if isinstance(request, AppendRequest):
                stream = self._streams.get(request.stream)
                request.check_head(
                    version=None if stream is None else stream.version,
                    closed=stream is not None and stream.closed is not None,
                )
        return left

    def _write(self, decided: Decided, *, now: datetime) -> list[Appended]:
        """Store what was decided in the same step."""
        return [
            each if isinstance(each, Appended) else self._stored(each, now=now) for each in decided
        ]

    def _stored(self, request: AppendRequest, *, now: datetime) -> Appended:
        stream = self._streams.get(request.stream)
        if stream is None:
            stream = self._streams[request.stream] = Stream(
                request.stream, created=now, updated=now
            )
        positions = [self._log.add(stream, row, created=now) for row in request.events]
        stream.updated = now
        for mark in target_marks(request, positions=positions):
            self._targets.raise_mark(_woken(mark), now=now)
        self._changes.tell()
        return request.stored(version=stream.version, position=positions[-1])

    async def _turn(self) -> None:
        """Let other tasks run, as a database would."""
        self._check_open()
        await asyncio.sleep(0)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailure(
                "the store was closed; make another one", retryable=False, outcome="failed"
            )


def _woken(mark: TargetMark) -> Target:
    return Target(
        group=mark.group,
        reaction=mark.reaction,
        key=mark.key,
        lane=mark.lane,
        reads=PER_EVENT if mark.once else PER_STREAM,
        stream=mark.stream,
        at=mark.at,
        mark=mark.mark,
        due=mark.due,
    )
