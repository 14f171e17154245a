"""Schedules over the memories that Arvo brings, with the real clocks of their servers.

The clock of the schedules is weeks behind, so that whatever they plan is due by the memory's clock.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import asyncpg
from pydantic import BaseModel
from real_servers.fixtures import (
    StartRedis,
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
    redis_flavour as redis_flavour,
    start_redis as start_redis,
)

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoSchedule,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    WorkflowControl,
)
from arvo_event_handler._timer_event import timer_event
from arvo_event_handler.memory import connect_memory
from arvo_time.testing import FakeClock

DAY = timedelta(days=1)
HOLD = timedelta(seconds=30)


class Page(BaseModel):
    planned: datetime


PRINT_V1 = SimpleVersion("1.0.0", accepts=Page, emits=Page)
PRINT = SimpleArvoContract(uri="#/almanac/print", type="almanac.print", versions=[PRINT_V1])
ASKED = "com.almanac.print"


Connect = Callable[[], AbstractAsyncContextManager[Any]]
"""Connects to a memory, with a connection of its own each time."""


def schedule(
    memory: Any, clock: FakeClock, *, name: str = "almanac", **options: Any
) -> ArvoSchedule:
    return ArvoSchedule(
        name=name,
        cron="0 6 * * *",
        zone="UTC",
        services=[PRINT.version(PRINT_V1)],
        emit=lambda planned: Emit(ASKED, Page(planned=planned)),
        memory=memory,
        policy=ExecutionPolicy(clock=clock),
        **options,
    )


def midnight(*, days_ago: int) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - days_ago * DAY


async def check_several_brokers(connect: Connect) -> None:
    """Each planned time has one event; a worker that comes too late may publish it again."""
    begin = midnight(days_ago=12)
    printed: dict[datetime, set[str]] = {}
    letters: list[object] = []
    over = asyncio.Event()

    async def print_v1(call: HandlerInput[Page]) -> Emit:
        printed.setdefault(call.data.planned, set()).add(call.event.id)
        if len(printed) >= 12:
            over.set()
        return Emit("evt.almanac.print.success", call.data)

    async def keep(letter: object) -> None:
        letters.append(letter)

    async with AsyncExitStack() as stack:
        brokers = []
        for _ in range(3):
            memory = await stack.enter_async_context(connect())
            handlers = [
                schedule(memory, FakeClock(start=begin)),
                ArvoEventHandler(contract=PRINT, handler={"1.0.0": print_v1}),
            ]
            broker = ConcurrentEventBroker(handlers, on_dead_letter=keep)
            brokers.append(await stack.enter_async_context(broker))
        async with asyncio.timeout(60):
            await over.wait()
        for broker in brokers:
            await broker.drain()
    # Today's is there as well if it is past six.
    expected = [begin + number * DAY + timedelta(hours=6) for number in range(13)]
    assert sorted(printed) == expected[: len(printed)]
    assert [ids for ids in printed.values() if len(ids) > 1] == []
    assert letters == []


async def check_three_weeks_down(connect: Connect, missed: Any, days: Sequence[int]) -> None:
    begin = midnight(days_ago=40) + timedelta(hours=12)
    clock = FakeClock(start=begin)
    name = missed
    async with connect() as memory:
        await schedule(memory, clock, name=name, missed=missed).begin()
    clock.advance(21 * DAY)
    async with connect() as memory:
        after = schedule(memory, clock, name=name, missed=missed)
        await after.begin()
        [due] = await memory.claim_due(limit=10, hold=HOLD)
        tick = timer_event(
            due.machine_id, key=due.key, at=due.at, due_by=due.due_by, now=clock.now()
        )
        emitted = [each for each in await after.execute(tick) if each.type == ASKED]
        six = begin - timedelta(hours=6)
        planned = [Page.model_validate(each.data).planned for each in emitted]
        assert planned == [six + day * DAY for day in days]
        # Delivered again, it brings the same.
        assert [each.id for each in await after.execute(tick)] == [each.id for each in emitted]
        listed = await memory.workflow(after.subject)
        assert (listed.key, listed.due) == (name, six + 22 * DAY)
        control = WorkflowControl(after.subject, source="com.app.test")
        await after.execute(control.cancel("the next row"))
        assert await memory.next_due() is None


async def check(connect: Connect) -> None:
    await check_three_weeks_down(connect, "latest", [21])
    await check_three_weeks_down(connect, "all", range(1, 22))
    await check_three_weeks_down(connect, "none", [])
    await check_several_brokers(connect)


async def test_in_process() -> None:
    memory = ConcurrentMachineMemory()

    @asynccontextmanager
    async def connect() -> AsyncIterator[ConcurrentMachineMemory]:
        yield memory

    await check(connect)


async def test_sqlite(tmp_path: Path) -> None:
    await check(partial(connect_memory, f"sqlite:///{tmp_path}/state.db"))


async def test_redis(start_redis: StartRedis) -> None:
    await check(partial(connect_memory, f"{start_redis().url}?prefix={token_hex(4)}:"))


async def test_postgres(postgres_dsn: str) -> None:
    schema = f"arvo_{token_hex(4)}"
    joint = "&" if "?" in postgres_dsn else "?"
    try:
        await check(partial(connect_memory, f"{postgres_dsn}{joint}schema={schema}"))
    finally:
        connection = await asyncpg.connect(postgres_dsn)
        await connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        await connection.close()
