"""Marks: the targets that the pages of a scan concern."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from arvo_event_store._append import Append
from arvo_event_store._errors import InvalidEventError
from arvo_event_store._event import Event
from arvo_event_store._lease import Progress
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Mark, UnroutedEvent
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, PER_STREAM, TargetKind, TargetState

from ._consumer import MINUTE, SCANNED, TTL, Advance, Consumer, at_rest, positions, single, stored
from ._expectations import added, refused, some
from ._pages import marks_of

KEYED: Final = replace(SCANNED, to=TargetKind.KEY)
"""A reaction with keys of its own."""


class Marking:
    """A target is marked with the progress of the scan, or not at all."""

    async def test_a_first_event_can_be_claimed(self, store: IEventStore) -> None:
        """S4: of each kind of target, from the first position on."""
        specs = [
            ReactionSpec(name=kind.value, events=("Added",), to=kind, lane=f"lane {kind.value}")
            for kind in TargetKind
        ]
        consumer = await Consumer(store, specs).register()
        (event,) = await stored(store, "a")
        await consumer.catch_up()
        found = {each.reaction: each for each in await consumer.targets()}
        keys = {"stream": "a", "event": str(event.position), "key": "a", "log": "log"}
        assert {name: each.key for name, each in found.items()} == keys
        for name, target in found.items():
            assert target == TargetState(
                group="g",
                reaction=name,
                key=keys[name],
                lane=f"lane {name}",
                stream="a" if name in {"stream", "event"} else None,
                once=name == "event",
                at=event.position - 1,
                mark=event.position,
                attempt=0,
                failed=0,
                token=target.token,
                due=None,
                blocked_at=None,
                error=None,
                error_position=None,
            )
            lease = single(await consumer.claim(lane=f"lane {name}"))
            assert list(lease.events) == [event]
            await consumer.done(lease)
        assert [each.reaction for each in await consumer.targets()] == ["key", "log", "stream"]

    async def test_marks_only_grow(self, store: IEventStore) -> None:
        """S2: an old page that is stored again changes nothing."""
        consumer = await Consumer(store).register()
        await stored(store, "a", 2)
        old = await consumer.page()
        assert await consumer.route(old)
        await stored(store, "a", 2)
        await consumer.catch_up()
        before = await consumer.targets()
        assert await consumer.route(old)
        assert await consumer.targets() == before
        await consumer.drain()
        before = await consumer.targets()
        assert await consumer.route(old)
        assert await consumer.targets() == before
        assert await consumer.claim() == []

    async def test_a_target_that_exists_keeps_all_but_its_mark(self, store: IEventStore) -> None:
        """S2: its lane, its watermark, its lease, its failures."""
        consumer = await Consumer(store).register()
        first = await stored(store, "a", 2)
        await consumer.catch_up()
        lease = await consumer.lease()
        error = await consumer.finish(lease, Progress(ttl=TTL), at=first[0].position)
        assert error is None
        before = await consumer.target("a")
        (later,) = await stored(store, "a")
        mark = Mark(
            reaction="r",
            key="a",
            lane="other",
            reads=PER_STREAM,
            stream="a",
            at=later.position - 1,
            mark=later.position,
        )
        assert await consumer.mark(await consumer.page(), mark)
        assert await consumer.target("a") == replace(before, mark=later.position)
        await consumer.done(lease)
        assert list((await consumer.lease()).events) == [later]

    async def test_a_mark_may_come_while_a_target_is_idle(self, store: IEventStore) -> None:
        """S2: its watermark is that of its own last event, wherever the log is."""
        consumer = await Consumer(store).register()
        for _ in range(3):
            await stored(store, "b", 2)
            events = await stored(store, "a", 2)
            await consumer.catch_up()
            leases = {lease.key: lease for lease in await consumer.claim()}
            assert list(leases["a"].events) == events
            await consumer.done(*leases.values())
            target = await consumer.target("a")
            assert target.at == target.mark == events[-1].position

    async def test_an_event_concerns_three_keys(self, store: IEventStore) -> None:
        """S7: each gets it, beside its own others, in order."""
        targets = {0: ("x", "y", "z"), 1: ("y",), 2: (), 3: ("z", "y"), 4: ("é%",)}

        def keys_of(event: Event) -> tuple[str, ...]:
            return targets[event.data["amount"]]

        consumer = await Consumer(store, [KEYED], keys=keys_of).register()
        events = [event for stream in ("a", "b") for event in await stored(store, stream, 5)]
        await consumer.catch_up(limit=4)
        found = {lease.key: list(lease.events) for lease in await consumer.claim()}
        assert found == {
            key: [event for event in events if key in keys_of(event)]
            for key in ("x", "y", "z", "é%")
        }

    async def test_an_event_is_listed_once(self, store: IEventStore) -> None:
        """S7: although its page was stored twice, also when it was done meanwhile."""
        consumer = await Consumer(store, [KEYED], keys=lambda _: ("k",)).register()
        events = await stored(store, "a", 3)
        page = await consumer.page()
        for _ in range(2):
            assert await consumer.mark(page, _listed("k", *events))
        assert await consumer.drain() == events
        assert await consumer.mark(page, _listed("k", *events))
        assert await consumer.claim() == []
        later = await stored(store, "a", 2)
        await consumer.catch_up()
        assert await consumer.drain() == later

    async def test_unrouted_events_are_put_aside(self, store: IEventStore) -> None:
        """S7: under the key "?", once, and others go on."""
        consumer = await Consumer(store, [KEYED]).register()
        first, second = await stored(store, "a", 2)
        page = await consumer.page()
        unrouted = UnroutedEvent(reaction="r", position=first.position, error="é: no key")
        for _ in range(2):
            assert await consumer.mark(page, _listed("k", second), unrouted=[unrouted])
        parked = single(await consumer.parked())
        assert (parked.group, parked.reaction, parked.key) == ("g", "r", "?")
        assert (parked.position, parked.error, parked.attempts) == (first.position, "é: no key", 0)
        assert abs(parked.parked_at - first.created) < 10 * MINUTE
        assert parked.parked_at.utcoffset() == timedelta(0)
        assert list((await consumer.lease()).events) == [second]
        lag = await consumer.lag()
        assert (lag.parked, lag.unscanned) == (1, 0)

    async def test_what_is_refused_marks_lists_and_parks_nothing(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """S5: a scanner that was too slow leaves nothing behind."""
        slow = await Consumer(store, [KEYED]).register()
        events = await stored(store, "a", 3)
        page = await slow.page()
        await advance(TTL)
        quick = Consumer(store, [KEYED])
        current = await quick.page()
        unrouted = UnroutedEvent(reaction="r", position=events[0].position, error="x")
        assert not await slow.mark(page, _listed("k", *events), unrouted=[unrouted])
        assert (await slow.targets(), await slow.parked()) == ([], [])
        assert (await slow.lag()).scanned == 0
        assert await quick.mark(current, _listed("k", events[2]))
        assert list((await quick.lease()).events) == [events[2]]

    async def test_a_mark_of_an_event_whose_target_is_gone_does_nothing_twice(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """S5, L8: whoever scanned the event before is refused, so that it is not done again."""
        slow = await Consumer(store, [replace(SCANNED, to=PER_EVENT)]).register()
        await stored(store, "a", 2)
        page = await slow.page()
        await advance(TTL)
        quick = Consumer(store, slow.reactions)
        await quick.catch_up()
        assert len(await quick.drain()) == 2
        assert not await slow.route(page)
        assert (await slow.targets(), await slow.claim()) == ([], [])

    async def test_a_page_that_is_stored_again_makes_no_event_again(
        self, store: IEventStore
    ) -> None:
        """S5, L8: what was done or replayed meanwhile stays so; its answer was lost, say."""
        specs = [replace(SCANNED, to=PER_EVENT), replace(KEYED, name="k")]
        consumer = await Consumer(store, specs).register()
        first, second = await stored(store, "a", 2)
        page = await consumer.page()
        unrouted = [UnroutedEvent(reaction="k", position=first.position, error="x")]
        marks = [
            *marks_of(page, specs[:1]),
            replace(_listed("a", second), reaction="k"),
        ]
        assert await consumer.mark(page, *marks, unrouted=unrouted)
        assert await store.replay("g", await consumer.parked()) == 1
        assert len(await consumer.drain()) == 4
        before = await consumer.targets()
        assert await consumer.mark(page, *marks, unrouted=unrouted)
        assert (await consumer.targets(), await consumer.parked()) == (before, [])
        assert await consumer.claim() == []

    async def test_pages_that_overlap_lose_nothing(self, store: IEventStore) -> None:
        """S5: each event once, for each kind of target, whichever is stored first."""
        specs = [ReactionSpec(name=kind.value, events=None, to=kind) for kind in TargetKind]
        consumer = await Consumer(store, specs).register()
        expected: list[tuple[str, int]] = []
        found: list[tuple[str, int]] = []
        for order in (1, -1):
            events = await stored(store, "a", 5)
            pages = [await consumer.page(limit=limit) for limit in (2, 100)]
            assert [len(page.events) for page in pages] == [2, 5]
            for page in pages[::order]:
                assert await consumer.route(page)
                for lease in await consumer.claim():
                    found += [(lease.reaction, event.position) for event in lease.events]
                    await consumer.done(lease)
            expected += [(spec.name, event.position) for spec in specs for event in events]
            assert sorted(found) == sorted(expected)
            assert (await consumer.lag("log")).unscanned == 0

    async def test_many_targets_are_marked_at_once(self, store: IEventStore) -> None:
        """S2: a thousand, of two reactions, whatever characters are in their keys."""
        specs = [replace(KEYED, name="k"), replace(SCANNED, name="e", to=PER_EVENT)]

        def keys_of(event: Event) -> tuple[str, ...]:
            return (f"é,\"'{{}}\\ {event.data['amount']} 🛒",)

        consumer = await Consumer(store, specs, keys=keys_of).register()
        await stored(store, "a", some(500))
        events = await consumer.catch_up(limit=1000)
        found = {(each.reaction, each.key) for each in await consumer.targets()}
        assert found == {
            *(("k", *keys_of(event)) for event in events),
            *(("e", str(position)) for position in positions(events)),
        }
        leases = await consumer.claim(lagging=600, leading=600)
        assert len(leases) == 1000
        await consumer.done(*leases)
        assert [at_rest(each).reaction for each in await consumer.targets()] == ["k"] * 500

    async def test_wrong_marks_are_refused(self, store: IEventStore) -> None:
        """S5: a target twice, a reaction that makes no progress or is not of the page."""
        consumer = await Consumer(store, [KEYED]).register()
        (event,) = await stored(store, "a")
        page = await consumer.page()
        mark = _listed("k", event)
        unrouted = UnroutedEvent(reaction="r", position=event.position, error="x")
        await refused(consumer.mark(page, mark, mark), ValueError)
        await refused(consumer.mark(page, mark, progress=[]), ValueError)
        await refused(consumer.mark(page, unrouted=[unrouted], progress=[]), ValueError)
        await refused(consumer.mark(page, progress=["r", "s"]), ValueError)
        for name in ("", "a\0", "\ud800", "x" * 513):
            await refused(consumer.mark(page, replace(mark, key=name)), InvalidEventError)
            await refused(consumer.mark(page, replace(mark, lane=name)), InvalidEventError)
        assert (await consumer.targets(), await consumer.parked()) == ([], [])
        assert (await consumer.lag()).scanned == 0
        assert await consumer.mark(page, mark)

    async def test_a_scan_and_a_wake_mark_the_same_target(self, store: IEventStore) -> None:
        """S2, A24: whichever comes first, nothing is left out and nothing is done twice."""
        consumer = await Consumer(store).register()
        first = await consumer.wake("a", 2)
        await consumer.catch_up()
        second = await stored(store, "a")
        await consumer.catch_up()
        third = await consumer.wake("a")
        await store.append_all([Append("b", [added(1)])])
        await consumer.catch_up()
        leases = {lease.key: list(lease.events) for lease in await consumer.claim()}
        assert leases["a"] == [*first, *second, *third]
        assert {*leases} == {"a", "b"}


def _listed(key: str, *events: Event) -> Mark:
    return Mark(
        reaction="r",
        key=key,
        lane="default",
        reads=TargetKind.KEY,
        stream=None,
        at=events[0].position - 1,
        mark=events[-1].position,
        positions=positions(events),
    )
