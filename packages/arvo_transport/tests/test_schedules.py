"""Workers share a schedule: each planned time has one event, whenever one of them dies."""

import asyncio
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from pydantic import BaseModel
from typing_extensions import override

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoSchedule,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
)
from arvo_event_handler.delivery import HandlerDefaults
from arvo_event_handler.memory import LockPolicy
from arvo_time import RetryPolicy
from arvo_transport import DistributedEventBroker, TransportClosedError

from .bench import SECOND, STEADY, Bench
from .mortal_worker import Fate, Mortal, mortal_memory

MINUTE = timedelta(minutes=1)


class Page(BaseModel):
    planned: str


PRINT_V1 = SimpleVersion("1.0.0", accepts=Page, emits=Page)
PRINT = SimpleArvoContract(uri="#/almanac/print", type="almanac.print", versions=[PRINT_V1])


class Unharmed(Fate):
    @override
    def strikes(self) -> bool:
        return False

    @override
    async def thaw(self, worker: Mortal) -> None: ...


class Almanac:
    """A schedule that prints a page each minute."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.memory = ConcurrentMachineMemory(
            policy=LockPolicy(ttl=3 * SECOND, max_hold=3 * SECOND), clock=bench.clock
        )
        self.printed: dict[str, set[str]] = {}
        """The ids of the requests for each planned time."""

    def schedule(self, memory: IMachineMemory | None = None, **options: Any) -> ArvoSchedule:
        settings: dict[str, Any] = {"cron": "* * * * *", "zone": "UTC", "missed": "all"}
        return ArvoSchedule(
            name="almanac",
            services=[PRINT.version(PRINT_V1)],
            emit=_page,
            memory=memory or self.memory,
            policy=ExecutionPolicy(clock=self.bench.clock),
            **(settings | options),
        )

    def printing(self) -> ArvoEventHandler:
        async def print_v1(call: HandlerInput[Page]) -> Emit:
            self.printed.setdefault(call.data.planned, set()).add(call.event.id)
            return Emit("evt.almanac.print.success", call.data)

        return ArvoEventHandler(contract=PRINT, handler={"1.0.0": print_v1})

    async def live(self, mortal: Mortal, length: timedelta) -> None:
        """Run a worker until it dies, or for a while."""
        handlers: list[IArvoEventHandler] = [
            self.schedule(mortal_memory(self.memory, mortal)),
            self.printing(),
        ]
        async with DistributedEventBroker(
            handlers,
            transport=mortal.client,
            defaults=HandlerDefaults(retry=RetryPolicy(retries=1000, backoff=STEADY)),
            clock=self.bench.clock,
        ) as broker:
            running = asyncio.create_task(broker.run())
            await self.bench.clock.run_for(length)
            if mortal.dead:
                await self.bench.clock.run_until_complete(
                    asyncio.gather(running, return_exceptions=True)
                )
                assert isinstance(running.exception(), TransportClosedError)
            else:
                await self.bench.clock.run_until_complete(broker.drain())
                await running

    @property
    def minutes(self) -> list[str]:
        """The planned times so far."""
        count = int(self.bench.clock.monotonic() // 60)
        return [f"2025-01-01T00:{minute:02}" for minute in range(1, count + 1)]


def _page(planned: datetime) -> Emit:
    return Emit(PRINT.version(PRINT_V1).type, Page(planned=f"{planned:%Y-%m-%dT%H:%M}"))


async def test_workers_share_a_schedule(bench: Bench) -> None:
    almanac = Almanac(bench)
    async with bench.worker(almanac.schedule()), bench.worker(almanac.schedule()):
        # What it asks is deployed later, and its topic is there already.
        await bench.clock.run_for(5 * MINUTE)
        assert almanac.printed == {}
        async with bench.worker(almanac.schedule(), almanac.printing()):
            await bench.clock.run_for(5 * MINUTE)
    assert sorted(almanac.printed) == almanac.minutes
    assert all(len(ids) == 1 for ids in almanac.printed.values())
    assert bench.letters == []
    assert bench.errors == []


async def test_a_worker_dies_at_each_of_its_calls() -> None:
    """Before or after a call of memory or transport: at the beginning, and in the first minutes."""
    for calls in count(1):
        bench = Bench()
        almanac = Almanac(bench)
        mortal = Mortal(bench.engine, fate=Unharmed(), calls=calls)
        await almanac.live(mortal, 2 * MINUTE + SECOND)
        began = await almanac.memory.read(almanac.schedule().subject) is not None
        await almanac.live(Mortal(bench.engine, fate=Unharmed(), calls=None), 2 * MINUTE)
        # Nothing can be missed by one that died before it began.
        expected = almanac.minutes if began else almanac.minutes[2:]
        assert (calls, sorted(almanac.printed)) == (calls, expected)
        assert [each for each in almanac.printed.values() if len(each) > 1] == []
        if not mortal.dead:
            break
    assert calls > 40
