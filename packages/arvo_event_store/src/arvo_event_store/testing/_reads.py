"""Reading: ranges, order, filters, and what an iterator sees."""

import asyncio
import itertools
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, ClassVar

from arvo_event_store._append import Append
from arvo_event_store._errors import ConflictError
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._query import Query
from arvo_event_store._stream import Snapshot

from ._expectations import WakingLog, added, listed, only, refused, refused_now, some, versions


class Reads:
    """What is read, and in which order."""

    many_events: ClassVar[int] = 10_000
    """How many events are read in bounded memory; 200,000 for a thorough test."""

    async def test_a_stream_that_does_not_exist_has_no_events(self, store: WakingLog) -> None:
        """R1: in neither direction."""
        assert await versions(store.read("a")) == []
        assert await versions(store.read("a", backward=True)) == []
        assert await listed(store.read_all(backward=True)) == []
        assert await store.horizon() == 0

    async def test_ranges_of_a_stream_are_read_in_both_directions(self, store: WakingLog) -> None:
        """R1: every combination of after, upto, direction and limit."""
        await store.append("other", some(3))
        for _ in range(6):
            await store.append_all([Append("a", some(1)), Append("other", some(1))])
        bounds = (None, 0, 1, 4, 5, 9)
        for after, upto, backward, limit in itertools.product(
            (-1, 0, 2, 5, 9), bounds, (False, True), (None, 0, 1, 3, 9)
        ):
            expected = [n for n in range(6) if n > after and (upto is None or n <= upto)]
            expected = (expected[::-1] if backward else expected)[:limit]
            found = store.read("a", after=after, upto=upto, backward=backward, limit=limit)
            case = f"after={after}, upto={upto}, backward={backward}, limit={limit}"
            assert await versions(found) == expected, case

    async def test_ranges_of_the_log_are_read_in_both_directions(self, store: WakingLog) -> None:
        """R1: after and upto are positions, whether there is an event at them or not."""
        for _ in range(3):
            await store.append_all([Append("a", some(1)), Append("b", some(1))])
        positions = [event.position for event in await listed(store.read_all())]
        bounds = (0, positions[0], positions[2], positions[-1], positions[-1] + 5)
        for after, upto, backward, limit in itertools.product(
            bounds, (None, *bounds), (False, True), (None, 0, 1, 4)
        ):
            expected = [n for n in positions if n > after and (upto is None or n <= upto)]
            expected = (expected[::-1] if backward else expected)[:limit]
            found = store.read_all(after=after, upto=upto, backward=backward, limit=limit)
            case = f"after={after}, upto={upto}, backward={backward}, limit={limit}"
            assert [event.position async for event in found] == expected, case

    async def test_a_wrong_range_is_refused_at_the_call(self, store: WakingLog) -> None:
        """R1: before anything is awaited."""
        wrong: list[dict[str, Any]] = [
            *({"after": -2}, {"after": True}, {"after": "1"}, {"after": 2**63}, {"upto": -1}),
            *({"upto": 1.5}, {"limit": -1}, {"limit": "all"}, {"backward": 1}),
        ]
        for arguments in wrong:
            for read in (lambda **given: store.read("a", **given), store.read_all):
                refused_now(
                    lambda read=read, given=arguments: read(**given),  # type: ignore[misc]
                    *(TypeError, ValueError),
                )

    async def test_the_log_has_the_order_of_appends_and_of_versions(self, store: WakingLog) -> None:
        """R2: positions grow with the versions of each stream, also with many writers."""
        await asyncio.gather(
            *(
                store.append_all([Append(f"s{number % 3}", some(2)), Append("all", some(1))])
                for number in range(40)
            )
        )
        events = await listed(store.read_all())
        assert len(events) == 120
        positions = [event.position for event in events]
        assert positions == sorted(set(positions))
        assert positions[0] >= 1
        for stream in ("s0", "s1", "s2", "all"):
            found = [event.version for event in events if event.stream == stream]
            assert found == list(range(len(found)))
        assert await store.horizon() == positions[-1]

    async def test_filters_are_literal(self, store: WakingLog) -> None:
        """R3: no wildcards in prefixes, names and correlations; what is given must all fit."""
        names = ("a%b", "a_b", "axb", "a%", "b", "a*b", "%")
        for name in names:
            await store.append(name, [NewEvent(name, 1, correlation=name)])
        for prefix in ("", "a", "a%", "a_", "%", "_", "a*", "x"):
            found = [
                event.stream async for event in store.read_all(where=Query(stream_prefix=prefix))
            ]
            assert found == [name for name in names if name.startswith(prefix)]
        for where, expected in (
            (Query(names=["a_b", "%", "none"]), ["a_b", "%"]),
            (Query(names=[]), []),
            (Query(correlation="a%"), ["a%"]),
            (Query(stream_prefix="a", names=["a%", "b"]), ["a%"]),
            (Query(stream_prefix="a", correlation="b"), []),
        ):
            assert [event.stream async for event in store.read_all(where=where)] == expected
            backward = store.read_all(where=where, backward=True)
            assert [event.stream async for event in backward] == expected[::-1]

    async def test_filters_by_time_include_their_begin_and_not_their_end(
        self, store: WakingLog
    ) -> None:
        """R3: to the microsecond, as the events say."""
        await store.append("a", some(1))
        event = await only(store.read_all())
        tick = timedelta(microseconds=1)
        for begin, end, count in (
            *((0, 1, 1), (0, 0, 0), (1, 2, 0), (-1, 0, 0)),
            *((None, 1, 1), (None, 0, 0), (0, None, 1), (1, None, 0)),
        ):
            where = Query(
                created_from=None if begin is None else event.created + begin * tick,
                created_before=None if end is None else event.created + end * tick,
            )
            assert len(await listed(store.read_all(where=where))) == count, (begin, end)

    async def test_filters_mind_case(self, store: WakingLog) -> None:
        """R4: in all of them."""
        await store.append("Order", [NewEvent("Placed", 1, correlation="C")])
        for where in (
            Query(stream_prefix="order"),
            Query(names=["placed"]),
            Query(correlation="c"),
        ):
            assert await listed(store.read_all(where=where)) == []

    async def test_a_limit_counts_what_fits_the_filter(self, store: WakingLog) -> None:
        """R3: not what was looked at; over more than one page."""
        batch = [NewEvent("Rare" if number % 300 == 299 else "Often", 1) for number in range(1500)]
        await store.append("a", batch)
        rare = Query(names=["Rare"])
        assert await versions(store.read_all(where=rare)) == [299, 599, 899, 1199, 1499]
        assert await versions(store.read_all(where=rare, limit=2)) == [299, 599]
        often = Query(names=["Often"])
        found = await versions(store.read_all(where=often, backward=True, limit=1200))
        assert found == [n for n in range(1499, -1, -1) if n % 300 != 299][:1200]

    async def test_an_iterator_does_not_see_what_is_appended_after_it(
        self, store: WakingLog
    ) -> None:
        """R6: neither within a page nor beyond, in a stream and in the log, in both directions."""
        await store.append("a", some(1200))
        for backward in (False, True):
            for read in (lambda **given: store.read("a", **given), store.read_all):
                begun = read(backward=backward)
                before = len(await listed(store.read_all()))
                seen = 0
                async for _ in begun:
                    if seen in {0, 700}:
                        await store.append("a", some(2))
                    seen += 1
                assert seen == before

    async def test_many_events_are_read_in_bounded_memory(self, store: WakingLog) -> None:
        """R5: `many_events` in each direction, within 4 MiB beside what the store itself holds."""
        for begin in range(0, self.many_events, 1_000):
            count = min(1_000, self.many_events - begin)
            await store.append("a", [NewEvent("Added", {"note": "x" * 100}) for _ in range(count)])
        reads: list[Callable[[], AsyncIterator[Event]]] = [
            lambda: store.read("a"),
            lambda: store.read_all(backward=True),
        ]
        for read in reads:
            count = 0
            tracemalloc.start()
            try:
                async for _ in read():
                    count += 1
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert count == self.many_events
            assert peak < 4 * 1024 * 1024, f"{peak / 1024 / 1024:.1f} MiB were held at once"

    async def test_a_page_is_bounded_by_its_bytes(self, store: WakingLog) -> None:
        """R5: sixty events of 1 MiB in each direction, by stream, log and filter, within 24 MiB."""
        large = "x" * (1024 * 1024 - 2)
        for _ in range(60):
            await store.append("a", [NewEvent("Large", large)])
        where = Query(names=["Large"])
        reads: list[Callable[[], AsyncIterator[Event]]] = [
            lambda: store.read("a"),
            lambda: store.read("a", backward=True, limit=59),
            store.read_all,
            lambda: store.read_all(where=where, backward=True),
        ]
        for read in reads:
            count = 0
            tracemalloc.start()
            try:
                async for event in read():
                    count += len(event.data) == len(large)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert count in {59, 60}
            assert peak < 24 * 1024 * 1024, f"{peak / 1024 / 1024:.0f} MiB were held at once"

    async def test_readers_see_whole_appends_beside_writers(self, store: WakingLog) -> None:
        """R6: never a part of a batch, and never a gap."""

        async def write() -> None:
            for _ in range(30):
                await store.append("a", some(4))

        writing = asyncio.gather(*(write() for _ in range(3)))
        while not writing.done():
            found = await versions(store.read("a"))
            assert found == list(range(len(found)))
            assert len(found) % 4 == 0
            log = await versions(store.read_all())
            assert log == list(range(len(log)))
            await asyncio.sleep(0)
        await writing
        assert len(await versions(store.read_all())) == 360

    async def test_an_iterator_may_be_left_at_any_event(self, store: WakingLog) -> None:
        """R7: whether it is closed or just dropped, the store goes on."""
        await store.append("a", some(600))
        for steps in (0, 1, 599):
            for number in range(30):
                reading = store.read("a") if number % 2 else store.read_all()
                for _ in range(steps):
                    await anext(reading)
                if number % 3 and hasattr(reading, "aclose"):
                    await reading.aclose()
        assert (await store.append("a", some(1))).version == 600

    async def test_heads_say_where_streams_stand(self, store: WakingLog) -> None:
        """R8: as reading all of their events would."""
        for number in range(12):
            await store.append(f"s{number % 5}", some(1 + number % 3))
        heads = await store.heads(["s4", "s1", "none", "s0", "s1"])
        assert set(heads) == {"s4", "s1", "s0"}
        for stream, head in heads.items():
            events = await listed(store.read(stream))
            assert (head.stream, head.version, head.first_version) == (stream, len(events) - 1, 0)
            assert (head.closed, head.archive) == (None, None)
            assert head.created <= events[0].created
            assert head.created <= head.updated <= events[-1].created
        assert await store.heads([]) == {}

    async def test_a_stream_is_read_as_of_a_version(self, store: WakingLog) -> None:
        """R10: also after more was appended."""
        await store.append("a", [added(1), added(2)])
        await store.append("a", [added(3)])
        found = [event.data["amount"] async for event in store.read("a", upto=1)]
        assert found == [1, 2]


