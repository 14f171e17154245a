"""Connections and servers that end at critical moments."""

import asyncio
import os
import random
from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from real_servers.fixtures import StartPostgres
from typing_extensions import override

from arvo_event_store import Append, Appended, Expect, NewEvent, StoreFailure
from arvo_event_store.postgres import PostgresEventStore
from arvo_time import SystemClock

from .conftest import Connect, Show, behind_proxy, fetch, quoted

FULL = os.environ.get("ARVO_FULL") == "1"
INSTANTS = 400 if FULL else 100
CRASHES = 20 if FULL else 2
WRITERS = 8


class Impatient(SystemClock):
    """Does not wait between two tries."""

    @override
    async def sleep(self, delay: timedelta) -> None:
        await asyncio.sleep(0)


@pytest.mark.alone
@pytest.mark.scaled
async def test_an_append_whose_connection_is_cut_is_stored_once(
    postgres_dsn: str, schema: str, show: Show
) -> None:
    """Cut at any byte of the statement or of its answer, with and without a way to ask again."""
    chance = random.Random(7)
    outcomes = Counter[str]()
    async with behind_proxy(postgres_dsn, schema, clock=Impatient()) as (proxy, store):
        await store.append("a", [NewEvent("Added", "before")])
        for number in range(1, INSTANTS + 1):
            mark = f"mark {number}."
            batch = [NewEvent("Added", mark), NewEvent("Added", number)]
            n_bytes = chance.randrange(60)
            if chance.random() < 0.3:
                fault = proxy.lose_next_request(containing=mark.encode(), n_bytes=n_bytes)
            else:
                fault = proxy.cut_reply_after(n_bytes, containing=mark.encode())
            blocked = chance.random() < 0.3
            call = asyncio.ensure_future(store.append("a", batch, expect=2 * number - 2))
            await fault.happened.wait()
            proxy.refusing = blocked
            (done,) = await asyncio.gather(call, return_exceptions=True)
            if isinstance(done, StoreFailure):
                assert (done.retryable, done.outcome) == (True, "unknown")
                outcomes["unknown"] += 1
                proxy.refusing = False
                done = await store.append("a", batch, expect=2 * number - 2)
            else:
                assert isinstance(done, Appended)
                outcomes["a duplicate" if done.duplicate else "stored by another try"] += 1
            assert (done.version, done.count) == (2 * number, 2)
        events = [event async for event in store.read("a")]
    show(f"{INSTANTS} cuts: {dict(outcomes)}")
    assert [event.version for event in events] == list(range(2 * INSTANTS + 1))
    assert min(outcomes.values()) > INSTANTS // 20
    assert len(outcomes) == 3


async def test_an_append_whose_answer_is_lost_is_found_by_its_second_try(
    postgres_dsn: str, schema: str
) -> None:
    """It is no conflict with itself, of one stream or of several."""
    async with behind_proxy(postgres_dsn, schema) as (proxy, store):
        await store.append("before", [NewEvent("Added", 1)])
        fault = proxy.lose_next_reply(containing=b"a mark in the data")
        batch = [NewEvent("Added", "a mark in the data")]
        assert (await store.append("a", batch, expect=Expect.NO_STREAM)).version == 0
        assert fault.happened.is_set()
        fault = proxy.lose_next_reply(containing=b"another mark")
        appends = [
            Append("a", [NewEvent("Added", "another mark")], expect=0),
            Append("b", [NewEvent("Added", 2)], expect=Expect.NO_STREAM),
        ]
        assert [each.version for each in await store.append_all(appends)] == [1, 0]
        assert fault.happened.is_set()
        assert [event.version async for event in store.read("a")] == [0, 1]


