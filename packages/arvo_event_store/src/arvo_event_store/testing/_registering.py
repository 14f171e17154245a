"""Reactions that are registered, again, otherwise, anew."""

import asyncio
from dataclasses import replace
from typing import Any, Final

from arvo_event_store._errors import InvalidEventError, ReactionChangedError
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, TargetKind

from ._consumer import SCANNED, WOKEN, ConnectStore, Consumer, at_rest, single, stored
from ._expectations import refused

_CHANGES: Final[tuple[dict[str, Any], ...]] = (
    {"events": ("Added", "Removed")},
    {"events": None},
    {"lane": "other"},
    {"stream_prefix": "a-"},
    {"to": PER_EVENT},
    {"addressed": True},
)


class Registering:
    """What a reaction listens to is registered, and does not change by accident."""

    async def test_registering_again_changes_nothing(self, store: IEventStore) -> None:
        """S1: in whatever order the names of events are, and wherever it would begin now."""
        first = replace(SCANNED, events=("Added", "Removed"))
        consumer = await Consumer(store, [first]).register()
        await stored(store, "a", 2)
        await consumer.catch_up()
        before, targets = await store.lag("g"), await consumer.targets()
        again = replace(first, events=("Removed", "Added"), start="now")
        await stored(store, "a")
        await store.register("g", [again, replace(again, name="s")])
        assert [each.reaction for each in await store.lag("g")] == ["r", "s"]
        assert (await consumer.lag()).scanned == before[0].scanned
        assert await consumer.targets() == targets
        await consumer.page()

    async def test_another_definition_is_refused_and_named(self, store: IEventStore) -> None:
        """S1: with what differs, what it was and what it is; nothing is changed."""
        await Consumer(store).register()
        for change in _CHANGES:
            changed = replace(SCANNED, **change)
            new = replace(SCANNED, name="new")
            error = await refused(store.register("g", [new, changed]), ReactionChangedError)
            ((name, value),) = change.items()
            said = value.value if isinstance(value, TargetKind) else value
            for text in ("'r'", name, "redefine" if name not in {"to", "addressed"} else "name"):
                assert text in str(error), f"{text!r} is not in {error}"
            for each in said if isinstance(said, tuple) else (said,):
                assert str(each) in str(error), f"{each!r} is not in {error}"
            await refused(Consumer(store, [new]).scan(), ReactionChangedError)
            await refused(Consumer(store, [changed]).scan(), ReactionChangedError)
        assert [each.reaction for each in await store.lag("g")] == ["r"]
        await Consumer(store).page()

    async def test_a_redefined_reaction_goes_on_where_it_was(self, store: IEventStore) -> None:
        """S1: its targets move to the new lane, and workers that know the old one are stopped."""
        old = await Consumer(store).register()
        other = await Consumer(store, [replace(SCANNED, name="s")]).register()
        await stored(store, "a", 2)
        await old.catch_up()
        await other.catch_up()
        lease = (await old.claim())[0]
        before = await old.targets()
        new = Consumer(store, [replace(SCANNED, events=("Added", "Removed"), lane="slow")])
        await store.register("g", new.reactions, redefine=True)
        assert (await new.lag()).scanned == (await other.lag("s")).scanned
        expected = [
            replace(each, lane="slow" if each.reaction == "r" else each.lane) for each in before
        ]
        assert await old.targets() == expected
        await refused(old.scan(), ReactionChangedError)
        await refused(old.register(), ReactionChangedError)
        await old.done(lease)
        await stored(store, "a")
        await store.leave("g", owner=old.owner)
        await new.catch_up()
        assert await old.claim() == []
        assert len(await new.claim(lane="slow")) == 1
        await other.page()

    async def test_a_page_of_the_old_definition_is_refused(self, store: IEventStore) -> None:
        """S1: it would pass events over that only the new definition takes."""
        old = await Consumer(store).register()
        await stored(store, "a", 2)
        page = await old.page()
        new = Consumer(store, [replace(SCANNED, events=("Added", "Removed"))])
        await store.register("g", new.reactions, redefine=True)
        assert not await old.route(page)
        assert await old.targets() == []
        assert (await new.lag()).scanned == 0
        assert len(await new.catch_up()) == 2

    async def test_who_knows_an_old_definition_claims_nothing(self, store: IEventStore) -> None:
        """S1: it would read targets by its names, and pass over what only the new one takes."""
        old = await Consumer(store).register()
        new = Consumer(store, [replace(SCANNED, events=("Added", "Removed"))])
        await store.register("g", new.reactions, redefine=True)
        await stored(store, "a", 2)
        await new.catch_up()
        assert await old.claim() == []
        (lease,) = await new.claim()
        assert len(lease.events) == 2

    async def test_what_targets_are_is_not_redefined(self, store: IEventStore) -> None:
        """S1: nor whether they are addressed; nothing is changed."""
        consumer = await Consumer(store).register()
        await stored(store, "a")
        await consumer.catch_up()
        before = await consumer.targets()
        for change in ({"to": PER_EVENT}, {"to": TargetKind.LOG}, {"addressed": True}):
            changed = replace(SCANNED, lane="slow", **change)
            new = replace(SCANNED, name="new")
            await refused(store.register("g", [new, changed], redefine=True), ReactionChangedError)
            assert [at_rest(each) for each in await consumer.targets()] == before
        assert [each.reaction for each in await store.lag("g")] == ["r"]
        await consumer.page()

    async def test_reactions_are_compared_exactly(self, store: IEventStore) -> None:
        """A9: names that differ in case, with %, _ or a common beginning, in groups of their own."""
        names = ["r", "R", "r%", "r_", "rr", "é", "🛒"]
        for group, lane in (("g", "one"), ("G", "two"), ("g%", "three")):
            specs = [ReactionSpec(name=name, events=None, lane=lane) for name in names]
            await store.register(group, specs)
        for group in ("g", "G", "g%"):
            assert [each.reaction for each in await store.lag(group)] == sorted(names)
        assert await store.lag("g_") == []
        await refused(Consumer(store, group="g_").scan(), ReactionChangedError)
        spec = ReactionSpec(name="R", events=None, lane="two")
        page = await Consumer(store, [spec], group="G").page()
        assert {*page.tokens} == {"R"}

    async def test_wrong_reactions_are_refused(self, store: IEventStore) -> None:
        """S1: a name against the rules, one name twice, no event, keys that appends would wake."""
        for name in ("", "a\0", "\ud800", "x" * 513):
            for wrong in (
                replace(SCANNED, name=name),
                replace(SCANNED, lane=name),
                replace(SCANNED, events=(name,)),
            ):
                await refused(store.register("g", [wrong]), InvalidEventError)
            await refused(store.register(name, [SCANNED]), InvalidEventError)
        for wrong in (
            replace(SCANNED, events=()),
            replace(WOKEN, to=TargetKind.KEY),
            replace(WOKEN, to=TargetKind.LOG),
            replace(SCANNED, start=-1),
        ):
            await refused(store.register("g", [wrong]), ValueError)
        await refused(store.register("g", [SCANNED, SCANNED]), ValueError)
        assert await store.lag("g") == []

    async def test_racing_registrations_agree(
        self, store: IEventStore, connect: ConnectStore
    ) -> None:
        """S1: of two definitions one is registered, whoever brings it."""

        async def register(client: IEventStore, lane: str) -> str | None:
            try:
                await client.register("g", [replace(SCANNED, lane=lane), _WOKEN_TOO])
            except ReactionChangedError:
                return None
            return lane

        async with connect() as first, connect() as second:
            clients = (store, first, second)
            lanes = await asyncio.gather(
                *(register(client, lane) for lane in ("one", "two") for client in clients)
            )
        lane = single({each for each in lanes if each is not None})
        assert lanes.count(lane) == 3
        assert [each.reaction for each in await store.lag("g")] == ["r", "woken"]
        await Consumer(store, [replace(SCANNED, lane=lane)]).page()


_WOKEN_TOO: Final = replace(WOKEN, name="woken")