class Snapshots:
    """The state of a stream at a version."""

    async def test_the_latest_snapshot_is_found(self, store: WakingLog) -> None:
        """R9: of its stream and kind, of any schema, up to a version."""
        await store.append("a", some(10))
        await store.append("b", some(10))
        assert await store.latest_snapshot("a", kind="k") is None
        for stream, kind, version, schema in (
            *(("a", "k", 9, 1), ("a", "k", 3, 2), ("a", "K", 5, 1), ("b", "k", 7, 1)),
        ):
            await store.save_snapshot(
                Snapshot(
                    stream=stream,
                    kind=kind,
                    version=version,
                    schema=schema,
                    state={"of": [stream, kind, version]},
                )
            )
        found = await store.latest_snapshot("a", kind="k")
        assert found == Snapshot(
            stream="a", kind="k", version=9, schema=1, state={"of": ["a", "k", 9]}
        )
        for upto, latest in ((9, 9), (8, 3), (3, 3), (2, None)):
            found = await store.latest_snapshot("a", kind="k", upto=upto)
            assert (None if found is None else found.version) == latest
        assert await store.latest_snapshot("a", kind="none") is None

    async def test_a_snapshot_takes_no_version_and_no_position(self, store: WakingLog) -> None:
        """R9: it is not in the log."""
        await store.append("a", some(2))
        horizon = await store.horizon()
        await store.save_snapshot(Snapshot(stream="a", kind="k", version=1, schema=1, state=7))
        assert await store.horizon() == horizon
        assert (await store.append("a", some(1), expect=1)).version == 2
        assert await versions(store.read_all()) == [0, 1, 2]

    async def test_a_snapshot_is_replaced_by_one_of_its_version(self, store: WakingLog) -> None:
        """R9: of another schema, for a program that does not know the first."""
        await store.append("a", some(1))
        for schema in (1, 2):
            await store.save_snapshot(
                Snapshot(stream="a", kind="k", version=0, schema=schema, state=[schema])
            )
        found = await store.latest_snapshot("a", kind="k")
        assert found is not None
        assert (found.schema, found.state) == (2, [2])

    async def test_a_snapshot_ahead_of_its_stream_is_refused(self, store: WakingLog) -> None:
        """R9: it would be the state of another stream that had the name."""
        ahead = Snapshot(stream="a", kind="k", version=1, schema=1, state=1)
        error = await refused(store.save_snapshot(ahead), ConflictError)
        assert error.actual is None
        await store.append("a", some(1))
        error = await refused(store.save_snapshot(ahead), ConflictError)
        assert (error.expected, error.actual) == (1, 0)
        assert await store.latest_snapshot("a", kind="k") is None
