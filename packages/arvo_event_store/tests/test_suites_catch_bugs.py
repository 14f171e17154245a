"""The suites fail on broken stores, by the name of what they break."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import (
    Append,
    Appended,
    Event,
    EventIdReusedError,
    EventStoreError,
    Expect,
    MemoryEventStore,
    NewEvent,
    Query,
    Snapshot,
)
from arvo_event_store.testing import EventLogSuite, StoreLawSuite


class TellsDuplicatesByIdAlone(MemoryEventStore):
    """Whatever is in an event whose id is known, it is taken for the same."""

    @override
    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        try:
            return await super().append_all(appends)
        except EventIdReusedError:
            return await super().append_all([replace(each, known="skip") for each in appends])


class ReadsByPrefix(MemoryEventStore):
    """A stream has the events of all streams whose names begin like it."""

    @override
    def read(self, stream: str, **given: Any) -> AsyncIterator[Event]:
        super().read(stream, **given)
        given["after"] = 0 if given.get("after", -1) == -1 else given["after"]
        return self.read_all(where=Query(stream_prefix=stream), **given)


class SnapshotsTakeAVersion(MemoryEventStore):
    """A snapshot is an event of its stream."""

    @override
    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await super().save_snapshot(snapshot)
        await self.append(snapshot.stream, [NewEvent("Snapshot", snapshot.state)])


class ReadsBackwardOffByOne(MemoryEventStore):
    """Backward, the event at `upto` is left out."""

    @override
    def read(
        self, stream: str, *, upto: int | None = None, backward: bool = False, **given: Any
    ) -> AsyncIterator[Event]:
        if backward and upto:
            upto -= 1
        return super().read(stream, upto=upto, backward=backward, **given)


class IteratorsSeeWhatComesLater(MemoryEventStore):
    """A read goes on until there is nothing left, whenever that was appended."""

    @override
    async def read(self, stream: str, *, after: int = -1, **given: Any) -> AsyncIterator[Event]:
        last = None
        while last != after:
            last = after
            async for event in super().read(stream, after=after, **given):
                after = event.version
                yield event


class ReadsAllAtOnce(MemoryEventStore):
    """A read holds all of its events before it hands out the first."""

    @override
    async def read(self, stream: str, **given: Any) -> AsyncIterator[Event]:
        for event in [event async for event in super().read(stream, **given)]:
            yield event


class TakesZeroForAnything(MemoryEventStore):
    """Expecting version 0 is expecting anything: a truth test on a number."""

    @override
    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        return await super().append(stream, events, expect=expect or Expect.ANY)


class StoresOneByOne(MemoryEventStore):
    """Several streams are written one after the other."""

    @override
    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        return [(await super(StoresOneByOne, self).append_all([each]))[0] for each in appends]


class LosesBesideWriters(MemoryEventStore):
    """The horizon is the last position, whether everything up to it can be seen or not."""

    @override
    async def read_all(self, *, after: int = 0, **given: Any) -> AsyncIterator[Event]:
        hidden = self._log.last - 1 if self._log.last % 3 else None
        async for event in super().read_all(after=after, **given):
            if event.position != hidden:
                yield event


class HorizonGoesBack(MemoryEventStore):
    """The horizon is what a lagging copy says."""

    _asked = 0

    @override
    async def horizon(self) -> int:
        self._asked += 1
        return max(await super().horizon() - self._asked % 2 * 100, 0)


class SnapshotsOfTheOldestVersion(MemoryEventStore):
    """The latest snapshot is the one that was saved first."""

    @override
    async def latest_snapshot(self, stream: str, **given: Any) -> Snapshot | None:
        found = None
        for upto in range(2000):
            found = found or await super().latest_snapshot(stream, **{**given, "upto": upto})
        return found


class ForgetsExpectations(MemoryEventStore):
    """The version is looked at before the append waits for its turn."""

    @override
    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        if isinstance(expect, int):
            await self._turn()
            head = (await self.heads([stream])).get(stream)
            if head is None or head.version == expect:
                await self._turn()
                expect = Expect.ANY
        return await super().append(stream, events, expect=expect)


class WakesForSkipped(MemoryEventStore):
    """Events that were left out wake their stream all the same."""

    @override
    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        done = await super().append_all(appends)
        for append, appended in zip(appends, done, strict=True):
            if appended.duplicate and append.wakes:
                extra = [NewEvent("Again", 1)]
                await super().append_all([replace(append, events=extra, expect=Expect.ANY)])
        return done


BROKEN: dict[str, list[type[MemoryEventStore]]] = {
    "test_a_known_id_with_other_content_is_refused": [TellsDuplicatesByIdAlone],
    "test_names_are_compared_exactly": [ReadsByPrefix],
    "test_a_snapshot_takes_no_version_and_no_position": [SnapshotsTakeAVersion],
    "test_ranges_of_a_stream_are_read_in_both_directions": [ReadsBackwardOffByOne],
    "test_an_iterator_does_not_see_what_is_appended_after_it": [IteratorsSeeWhatComesLater],
    "test_a_page_is_bounded_by_its_bytes": [ReadsAllAtOnce],
    "test_many_events_are_read_in_bounded_memory": [ReadsAllAtOnce],
    "test_whoever_follows_the_log_misses_nothing": [LosesBesideWriters, HorizonGoesBack],
    "test_a_load_reads_the_snapshot_and_what_came_after_it": [SnapshotsOfTheOldestVersion],
    "test_racing_acts_lose_nothing": [ForgetsExpectations],
    "test_one_of_many_racers_wins": [ForgetsExpectations],
    "test_expecting_version_0_is_not_expecting_anything": [TakesZeroForAnything],
    "test_appends_to_several_streams_are_all_or_nothing": [StoresOneByOne],
    "test_what_is_refused_or_skipped_wakes_nothing": [WakesForSkipped],
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
        await getattr(EventLogSuite(), behaviour)(broken())


@pytest.mark.parametrize(
    "broken",
    [
        TellsDuplicatesByIdAlone,
        ReadsBackwardOffByOne,
        ReadsByPrefix,
        TakesZeroForAnything,
        StoresOneByOne,
        WakesForSkipped,
    ],
)
async def test_the_laws_find_a_broken_store(broken: type[MemoryEventStore]) -> None:
    with pytest.raises((AssertionError, EventStoreError)):
        await StoreLawSuite().test_any_sequence_of_operations_gives_the_same(broken())
