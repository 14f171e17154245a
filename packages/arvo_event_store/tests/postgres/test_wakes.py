"""Targets that are woken by writers that also write to each other, under kills."""

import asyncio
import os
import random
from contextlib import suppress

import asyncpg
import pytest

from arvo_event_store import Append, NewEvent, StoreFailure, Wake
from arvo_event_store.postgres import PostgresEventStore

from .conftest import Connect, Show, fetch

WRITERS = 8
ROUNDS = 400 if os.environ.get("ARVO_FULL") == "1" else 25
STREAMS = [f"s{number}" for number in range(4)]
WAKE = Wake(group="g", reaction="r", lane="l")


def appends(chance: random.Random) -> list[Append]:
    """Return appends to one, two or three streams, in any order, that wake them."""
    streams = chance.sample(STREAMS, k=chance.choice((1, 2, 3)))
    return [
        Append(each, [NewEvent("Sent", 1) for _ in range(chance.choice((1, 2)))], wakes=[WAKE])
        for each in streams
    ]


async def append(store: PostgresEventStore, wanted: list[Append], *, undone: bool) -> None:
    """Append in a statement, or in a transaction, which may be undone."""
    if not undone:
        await store.append_all(wanted)
        return
    with suppress(ZeroDivisionError):
        async with store.transaction() as transaction:
            await transaction.append_all(wanted)
            raise ZeroDivisionError


async def write(store: PostgresEventStore, number: int) -> int:
    """Append, and repeat what failed; return how many calls had to be repeated."""
    chance = random.Random(number)
    repeated = 0
    for _ in range(ROUNDS):
        wanted = appends(chance)
        undone = chance.random() < 0.2
        while True:
            call = append(store, wanted, undone=undone)
            (failure,) = await asyncio.gather(call, return_exceptions=True)
            if failure is None:
                break
            assert isinstance(failure, StoreFailure), failure
            assert failure.retryable, failure
            repeated += 1
    return repeated


async def kill(dsn: str, name: str, writing: asyncio.Future[list[int]]) -> int:
    """End connections of the writers until they have finished; return how many."""
    chance = random.Random(7)
    killed = 0
    connection = await asyncpg.connect(dsn)
    try:
        while not writing.done():
            await connection.execute("SELECT pg_sleep(0.02)")
            sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1"
            pids = [row["pid"] for row in await connection.fetch(sql, name)]
            if pids:
                killed += await connection.fetchval(
                    "SELECT pg_terminate_backend($1)::int", chance.choice(pids)
                )
    finally:
        await connection.close()
    return killed


DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.mark.alone
@pytest.mark.parametrize("known", [False, True], ids=["new-streams", "known-streams"])
async def test_appends_that_race_for_new_targets_do_not_deadlock(
    known: bool, postgres_dsn: str, schema: str
) -> None:
    """Most of them begin before there is one, and find it when they have the heads of their streams."""
    ((before,),) = await fetch(postgres_dsn, DEADLOCKS)
    streams = ["s0", "s1", "s2"]
    async with PostgresEventStore.connect(postgres_dsn, schema=schema, pool_size=20) as store:
        await asyncio.gather(*(store.heads(streams) for _ in range(20)))  # all are connected
        for stream in streams if known else []:
            await store.append(stream, [NewEvent("Sent", 1)])

        async def write(number: int) -> None:
            chosen = [streams[number % 3], streams[(number + 1) % 3]]
            appends = [Append(each, [NewEvent("Sent", 1)], wakes=[WAKE]) for each in chosen]
            await store.append_all(appends[:: 1 if number % 2 else -1])

        await asyncio.gather(*(write(number) for number in range(60)))
        heads = await store.heads(streams)
        assert sum(head.version for head in heads.values()) == (120 if known else 117)
    assert await fetch(postgres_dsn, DEADLOCKS) == [(before,)]


@pytest.mark.alone
@pytest.mark.scaled
async def test_targets_are_marked_to_the_last_event_whatever_dies(
    postgres_dsn: str, connect_to: Connect, schema: str, show: Show
) -> None:
    """Eight writers to four streams, each append to some of them."""
    ((deadlocked,),) = await fetch(postgres_dsn, DEADLOCKS)
    dsn = f"{postgres_dsn}?application_name=writers"
    async with PostgresEventStore.connect(dsn, schema=schema, pool_size=WRITERS) as store:
        writing = asyncio.gather(*(write(store, number) for number in range(WRITERS)))
        killed = await kill(postgres_dsn, "writers", writing)
        repeated = sum(await writing)
    async with connect_to() as store:
        events = [event async for event in store.read_all()]
        targets = {target.key: target async for target in store.targets("g")}
    ((now_deadlocked,),) = await fetch(postgres_dsn, DEADLOCKS)
    show(
        f"{len(events)} events, {killed} connections killed, {repeated} calls repeated, "
        f"deadlocks {now_deadlocked - deadlocked}"
    )
    assert killed
    assert now_deadlocked == deadlocked
    assert {key: target.mark for key, target in targets.items()} == {
        event.stream: event.position for event in events
    }
    for stream, target in targets.items():
        found = [event for event in events if event.stream == stream]
        assert [event.version for event in found] == list(range(len(found)))
        assert target.at == found[0].position - 1
