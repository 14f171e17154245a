"""Clients that want the same targets, and targets that write to each other."""

import asyncio
import os
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from arvo_event_store import Append, IEventStore, NewEvent, Wake
from arvo_event_store.stores import Done, Finish, Lease, ReactionSpec

from .conftest import Connect, Show, fetch
from .test_wakes import DEADLOCKS

FULL = os.environ.get("ARVO_FULL") == "1"
CLIENTS = 6
ROUNDS = 400 if FULL else 60
TARGETS = 20
HOUR = timedelta(hours=1)
WOKEN = ReactionSpec(name="r", events=None, addressed=True)
WAKE = Wake(group="g", reaction="r", lane="default")


async def claim(store: IEventStore, *, lagging: int = 2, leading: int = 1) -> list[Lease]:
    """Take leases that no test outlives, as a worker of its own."""
    return await store.claim(
        "g",
        owner=uuid4(),
        ttl=HOUR,
        reactions=[WOKEN],
        lane="default",
        lagging=lagging,
        leading=leading,
        max_events=10,
        max_bytes=2**20,
    )


async def finished(
    store: IEventStore, lease: Lease, appends: Sequence[Append] = ()
) -> Exception | None:
    finish = Finish(lease=lease, at=lease.upto, then=Done(), appends=appends)
    (answer,) = await store.finish([finish])
    return answer.error


@pytest.mark.scaled
async def test_no_target_is_given_to_two(connect_to: Connect, show: Show) -> None:
    """Six clients, each with its own pool; what is finished has work again at once."""
    held: set[str] = set()
    tokens: dict[str, int] = {}
    empty = taken = 0
    async with connect_to() as first:
        await first.register("g", [WOKEN])
        for number in range(TARGETS):
            await first.append_all([Append(f"s{number}", [NewEvent("Added", 1)], wakes=[WAKE])])

        async def work(number: int) -> None:
            nonlocal empty, taken
            async with connect_to(pool_size=2) as store:
                for _ in range(ROUNDS):
                    leases = await claim(store)
                    empty += not leases
                    for lease in leases:
                        assert lease.key not in held
                        assert lease.token > tokens.get(lease.key, 0)
                        held.add(lease.key)
                        tokens[lease.key] = lease.token
                        taken += 1
                    for lease in leases:
                        # From here on, the statement may be done, and the target somebody else's.
                        held.remove(lease.key)
                        own = Append(lease.key, [NewEvent("Added", number)], wakes=[WAKE])
                        assert await finished(store, lease, [own]) is None

        await asyncio.gather(*(work(number) for number in range(CLIENTS)))
        targets = {each.key: each async for each in first.targets("g")}
        events = {key: [event async for event in first.read(key)] for key in targets}
    show(f"{CLIENTS} clients: {taken} leases, {empty} empty claims, given to two 0")
    assert sum(map(len, events.values())) == TARGETS + taken
    for key, target in targets.items():
        assert target.mark == events[key][-1].position


@pytest.mark.alone
@pytest.mark.scaled
async def test_targets_that_write_to_each_other_do_not_deadlock(
    postgres_dsn: str, connect_to: Connect, show: Show
) -> None:
    """F11: three, in a ring and to themselves, in one statement each; two streams at a time."""
    ((before,),) = await fetch(postgres_dsn, DEADLOCKS)
    names = ["s0", "s1", "s2"]
    hops = 0
    async with connect_to() as first:
        await first.register("g", [WOKEN])
        for name in names:
            await first.append_all([Append(name, [NewEvent("Sent", 0)], wakes=[WAKE])])

        async def work(number: int) -> None:
            nonlocal hops
            async with connect_to(pool_size=2) as store:
                while hops < 2 * ROUNDS:
                    turn = hops
                    for lease in await claim(store, lagging=1 + number % 2):
                        place = names.index(lease.key)
                        to = {names[(place + 1) % 3], names[(place + turn) % 3]}
                        outputs = [
                            Append(each, [NewEvent("Sent", turn)], wakes=[WAKE])
                            for each in sorted(to, reverse=bool(turn % 2))
                        ]
                        assert await finished(store, lease, outputs) is None
                        hops += 1

        await asyncio.gather(*(work(number) for number in range(CLIENTS)))
        targets = {each.key: each async for each in first.targets("g")}
        heads = await first.heads(names)
        last = {
            name: [event.position async for event in first.read(name, backward=True, limit=1)]
            for name in names
        }
    ((now,),) = await fetch(postgres_dsn, DEADLOCKS)
    show(f"{hops} hops between three targets, deadlocks {now - before}")
    assert now == before
    assert {name: [target.mark] for name, target in targets.items()} == last
    assert sum(head.version + 1 for head in heads.values()) > hops