async def test_a_lost_append_is_unknown_when_the_store_is_closed(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """It cannot ask any more; the same call on another store says what became of it."""
    batch = [NewEvent("Added", "a mark in the data")]
    async with behind_proxy(postgres_dsn, schema) as (proxy, store):
        await store.append("before", [NewEvent("Added", 1)])
        fault = proxy.lose_next_reply(containing=b"a mark in the data")
        call = asyncio.ensure_future(store.append("a", batch))
        await fault.happened.wait()
        await store.aclose()
        with pytest.raises(StoreFailure, match="closed") as caught:
            await call
        assert caught.value.outcome == "unknown"
    async with connect_to() as store:
        assert (await store.append("a", batch)).duplicate


async def test_a_commit_whose_answer_is_lost_has_an_unknown_outcome(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """What the user did in the transaction cannot be asked for; the same append again is safe."""
    batch = [NewEvent("Added", 1)]
    async with behind_proxy(postgres_dsn, schema) as (proxy, store):

        async def lose_the_answer() -> None:
            async with store.transaction() as transaction:
                await transaction.append("a", batch)
                proxy.lose_next_reply(containing=b"COMMIT")

        with pytest.raises(StoreFailure) as caught:
            await lose_the_answer()
        assert (caught.value.outcome, caught.value.retryable) == ("unknown", True)
        assert (await store.append("a", batch)).duplicate


@pytest.mark.alone
@pytest.mark.scaled
async def test_a_killed_server_loses_nothing_it_acknowledged(
    start_postgres: StartPostgres, show: Show
) -> None:
    """SIGKILL with fsync on, in the middle of appends."""
    server = start_postgres()
    async with PostgresEventStore.connect(server.dsn) as store:
        await store.migrate()
    acknowledged: dict[str, dict[int, int]] = {f"s{number}": {} for number in range(WRITERS)}
    numbers = count()

    async def append(store: PostgresEventStore, stream: str) -> None:
        while True:
            number = next(numbers)
            done = await store.append(stream, [NewEvent("Added", number)])
            assert done.version is not None
            acknowledged[stream][done.version] = number

    for crash in range(CRASHES):
        async with PostgresEventStore.connect(server.dsn) as store:
            before = sum(map(len, acknowledged.values()))
            writers = [asyncio.ensure_future(append(store, stream)) for stream in acknowledged]
            while sum(map(len, acknowledged.values())) < before + 50 + 13 * crash:  # noqa: ASYNC110
                await asyncio.sleep(0)
            server.kill()
            ended = await asyncio.gather(*writers, return_exceptions=True)
            assert all(isinstance(error, StoreFailure) for error in ended), ended
        server.restart()
        async with PostgresEventStore.connect(server.dsn) as store:
            stored = 0
            for stream, versions in acknowledged.items():
                events = [event async for event in store.read(stream)]
                assert [event.version for event in events] == list(range(len(events)))
                data = [event.data for event in events]
                assert {version: data[version] for version in versions} == versions
                stored += len(events)
            assert await store.horizon() >= stored
    kept = sum(map(len, acknowledged.values()))
    show(f"{CRASHES} crashes: {kept} appends acknowledged, {stored} stored, lost 0")


async def test_a_database_that_asks_for_another_try_gets_it(
    store: PostgresEventStore, postgres_dsn: str
) -> None:
    """40001, 40P01 and 55P03: an append that meets each of them is stored."""
    schema = quoted(store._tables.schema)
    for state in ("40001", "40P01", "55P03"):
        await fetch(postgres_dsn, f"CREATE SEQUENCE {schema}.tries")
        await fetch(
            postgres_dsn,
            f"CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF nextval('{schema}.tries') < 3 THEN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; "
            "END IF; RETURN NEW; END $$",
        )
        await fetch(
            postgres_dsn,
            f"CREATE TRIGGER refuse BEFORE INSERT ON {schema}.event "
            f"FOR EACH ROW EXECUTE FUNCTION {schema}.refuse()",
        )
        try:
            assert (await store.append(f"s{state}", [NewEvent("Added", 1)])).version == 0
            ((tries,),) = await fetch(postgres_dsn, f"SELECT last_value FROM {schema}.tries")
            assert tries == 3
        finally:
            await fetch(postgres_dsn, f"DROP FUNCTION {schema}.refuse CASCADE")
            await fetch(postgres_dsn, f"DROP SEQUENCE {schema}.tries")
