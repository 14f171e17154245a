"""Connections that end while leases are finished."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from typing_extensions import override

from arvo_event_store import (
    PER_EVENT,
    Append,
    ConflictError,
    LeaseLostError,
    NewEvent,
    StoreFailure,
    Wake,
)
from arvo_event_store.postgres import PostgresEventStore
from arvo_event_store.stores import (
    Done,
    Finish,
    Finished,
    Lease,
    Mark,
    Progress,
    ReactionSpec,
    Retried,
    Statement,
    Then,
    Work,
)
from arvo_time import SystemClock

from .conftest import Connect, Show, behind_proxy, execute, fetch, quoted
from .test_faults import Impatient

INSTANTS = 400 if os.environ.get("ARVO_FULL") == "1" else 80
GROUP = "a-group"
"""No statement has it but among its values, so that a fault can wait for them."""
ME = UUID(int=1)
OTHER = UUID(int=2)
HOUR = timedelta(hours=1)
WOKEN = ReactionSpec(name="r", events=None, addressed=True)
EVENTS = replace(WOKEN, name="e", to=PER_EVENT)


async def woken(store: PostgresEventStore, data: int = 1, *, spec: ReactionSpec = WOKEN) -> None:
    await store.register(GROUP, [spec])
    wake = Wake(group=GROUP, reaction=spec.name, lane="default", to=spec.to)
    await store.append_all([Append("in", [NewEvent("Added", data)], wakes=[wake])])


async def leased(
    store: PostgresEventStore, *, owner: UUID = ME, spec: ReactionSpec = WOKEN
) -> Lease:
    (lease,) = await store.claim(
        GROUP,
        owner=owner,
        ttl=HOUR,
        reactions=[spec],
        lane="default",
        lagging=1,
        leading=0,
        max_events=100,
        max_bytes=2**20,
    )
    return lease


async def finished(
    store: PostgresEventStore,
    lease: Lease,
    then: Then | None = None,
    *,
    appends: Sequence[Append] = (),
    work: Sequence[Work] = (),
) -> Finished:
    finish = Finish(lease=lease, at=lease.upto, then=then or Done(), appends=appends, work=work)
    (answer,) = await store.finish([finish])
    return answer


async def data_of(store: PostgresEventStore, stream: str) -> list[object]:
    return [event.data async for event in store.read(stream)]


@pytest.fixture
async def numbers(postgres_dsn: str, schema: str) -> str:
    """Return a table of the user for numbers, without any constraint."""
    table = f"{quoted(schema)}.written"
    await execute(postgres_dsn, f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (number int)")
    return table


@pytest.mark.alone
@pytest.mark.scaled
@pytest.mark.parametrize("works", [False, True], ids=["outputs", "outputs-and-work"])
async def test_outputs_are_stored_once_or_not_at_all(
    works: bool, postgres_dsn: str, schema: str, connect_to: Connect, numbers: str, show: Show
) -> None:
    """Cut at any byte of the statement or its answer: who asks again finds what happened."""
    chance = random.Random(7)
    outcomes = Counter[str]()
    expected: list[object] = []
    async with (
        connect_to() as other,
        behind_proxy(postgres_dsn, schema, clock=Impatient()) as (proxy, store),
    ):
        await other.register(GROUP, [WOKEN])
        await store.heads(["in"])
        for number in range(INSTANTS):
            await woken(other, number)
            lease = await leased(other)
            mark = f"mark {number}."
            outputs = [Append("out", [NewEvent("Sent", mark)])]
            if number % 3 == 0:
                outputs.append(Append("more", [NewEvent("Sent", number)]))
            work = [Statement(f"INSERT INTO {numbers} VALUES ($1)", (number,))] if works else []
            n_bytes = chance.randrange(60)
            where = b"COMMIT" if works and chance.random() < 0.5 else mark.encode()
            if chance.random() < 0.3:
                fault = proxy.lose_next_request(containing=where, n_bytes=n_bytes)
            else:
                fault = proxy.cut_reply_after(n_bytes, containing=where)
            call = asyncio.ensure_future(finished(store, lease, appends=outputs, work=work))
            await fault.happened.wait()
            proxy.refusing = chance.random() < 0.3
            (answer,) = await asyncio.gather(call, return_exceptions=True)
            proxy.refusing = False
            if isinstance(answer, StoreFailure):
                assert answer.retryable
                target = await anext(other.targets(GROUP))
                stored = target.at == lease.upto
                assert answer.outcome == "unknown" or not stored
                outcomes["stored unknown" if stored else "failed"] += 1
                if not stored:
                    assert (await finished(other, lease)).error is None
            else:
                assert isinstance(answer, Finished)
                assert answer.error is None
                stored = True
                outcomes["stored"] += 1
            expected += [mark] if stored else []
            assert await data_of(other, "out") == expected
            if works:
                rows = await fetch(postgres_dsn, f"SELECT number FROM {numbers}")
                assert len(rows) == len(expected)
    show(f"{INSTANTS} cuts in finish: {dict(outcomes)}")
    assert outcomes["stored"]


async def test_an_end_whose_answer_is_lost_is_found(postgres_dsn: str, schema: str) -> None:
    """Our token without an owner is what the first try left; of an event, that its target is gone."""
    async with behind_proxy(postgres_dsn, schema) as (proxy, store):
        for spec in (WOKEN, EVENTS):
            await woken(store, spec=spec)
            lease = await leased(store, spec=spec)
            fault = proxy.lose_next_reply(containing=GROUP.encode())
            assert (await finished(store, lease)).error is None
            assert fault.happened.is_set()
            error = (await finished(store, lease)).error
            assert isinstance(error, LeaseLostError)


async def test_a_retry_whose_answer_is_lost_is_found(postgres_dsn: str, schema: str) -> None:
    async with behind_proxy(postgres_dsn, schema) as (proxy, store):
        await woken(store)
        lease = await leased(store)
        proxy.lose_next_reply(containing=b"a reason")
        then = Retried(error="a reason", position=lease.upto, failed=1, after=HOUR)
        finish = Finish(lease=lease, at=lease.at, then=then)
        assert [each.error for each in await store.finish([finish])] == [None]
        (target,) = [each async for each in store.targets(GROUP)]
        assert (target.failed, target.error) == (1, "a reason")


class Gate(SystemClock):
    """Waits between two tries until a test lets it go on."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    @override
    async def sleep(self, delay: timedelta) -> None:
        self.waiting.set()
        await self.go_on.wait()


