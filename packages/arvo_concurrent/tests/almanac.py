"""A schedule, what it asks, and brokers that run them on one clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import (
    ArvoOrchestratorContract,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoResumable,
    ArvoSchedule,
    Complete,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    IArvoEventHandler,
    Reply,
    Start,
    Step,
)
from arvo_time.testing import FakeClock

from .broker_owner import Owner, broker_of

VIENNA = "Europe/Vienna"
DAY = timedelta(days=1)


class Page(BaseModel):
    planned: str


PRINT_V1 = SimpleVersion("1.0.0", accepts=Page, emits=Page)
PRINT = SimpleArvoContract(uri="#/almanac/print", type="almanac.print", versions=[PRINT_V1])
BIND_V1 = OrchestratorVersion("1.0.0", init=Page, complete=Page)
BIND = ArvoOrchestratorContract(uri="#/almanac/bind", name="bind", versions=[BIND_V1])


def page(planned: datetime) -> Emit:
    return Emit(PRINT.version(PRINT_V1).type, Page(planned=planned.isoformat(timespec="minutes")))


def binding(planned: datetime) -> Emit:
    return Emit(BIND.type, Page(planned=planned.isoformat(timespec="minutes")))


class Almanac:
    """Prints a page at each planned time, on any number of workers over one memory.

    Args:
        start: What the clock shows first.
        memory: Makes the memory that the schedule lives in.
    """

    def __init__(
        self,
        start: str = "2026-01-01T00:00Z",
        *,
        memory: Callable[..., ConcurrentMachineMemory] = ConcurrentMachineMemory,
    ) -> None:
        self.clock = FakeClock(start=datetime.fromisoformat(start))
        self.memory: Any = memory(clock=self.clock)
        self.owner = Owner()
        self.printed: list[str] = []
        """The planned times of the requests for pages, in the order of their coming."""
        self.ids: list[str] = []
        """The ids of those requests."""
        self.subjects: list[str] = []

    def schedule(
        self,
        cron: str = "0 6 * * *",
        zone: str = VIENNA,
        *,
        emit: Callable[[datetime], Any] = page,
        name: str = "nightly",
        **options: Any,
    ) -> ArvoSchedule:
        return ArvoSchedule(
            name=name,
            cron=cron,
            zone=zone,
            services=[PRINT.version(PRINT_V1), BIND.version(BIND_V1)],
            emit=emit,
            memory=options.pop("memory", self.memory),
            policy=ExecutionPolicy(clock=self.clock),
            **options,
        )

    def services(self) -> list[IArvoEventHandler]:
        async def print_v1(call: HandlerInput[Page]) -> Emit:
            self._note(call.event, call.data)
            if call.data.planned.startswith("2026-01-13"):
                raise ValueError("the ink is out")
            return Emit("evt.almanac.print.success", call.data)

        async def bind_v1(call: Start[Page] | Reply[Any]) -> Step[Any]:
            assert isinstance(call, Start)
            self._note(call.event, call.data)
            return Step(output=Complete(call.data))

        return [
            ArvoEventHandler(contract=PRINT, handler={"1.0.0": print_v1}),
            ArvoResumable(
                contract=BIND,
                services=[],
                memory=self.memory,
                handler={"1.0.0": bind_v1},
                policy=ExecutionPolicy(clock=self.clock),
            ),
        ]

    @asynccontextmanager
    async def worker(self, *schedules: ArvoSchedule) -> AsyncIterator[ConcurrentEventBroker]:
        """Run a broker; it has begun when the block does."""
        async with broker_of(self.owner, self.clock, *self.services(), *schedules) as broker:
            await self.clock.settle()
            yield broker

    async def run(self, schedule: ArvoSchedule, length: timedelta) -> None:
        """Run a broker for a while."""
        async with self.worker(schedule):
            await self.clock.run_for(length)

    async def kept(self, schedule: ArvoSchedule) -> Any:
        """Return what the record of a schedule keeps."""
        record = await self.memory.read(schedule.subject)
        return None if record is None else record["state$$"]

    async def due(self) -> str | None:
        """Return when the next timer is due, in UTC; None when none is pending."""
        at = await self.memory.next_due()
        return None if at is None else str(at.isoformat(timespec="minutes"))

    def _note(self, event: Any, data: Page) -> None:
        self.printed.append(data.planned)
        self.ids.append(event.id)
        self.subjects.append(event.subject)
