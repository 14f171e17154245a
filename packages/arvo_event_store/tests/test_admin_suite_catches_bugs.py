"""`StreamAdminSuite` fails on broken stores, by the name of what they break."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from typing_extensions import override

from arvo_event_store import (
    Append,
    Appended,
    EventStoreError,
    MemoryEventStore,
    StreamClosedError,
    StreamHead,
)
from arvo_event_store._memory._stream import Stream
from arvo_event_store.testing import StoreLawSuite, StreamAdminSuite


class TakesEventsWhenClosed(MemoryEventStore):
    """Closing is a note, and nobody looks at it."""

    @override
    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        closed = {name: stream.closed for name, stream in self._streams.items()}
        for stream in self._streams.values():
            stream.closed = None
        try:
            return await super().append_all(appends)
        finally:
            for name, when in closed.items():
                self._streams[name].closed = when


class LooksAtKnownIdsLast(MemoryEventStore):
    """Whether the stream is closed is asked before whether the append is known."""

    @override
    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        for append in appends:
            if append.stream in self._streams and self._streams[append.stream].closed:
                raise StreamClosedError(append.stream)
        return await super().append_all(appends)


class ClosesDespiteWork(MemoryEventStore):
    """Nobody asks what targets have to do."""

    @override
    async def close_stream(self, stream: str) -> None:
        self._existing(stream).closed = self._clock.now()


class ClosesAgain(MemoryEventStore):
    """The last time counts."""

    @override
    async def close_stream(self, stream: str) -> None:
        before = self._existing(stream).closed
        await super().close_stream(stream)
        if before is not None:
            self._existing(stream).closed = before + timedelta(microseconds=1)


class ClosesWhatIsNotThere(MemoryEventStore):
    """An update of no row is taken for success."""

    @override
    async def close_stream(self, stream: str) -> None:
        if stream in self._streams:
            await super().close_stream(stream)


class CutsOneTooMany(MemoryEventStore):
    """`before` is cut off too."""

    @override
    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        if before > 0 and stream in self._streams:
            before = min(before + 1, self._streams[stream].version + 1)
        return await super().truncate(stream, before=before, snapshot=snapshot)


class CutsWithoutSnapshots(MemoryEventStore):
    """Nobody looks whether the state can still be loaded."""

    @override
    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        return await super().truncate(stream, before=before, snapshot=False)


class CutsWhatTargetsNeed(MemoryEventStore):
    """Events go before they were handled."""

    @override
    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        self._targets.drop(stream)
        return await super().truncate(stream, before=before, snapshot=snapshot)


class CountsVersionsByWhatIsLeft(MemoryEventStore):
    """The version of a stream is how many events it has."""

    @override
    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        first = await super().truncate(stream, before=before, snapshot=snapshot)
        self._streams[stream].version = len(self._streams[stream].events) - 1
        return first


class HorizonIsTheHighestPosition(MemoryEventStore):
    """The horizon goes back when the last events are deleted."""

    @override
    async def horizon(self) -> int:
        async for event in self.read_all(backward=True, limit=1):
            return event.position
        return 0


class ForgetsByPrefix(MemoryEventStore):
    """Private data of streams goes whose names begin like that of the one to forget."""

    @override
    async def forget(self, stream: str) -> int:
        count = await super().forget(stream)
        for name, found in self._streams.items():
            if name.startswith(stream):
                found.forget()
        return count


class KeepsSnapshotsOfDeleted(MemoryEventStore):
    """A new stream of the same name gets the state of the old one."""

    @override
    async def delete_stream(self, stream: str) -> bool:
        if stream not in self._streams:
            return False
        kept = self._streams[stream].snapshots
        deleted = await super().delete_stream(stream)
        now = self._clock.now()
        self._streams[stream] = Stream(stream, created=now, updated=now, snapshots=kept)
        return deleted

    @override
    async def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        found = await super().heads(streams)
        return {name: head for name, head in found.items() if head.version >= 0}


class KeepsIdsOfDeleted(MemoryEventStore):
    """An id is taken for known when its event is gone."""

    @override
    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        ids = dict(self._log._by_id)
        first = await super().truncate(stream, before=before, snapshot=snapshot)
        self._log._by_id = ids
        return first


class DeletesDespiteWork(MemoryEventStore):
    """Targets lose what they had to do."""

    @override
    async def delete_stream(self, stream: str) -> bool:
        self._targets.drop(stream)
        return await super().delete_stream(stream)


class ListsByWildcard(MemoryEventStore):
    """An underscore in the prefix fits every character."""

    @override
    async def streams(self, *, prefix: str = "") -> AsyncIterator[StreamHead]:
        async for head in super().streams():
            pairs = list(zip(prefix, head.stream, strict=False))
            if len(pairs) == len(prefix) and all(a in {b, "_"} for a, b in pairs):
                yield head


class ArchivesByAppend(MemoryEventStore):
    """Recording an archive counts as a change of the stream."""

    @override
    async def record_archive(self, stream: str, *, archive: str) -> None:
        await super().record_archive(stream, archive=archive)
        self._streams[stream].updated += timedelta(microseconds=1)


BROKEN: dict[str, list[type[MemoryEventStore]]] = {
    "test_a_closed_stream_takes_no_events": [TakesEventsWhenClosed],
    "test_a_known_append_to_a_closed_stream_is_a_duplicate": [LooksAtKnownIdsLast],
    "test_a_stream_with_work_is_not_closed": [ClosesDespiteWork],
    "test_closing_again_keeps_the_time_of_the_first": [ClosesAgain],
    "test_a_stream_must_be_there": [ClosesWhatIsNotThere],
    "test_the_beginning_of_a_stream_is_cut_off": [CutsOneTooMany],
    "test_a_cut_needs_a_snapshot_that_covers_it": [CutsWithoutSnapshots],
    "test_a_cut_keeps_what_targets_have_to_read": [CutsWhatTargetsNeed],
    "test_versions_and_positions_go_on_after_a_cut": [
        CountsVersionsByWhatIsLeft,
        HorizonIsTheHighestPosition,
    ],
    "test_private_data_is_forgotten": [ForgetsByPrefix],
    "test_a_deleted_stream_begins_again_at_version_0": [KeepsSnapshotsOfDeleted],
    "test_ids_of_events_that_are_gone_are_free": [KeepsIdsOfDeleted],
    "test_a_stream_with_work_is_not_deleted": [DeletesDespiteWork],
    "test_streams_are_listed_by_their_names": [ListsByWildcard],
    "test_an_archive_is_recorded_with_its_stream": [ArchivesByAppend],
}


@pytest.mark.parametrize(
    ("behaviour", "broken"),
    [
        pytest.param(behaviour, store, id=f"{behaviour}-{store.__name__}")
        for behaviour, stores in BROKEN.items()
        for store in stores
    ],
)
async def test_a_broken_store_fails_by_name(behaviour: str, broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await getattr(StreamAdminSuite(), behaviour)(broken())


@pytest.mark.parametrize(
    "broken",
    [
        TakesEventsWhenClosed,
        ClosesDespiteWork,
        CutsOneTooMany,
        CutsWithoutSnapshots,
        CutsWhatTargetsNeed,
        CountsVersionsByWhatIsLeft,
        ForgetsByPrefix,
        KeepsIdsOfDeleted,
        DeletesDespiteWork,
    ],
)
async def test_the_laws_find_a_broken_store(broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await StoreLawSuite().test_any_sequence_of_operations_gives_the_same(broken())
