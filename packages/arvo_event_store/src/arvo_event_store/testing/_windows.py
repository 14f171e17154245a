"""Windows: the events that a lease has."""

from dataclasses import replace
from typing import Final

from arvo_event_store._event import Event, NewEvent
from arvo_event_store._lease import Done
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, TargetKind

from ._consumer import SCANNED, WOKEN, Consumer, positions, single, stored
from ._expectations import added

_KEYED: Final = replace(SCANNED, to=TargetKind.KEY)
_LOG: Final = ReactionSpec(name="r", events=("Added",), to=TargetKind.LOG, stream_prefix="a_")


class Windows:
    """A lease has the next events of its target, in order, and says how far they reach."""

    async def test_a_window_has_at_most_so_many_events(self, store: IEventStore) -> None:
        """L5: the rest follows, each event once, for each kind of target."""
        for number, kind in enumerate((TargetKind.STREAM, TargetKind.KEY, TargetKind.LOG)):
            spec = ReactionSpec(
                name=kind.value, events=("Added",), to=kind, stream_prefix=f"{number}", start="now"
            )
            consumer = await Consumer(store, [spec]).register()
            events = await stored(store, f"{number}", 7)
            await consumer.catch_up()
            seen: list[Event] = []
            for count in (3, 3, 1):
                lease = await consumer.lease(max_events=3)
                assert len(lease.events) == count
                assert lease.upto == lease.events[-1].position
                assert lease.mark == events[-1].position
                seen += lease.events
                await consumer.done(lease)
            assert seen == events
            assert await consumer.claim() == []

    async def test_a_window_is_cut_at_its_bytes(self, store: IEventStore) -> None:
        """L5: each for itself, in UTF-8; the first event is there however long it is."""
        specs = [
            ReactionSpec(name=kind.value, events=None, to=kind, lane=kind.value)
            for kind in TargetKind
            if kind is not PER_EVENT
        ]
        consumer = await Consumer(store, specs).register()
        long = [NewEvent("Added", {"text": text * 1000}) for text in "xyzé🛒"]
        events = await stored(store, "a", long)
        await consumer.catch_up()
        for kind in ("stream", "key", "log"):
            for max_bytes, expected in ((2500, [0, 1]), (1, [2]), (3500, [3]), (10, [4])):
                lease = single(await consumer.claim(lane=kind, max_bytes=max_bytes))
                assert list(lease.events) == [events[index] for index in expected]
                assert lease.upto == lease.events[-1].position
                await consumer.done(lease)
            assert await consumer.claim(lane=kind) == []

    async def test_each_lease_has_a_window_of_its_own(self, store: IEventStore) -> None:
        """L5: what one has takes nothing from the others."""
        consumer = await Consumer(store, [WOKEN]).register()
        events = {
            name: await consumer.wake(name, [NewEvent("Added", text) for text in "wxyz"])
            for name in ("a", "b", "c")
        }
        leases = await consumer.claim(lagging=2, leading=1, max_events=3, max_bytes=8)
        assert {lease.key: list(lease.events) for lease in leases} == {
            name: found[:2] for name, found in events.items()
        }

    async def test_a_stream_reads_itself_and_no_other(self, store: IEventStore) -> None:
        """L5: what its reaction takes of it, above its watermark and up to its mark."""
        consumer = await Consumer(store, [replace(WOKEN, events=("Added", "a%"))]).register()
        names = ("Added", "added", "a%", "ab", "Added")
        await stored(store, "a", [NewEvent(name, 0) for name in names])
        events: list[Event] = []
        for stream in ("a", "A", "a%", "ab"):
            found = await consumer.wake(stream, [NewEvent(name, 1) for name in names])
            events += [event for event in found if event.name in {"Added", "a%"}]
        await stored(store, "a", 2)
        leases = await consumer.claim()
        assert len(leases) == 4
        for lease in leases:
            expected = [event for event in events if event.stream == lease.key]
            assert (list(lease.events), lease.upto) == (expected, lease.mark)

    async def test_a_window_reaches_the_mark_when_the_rest_is_for_others(
        self, store: IEventStore
    ) -> None:
        """L5: so that the target is idle when it is done."""
        consumer = await Consumer(store, [replace(WOKEN, events=("Added",))]).register()
        events = await consumer.wake("a", [added(1), NewEvent("Other", 1)])
        lease = await consumer.lease()
        assert (list(lease.events), lease.upto) == (events[:1], events[1].position)
        await consumer.done(lease)
        assert await consumer.claim() == []
        (other,) = await consumer.wake("a", [NewEvent("Other", 1)])
        lease = await consumer.lease()
        assert (list(lease.events), lease.upto) == ([], other.position)
        await consumer.done(lease)
        assert await consumer.claim() == []

    async def test_keys_read_what_is_listed_for_them(self, store: IEventStore) -> None:
        """L5: from any streams, in the order of the log."""
        consumer = await Consumer(
            store, [_KEYED], keys=lambda event: (f"k{event.data['amount'] % 2}",)
        ).register()
        events: list[Event] = []
        for stream in ("b", "a", "b"):
            events += await stored(store, stream, 3)
        await consumer.catch_up(limit=4)
        leases = {lease.key: lease for lease in await consumer.claim(max_events=4)}
        for rest, key in enumerate(("k0", "k1")):
            expected = [event for event in events if event.data["amount"] % 2 == rest]
            assert list(leases[key].events) == expected[:4]
        await consumer.done(*leases.values())
        lease = await consumer.lease()
        assert (lease.key, len(lease.events)) == ("k0", 2)

    async def test_a_log_reads_all_that_its_reaction_takes(self, store: IEventStore) -> None:
        """L5: by names and the beginning of streams, both literal, in the order of the log."""
        consumer = await Consumer(store, [_LOG]).register()
        expected: list[Event] = []
        for stream in ("a_1", "ab1", "A_1", "a_", "a_2", "b"):
            found = await stored(store, stream, [added(1), NewEvent("added", 1)])
            expected += found[:1] if stream.startswith("a_") else []
        await consumer.catch_up()
        lease = await consumer.lease()
        assert (list(lease.events), lease.upto) == (expected, expected[-1].position)
        assert (lease.stream, lease.reads) == (None, TargetKind.LOG)
        await consumer.done(lease)
        assert await consumer.claim() == []

    async def test_an_event_reads_itself(self, store: IEventStore) -> None:
        """L8: and nothing else of its stream, whatever its name is."""
        consumer = await Consumer(store, [replace(WOKEN, to=PER_EVENT)]).register()
        events = await consumer.wake("a", 3, to=PER_EVENT)
        await stored(store, "a", 2)
        leases = await consumer.claim(max_events=2)
        assert sorted(positions([*leases[0].events, *leases[1].events, *leases[2].events])) == (
            positions(events)
        )
        for lease in leases:
            event = single(lease.events)
            assert (lease.key, lease.upto) == (str(event.position), event.position)

    async def test_events_are_handed_out_as_they_are_read(self, store: IEventStore) -> None:
        """L5: with all their parts, and containers of the reader's own."""
        consumer = await Consumer(store, [SCANNED]).register()
        first = added(1)
        event = NewEvent(
            "Added",
            {"z": [1, 1.0, "é🛒\0"], "a": None},
            correlation="c",
            causation=first.id,
            meta={"trace": "x"},
            private={"name": "Ann"},
        )
        expected = await stored(store, "a", [first, event])
        page = await consumer.page()
        assert list(page.events) == expected
        await consumer.route(page)
        for _ in range(2):
            lease = await consumer.lease()
            assert list(lease.events) == expected
            lease.events[1].data["z"].append(2)
            lease.events[1].meta["trace"] = "y"
            await store.release([lease])

    async def test_events_that_are_gone_leave_an_empty_window(self, store: IEventStore) -> None:
        """L5: which reaches the mark, so that the target goes on."""
        consumer = await Consumer(store, [_KEYED], keys=lambda _: ("k",)).register()
        await stored(store, "a", 2)
        await consumer.catch_up()
        assert await store.delete_stream("a")
        lease = await consumer.lease()
        assert (list(lease.events), lease.upto) == ([], lease.mark)
        assert await consumer.finish(lease, Done(), at=lease.upto) is None
        assert await consumer.claim() == []
        later = await stored(store, "b", 2)
        await consumer.catch_up()
        assert await consumer.drain() == later
