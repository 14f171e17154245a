"""Scans: who reads the log for a reaction, from where, and up to where."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

from arvo_event_store._errors import InvalidEventError
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import ScanPage
from arvo_event_store._store import IEventStore

from ._consumer import (
    MINUTE,
    SCANNED,
    TTL,
    Advance,
    ConnectStore,
    Consumer,
    positions,
    rounds,
    single,
    stored,
)
from ._expectations import listed, refused, some
from ._pages import check_ranges

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
        check_ranges(pages)
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
                page = single([page for page in found if page is not None])
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
        try:
            for _ in rounds(100_000):
                is_last = writing.done()
                page = await consumer.page(limit=5)
                assert page.upto <= await store.horizon(), "the page passed the horizon"
                assert await consumer.route(page)
                pages.append(page)
                if is_last and page.complete:
                    break
                await asyncio.sleep(0)
        finally:
            writing.cancel()
            await asyncio.wait([writing])
        await writing
        check_ranges(pages)
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
