"""What a scan covers: which reactions, from where, and which events."""

from dataclasses import replace

from arvo_event_store._errors import ReactionChangedError
from arvo_event_store._event import NewEvent
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import ScanPage
from arvo_event_store._store import IEventStore

from ._consumer import SCANNED, WOKEN, Consumer, stored
from ._expectations import refused
from ._pages import check_ranges


class Covering:
    """A scan reads for those reactions that are close together what any of them takes."""

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
        check_ranges(pages)
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
