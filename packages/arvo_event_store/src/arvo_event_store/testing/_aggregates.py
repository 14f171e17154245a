"""Aggregates on a store: what a load reads, and acts that race."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from arvo_event_store._aggregate import Aggregate, Loaded
from arvo_event_store._append import Appended
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._log import IStreamAccess
from arvo_event_store._snapshot_policy import SnapshotPolicy
from arvo_event_store._stream import Snapshot, StreamHead

from ._expectations import WakingLog


@dataclass(frozen=True)
class Added:
    """An event of a counter."""

    amount: int


def counters(*, every: int | None = None, cache: int = 0) -> Aggregate[int, Added]:
    """Return an aggregate that adds up; with a snapshot after `every` events, if it is given."""
    policy = None
    if every is not None:
        policy = SnapshotPolicy[int](dump=lambda total: total, load=int, every=every)
    return Aggregate[int, Added](
        category="counter",
        events=[Added],
        initial=int,
        evolve=lambda total, event: total + event.amount,
        snapshots=policy,
        cache=cache,
        retries=100,
    )


class CountedReads:
    """Access to the streams of a store that counts the events read."""

    def __init__(self, store: IStreamAccess) -> None:
        self._store = store
        self.rows = 0

    async def read(
        self,
        stream: str,
        *,
        after: int = -1,
        upto: int | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Event]:
        """Read, and count."""
        found = self._store.read(stream, after=after, upto=upto, backward=backward, limit=limit)
        async for event in found:
            self.rows += 1
            yield event

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended | None:
        """Append."""
        return await self._store.append(stream, events, expect=expect)

    async def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        """Return where streams stand."""
        return await self._store.heads(streams)

    async def latest_snapshot(
        self, stream: str, *, kind: str, upto: int | None = None
    ) -> Snapshot | None:
        """Return a snapshot."""
        return await self._store.latest_snapshot(stream, kind=kind, upto=upto)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Save a snapshot."""
        await self._store.save_snapshot(snapshot)


class Aggregates:
    """States are folded from what is stored."""

    async def test_a_load_reads_the_snapshot_and_what_came_after_it(self, store: WakingLog) -> None:
        """R9: of 1,205 events, the last five; and as of a version."""
        counter, counted = counters(every=100), CountedReads(store)
        for count in (*[100] * 12, 5):
            await counter.act(counted, "a", lambda _, count=count: [Added(1)] * count)  # type: ignore[misc]
        counted.rows = 0
        assert await counter.load(counted, "a") == Loaded(state=1205, version=1204)
        assert counted.rows == 5, f"{counted.rows} events were read"
        counted.rows = 0
        assert await counter.load(counted, "a", upto=701) == Loaded(state=702, version=701)
        assert counted.rows == 2, f"{counted.rows} events were read"
        assert await counters().load(store, "a") == Loaded(state=1205, version=1204)

    async def test_racing_acts_lose_nothing(self, store: WakingLog) -> None:
        """A7: of four aggregates, as four processes would have them, half of them with a cache."""
        aggregates = [counters(cache=cache, every=7) for cache in (0, 0, 1, 1)]

        async def add(number: int) -> list[int]:
            counter = aggregates[number % 4]
            return [(await counter.act(store, "a", lambda _: [Added(1)])).state for _ in range(5)]

        states = await asyncio.gather(*(add(number) for number in range(12)))
        assert sorted(itertools.chain(*states)) == list(range(1, 61)), "two acts saw the same state"
        for each in (*aggregates, counters()):
            assert await each.load(store, "a") == Loaded(state=60, version=59)