@pytest.mark.parametrize("outputs", [False, True], ids=["plain", "outputs"])
async def test_an_end_that_somebody_else_followed(
    outputs: bool, postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """Outputs are known by their ids; of a plain end, nobody can tell any more."""
    clock = Gate()
    async with (
        connect_to() as other,
        behind_proxy(postgres_dsn, schema, clock=clock) as (proxy, store),
    ):
        await woken(other)
        await woken(other)
        await store.heads(["in"])
        lease = await leased(other)
        appends = [Append("out", [NewEvent("Sent", "a mark")])] if outputs else []
        finish = Finish(lease=lease, at=lease.events[0].position, then=Done(), appends=appends)
        proxy.lose_next_reply(containing=b"a mark" if outputs else GROUP.encode())
        call = asyncio.ensure_future(store.finish([finish]))
        await clock.waiting.wait()
        next_lease = await leased(other, owner=OTHER)
        clock.go_on.set()
        if outputs:
            assert [each.error for each in await call] == [None]
        else:
            with pytest.raises(StoreFailure) as caught:
                await call
            assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
        assert (await finished(other, next_lease)).error is None
        assert await data_of(other, "out") == (["a mark"] if outputs else [])


@pytest.mark.parametrize("outputs", [False, True], ids=["no-outputs", "outputs"])
@pytest.mark.parametrize("kept", [False, True], ids=["done", "progress"])
async def test_work_whose_commit_was_lost_is_not_done_again(
    kept: bool, outputs: bool, postgres_dsn: str, schema: str, numbers: str
) -> None:
    """Its lease says that it is done, or its watermark if the lease goes on."""
    async with behind_proxy(postgres_dsn, schema) as (proxy, store):
        await woken(store)
        lease = await leased(store)
        appends = [Append("out", [NewEvent("Sent", 1)])] if outputs else []
        fault = proxy.lose_next_reply(containing=b"COMMIT")
        done = await finished(
            store,
            lease,
            Progress(ttl=HOUR) if kept else Done(),
            appends=appends,
            work=[Statement(f"INSERT INTO {numbers} VALUES (1)")],
        )
        assert fault.happened.is_set()
        assert done.error is None
        assert len(await fetch(postgres_dsn, f"SELECT FROM {numbers}")) == 1
        assert await data_of(store, "out") == ([1] if outputs else [])


async def test_work_that_the_database_undoes_is_done_again(
    store: PostgresEventStore, numbers: str
) -> None:
    """In a new transaction, of a statement and of a function; 40001 is raised by hand."""
    tries = 0

    async def conflicting(connection: asyncpg.Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute(f"INSERT INTO {numbers} VALUES (1)")
        if tries < 3:
            await connection.execute(
                "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"
            )

    await woken(store)
    lease = await leased(store)
    assert (await finished(store, lease, work=[conflicting])).error is None
    assert tries == 3
    rows = await store_rows(store, numbers)
    assert rows == 1


async def store_rows(store: PostgresEventStore, table: str) -> int:
    async with store.transaction() as transaction:
        count: int = await transaction.connection.fetchval(f"SELECT count(*) FROM {table}")
    return count


async def test_work_that_cannot_be_done_says_why(store: PostgresEventStore, numbers: str) -> None:
    """A wrong statement, an error of the function, one that is not async: the lease stands."""

    async def raising(connection: asyncpg.Connection) -> None:
        await connection.execute(f"INSERT INTO {numbers} VALUES (1)")
        raise ZeroDivisionError

    def not_async(connection: asyncpg.Connection) -> None:
        pass

    await woken(store)
    lease = await leased(store)
    wrong = Statement("INSERT INTO nowhere VALUES (1)")
    works: tuple[tuple[Work, type[Exception]], ...] = (
        (wrong, StoreFailure),
        (raising, ZeroDivisionError),
        (not_async, TypeError),
    )
    for each, kind in works:
        answer = await finished(store, lease, work=[each])
        assert isinstance(answer.error, kind)
    assert await store_rows(store, numbers) == 0
    refused = [Append("in", [NewEvent("Added", 1)], expect=7)]
    work = [Statement(f"INSERT INTO {numbers} VALUES (1)")]
    answer = await finished(store, lease, appends=refused, work=work)
    assert isinstance(answer.error, ConflictError)
    assert answer.error.actual == 0
    assert await store_rows(store, numbers) == 0
    assert (await finished(store, lease)).error is None


async def test_a_cancelled_finish_is_there_or_not(store: PostgresEventStore, numbers: str) -> None:
    """Its work is undone, and the lease stands."""
    begun = asyncio.Event()

    async def hanging(connection: asyncpg.Connection) -> None:
        await connection.execute(f"INSERT INTO {numbers} VALUES (1)")
        begun.set()
        await asyncio.Event().wait()

    await woken(store)
    lease = await leased(store)
    call = asyncio.ensure_future(finished(store, lease, work=[hanging]))
    await begun.wait()
    call.cancel()
    assert isinstance(
        (await asyncio.gather(call, return_exceptions=True))[0], asyncio.CancelledError
    )
    assert await store_rows(store, numbers) == 0
    assert (await finished(store, lease)).error is None


async def test_a_page_whose_answer_was_lost_makes_no_target_twice(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """The target of an event may be done and gone when its mark is sent again."""
    clock = Gate()
    spec = ReactionSpec(name="r", events=None, to=PER_EVENT)
    async with (
        connect_to() as other,
        behind_proxy(postgres_dsn, schema, clock=clock) as (proxy, store),
    ):
        await store.register(GROUP, [spec])
        (done,) = await other.append_all([Append("in", [NewEvent("Added", 1)])])
        position = done.position
        assert position is not None
        page = await store.scan(GROUP, owner=ME, ttl=HOUR, reactions=[spec], limit=10)
        assert page is not None
        mark = Mark(
            reaction="r",
            key=str(position),
            lane="default",
            reads=PER_EVENT,
            stream="in",
            at=position - 1,
            mark=position,
        )
        proxy.lose_next_reply(containing=GROUP.encode())
        call = asyncio.ensure_future(store.mark(page, [mark], progress=["r"]))
        await clock.waiting.wait()
        assert (await finished(other, await leased(other, spec=spec))).error is None
        clock.go_on.set()
        assert await call
        assert [each async for each in other.targets(GROUP)] == []
