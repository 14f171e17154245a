"""Scans: who reads the log for a reaction, from where, and up to where."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random

from arvo_event_store._errors import InvalidEventError, ReactionChangedError
from arvo_event_store._event import NewEvent
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import ScanPage
from arvo_event_store._store import IEventStore

from ._consumer import (
    MINUTE,
    SCANNED,
    TTL,
    WOKEN,
    Advance,
    ConnectStore,
    Consumer,
    positions,
    rounds,
    stored,
)
from ._expectations import listed, refused, some

_BOTH = (SCANNED, replace(SCANNED, name="s"))


class Scanning:
    """One owner at a time scans a reaction, and what it reads misses nothing."""

    async def test_pages_are_the_log_in_order(self, store: IEventStore) -> None:
        """S5: each event once, up to the horizon; what comes later is in the next page."""
        consumer = await Consumer(store).register()
        empty = await consumer.page()
        assert (empty.group, empty.owner, list(empty.events)) == ("g", consumer.owner, [])
        assert (empty.complete, empty.others, {*empty.tokens}) == (True, False, {"r"})
        expected = await stored(store, "a", 4) + await stored(store, "b", 3)
        pages: list[ScanPage] = []
        for _ in rounds():
            pages.append(await consumer.page(limit=3))
            assert await consumer.route(pages[-1])
            if pages[-1].complete:
                break
        assert [event for page in pages for event in page.events] == expected
        assert all(len(page.events) <= 3 for page in pages)
        _check_ranges(pages)
        assert pages[-1].upto == await store.horizon()
        assert not (await consumer.page()).events
        assert await consumer.catch_up() == []
        later = await stored(store, "a")
        assert await consumer.catch_up() == later

    async def test_one_owner_scans_a_reaction(self, store: IEventStore, advance: Advance) -> None:
        """S6: until its lease ends, which each of its scans prolongs; then others take it over."""
        mine = await Consumer(store).register()
        others = Consumer(store, _BOTH)
        await others.store.register("g", [_BOTH[1]])
        await stored(store, "a", 2)
        first = await mine.page()
        await advance(TTL - MINUTE)
        page = await mine.page()
        assert page.tokens == first.tokens
        await advance(TTL - MINUTE)
        assert await Consumer(store).scan() is None
        assert {*(await others.page()).tokens} == {"s"}
        await advance(2 * MINUTE)
        taken = await Consumer(store).page()
        assert taken.tokens["r"] > page.tokens["r"]
        assert await mine.scan() is None
        before = await store.lag("g")
        assert not await mine.route(page)
        assert not await mine.route(first)
        assert (await store.lag("g"), await mine.targets()) == (before, [])
        assert len(taken.events) == 2
        assert await Consumer(store, owner=taken.owner).route(taken)
        assert len(await mine.targets()) == 1

    async def test_a_scan_that_ran_out_stands_until_it_is_taken(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """S6: the token decides, not the time."""
        consumer = await Consumer(store).register()
        await stored(store, "a")
        page = await consumer.page()
        await advance(2 * TTL)
        assert await consumer.route(page)
        assert (await consumer.lag()).unscanned == 0

    async def test_of_racing_scanners_one_gets_the_page(
        self, store: IEventStore, connect: ConnectStore, advance: Advance
    ) -> None:
        """S6: a free one, and one that ran out, each with a higher token."""
        await Consumer(store).register()
        last = -1
        async with connect() as first, connect() as second:
            for _ in range(3):
                racers = [Consumer(each) for each in (store, first, second) for _ in range(4)]
                found = await asyncio.gather(*(racer.scan() for racer in racers))
                (page,) = [page for page in found if page is not None]
                assert page.tokens["r"] > last
                last = page.tokens["r"]
                await advance(TTL + MINUTE)

    async def test_a_scanner_that_leaves_lets_others_scan(self, store: IEventStore) -> None:
        """S6: at once; its last page is refused then. Whoever does not scan has nothing to leave."""
        mine, other = await Consumer(store).register(), Consumer(store)
        await stored(store, "a")
        page = await mine.page()
        await store.leave("g", owner=other.owner)
        await store.leave("G", owner=mine.owner)
        assert await other.scan() is None
        for _ in range(2):
            await store.leave("g", owner=mine.owner)
        assert not await mine.route(page)
        await other.page()
        await store.leave("g", owner=mine.owner)
        assert await mine.scan() is None
        await store.leave("g", owner=other.owner)
        again = await mine.page()
        assert again.tokens["r"] > page.tokens["r"]
        assert not await mine.route(page)
        assert await mine.route(again)

    async def test_a_page_of_several_reactions_is_stored_whole_or_not_at_all(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """S5: if somebody else scans one of them by now, nothing is."""
        mine = await Consumer(store, _BOTH).register()
        await stored(store, "a", 2)
        page = await mine.page()
        assert {*page.tokens} == {*page.scanned} == {"r", "s"}
        await advance(TTL)
        await Consumer(store, [_BOTH[1]]).page()
        before = await store.lag("g")
        assert not await mine.route(page)
        assert (await store.lag("g"), await mine.targets()) == (before, [])

    async def test_progress_is_kept_for_each_reaction(self, store: IEventStore) -> None:
        """S5: only of those that are named, and it never goes back."""
        consumer = await Consumer(store, _BOTH).register()
        first = await stored(store, "a", 2)
        old = await consumer.page()
        assert await consumer.mark(old, progress=["r"])
        page = await consumer.page()
        assert page.scanned == {"r": old.upto, "s": 0}
        assert list(page.events) == first
        await stored(store, "a", 2)
        await consumer.catch_up()
        before = await store.lag("g")
        assert await consumer.mark(old)
        assert await store.lag("g") == before

    async def test_a_reaction_from_the_beginning_holds_up_nobody(self, store: IEventStore) -> None:
        """S9: those that are far apart are read in pages of their own, from either end."""
        await stored(store, "a", 20)
        old, live = replace(SCANNED, name="old"), replace(SCANNED, name="live", start="now")
        consumer = await Consumer(store, [old, live]).register()
        later = await stored(store, "a")
        page = await consumer.page(limit=5)
        assert ({*page.tokens}, page.others, page.complete) == ({"live"}, True, True)
        assert list(page.events) == later
        assert await consumer.route(page)
        pages: list[ScanPage] = []
        for _ in range(30):
            pages.append(await consumer.page(limit=5, leading=False))
            assert await consumer.route(pages[-1])
            if not pages[-1].others:
                break
            assert {*pages[-1].tokens} == {"old"}
            assert len(pages[-1].events) == 5
        assert {*pages[-1].tokens} == {"old", "live"}
        _check_ranges(pages)
        await consumer.catch_up(limit=5)
        marks = {each.reaction: each.mark for each in await consumer.targets()}
        assert marks == {"old": later[0].position, "live": later[0].position}

    async def test_reactions_begin_where_they_say(self, store: IEventStore) -> None:
        """S9: with the first event, with the next one, or after a position."""
        events = await stored(store, "a", 5)
        starts = {"beginning": "beginning", "now": "now", "middle": events[2].position, "zero": 0}
        specs = [replace(SCANNED, name=name, start=start) for name, start in starts.items()]  # type: ignore[arg-type]
        consumer = await Consumer(store, specs).register()
        events += await stored(store, "a", 2)
        await consumer.catch_up()
        ats = {each.reaction: each.at for each in await consumer.targets()}
        first = {"beginning": 0, "now": 5, "middle": 3, "zero": 0}
        assert ats == {name: events[index].position - 1 for name, index in first.items()}
        leases = await consumer.claim()
        assert {each.reaction: list(each.events) for each in leases} == {
            name: events[index:] for name, index in first.items()
        }

    async def test_only_events_that_a_reaction_takes_concern_it(self, store: IEventStore) -> None:
        """S8: by their names and the beginning of their streams, both literal."""
        by_name = ReactionSpec(name="names", events=("Added", "a%"))
        by_prefix = ReactionSpec(name="prefix", events=None, stream_prefix="a_")
        by_both = ReactionSpec(name="both", events=("added",), stream_prefix="a_")
        consumer = await Consumer(store, [by_name, by_prefix, by_both]).register()
        names = ("Added", "added", "Adde", "Added1", "a%", "ab")
        for stream in ("a_", "a_1", "ab", "A_1", "a", "b"):
            await stored(store, stream, [NewEvent(name, 1) for name in names])
        await consumer.catch_up(limit=7)
        found = {
            (lease.reaction, event.stream, event.name)
            for lease in await consumer.claim()
            for event in lease.events
        }
        streams = ("a_", "a_1", "ab", "A_1", "a", "b")
        assert found == {
            *(("names", stream, name) for stream in streams for name in ("Added", "a%")),
            *(("prefix", stream, name) for stream in ("a_", "a_1") for name in names),
            *(("both", stream, "added") for stream in ("a_", "a_1")),
        }

    async def test_what_no_reaction_takes_is_passed(self, store: IEventStore) -> None:
        """S8: also if a whole page would be of it."""
        consumer = await Consumer(store).register()
        await stored(store, "a", [NewEvent("Other", number) for number in range(20)])
        wanted = await stored(store, "a")
        await stored(store, "a", [NewEvent("Other", number) for number in range(20)])
        seen = await consumer.catch_up(limit=5)
        assert [event for event in seen if event.name == "Added"] == wanted
        assert (await consumer.lag()).unscanned == 0

    async def test_addressed_reactions_are_compared_and_not_scanned(
        self, store: IEventStore
    ) -> None:
        """S8: a worker with an old definition of one is stopped all the same."""
        woken = replace(WOKEN, name="woken")
        consumer = await Consumer(store, [SCANNED, woken]).register()
        await stored(store, "a", 2)
        page = await consumer.page()
        assert {*page.tokens} == {*page.scanned} == {"r"}
        assert (await consumer.lag("woken")).unscanned == 0
        assert await Consumer(store, [woken]).scan() is None
        changed = [SCANNED, replace(woken, lane="other")]
        await refused(Consumer(store, changed).scan(), ReactionChangedError)

    async def test_pages_beside_writers_miss_nothing(self, store: IEventStore) -> None:
        """S5, H2: and never pass the horizon."""
        consumer = await Consumer(store).register()

        async def write(number: int) -> None:
            draw = Random(number)  # noqa: S311 - it draws tests
            for _ in range(8):
                await asyncio.sleep(0)
                await stored(store, f"s{draw.randrange(3)}", draw.choice((1, 2)))

        writing = asyncio.gather(*(write(number) for number in range(8)))
        pages: list[ScanPage] = []
        for _ in rounds(100_000):
            is_last = writing.done()
            page = await consumer.page(limit=5)
            assert page.upto <= await store.horizon(), "the page passed the horizon"
            assert await consumer.route(page)
            pages.append(page)
            if is_last and page.complete:
                break
            await asyncio.sleep(0)
        await writing
        _check_ranges(pages)
        seen = [event for page in pages for event in page.events]
        assert seen == await listed(store.read_all())

    async def test_wrong_scans_are_refused(self, store: IEventStore) -> None:
        """S5: before anything is leased."""
        consumer = await Consumer(store).register()
        owner, page = consumer.owner, await consumer.page()
        await store.leave("g", owner=owner)

        async def scan(
            group: str = "g", *, ttl: object = TTL, limit: object = 5, times: int = 1
        ) -> object:
            reactions: Sequence[ReactionSpec] = [SCANNED] * times
            return await store.scan(
                group,
                owner=owner,
                ttl=ttl,  # type: ignore[arg-type]
                reactions=reactions,
                limit=limit,  # type: ignore[arg-type]
            )

        await refused(scan("a\0"), InvalidEventError)
        await refused(scan(ttl=5), TypeError)
        for ttl in (timedelta(milliseconds=99), timedelta(0), timedelta(days=2)):
            await refused(scan(ttl=ttl), ValueError)
        await refused(scan(limit=0), ValueError)
        await refused(scan(limit="5"), TypeError)
        await refused(scan(times=2), ValueError)
        assert not await consumer.mark(page)
        await Consumer(store).page()

    async def test_scans_of_many_events_are_cut(self, store: IEventStore) -> None:
        """S5: at the limit, whatever is in between for others."""
        consumer = await Consumer(store, _BOTH).register()
        for stream in ("a", "b", "c"):
            await stored(store, stream, some(40))
        page = await consumer.page(limit=50)
        assert (len(page.events), page.complete) == (50, False)
        assert page.upto == page.events[-1].position
        assert positions(page.events) == sorted(positions(page.events))


def _check_ranges(pages: Sequence[ScanPage]) -> None:
    """Fail unless pages that were all stored follow each other, with their events in order."""
    for page in pages:
        found = positions(page.events)
        assert found == sorted(set(found))
        assert all(min(page.scanned.values()) < each <= page.upto for each in found)
    for before, after in pairwise(pages):
        for name, scanned in after.scanned.items():
            assert scanned == before.upto or name not in before.scanned
