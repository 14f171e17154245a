"""Sets timers and claims them, for the suite of timed memories."""

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from arvo_event_handler.memory import (
    UNCHANGED,
    DueMachine,
    ILeasedMachineMemory,
    ITimedMachineMemory,
    NextTimer,
    Record,
    Unchanged,
)

from ._contention import granted
from ._record_write import record_write

PAST: Final = datetime(2020, 2, 29, 23, 59, 59, 7000, UTC)
"""Due in every memory, whatever its clock says."""
HOLD: Final = timedelta(minutes=1)
MANY: Final = 10_000
_LONG_AGO: Final = datetime(1999, 12, 31, tzinfo=UTC)
_CLOCK: Final = "the memory's clock"


class TimedMachineMemory(ITimedMachineMemory, Protocol):
    """A timed memory that can forget a workflow."""

    async def cleanup(self, machine_id: str) -> object:
        """Forget a workflow immediately."""
        ...


def timed(memory: ILeasedMachineMemory) -> ITimedMachineMemory:
    """Return another client's memory, which must be timed."""
    assert isinstance(memory, ITimedMachineMemory), "isinstance must say that it is timed"
    return memory


async def commit(
    memory: ILeasedMachineMemory,
    machine_id: str = "order-7",
    *,
    timer: NextTimer | Unchanged | None = UNCHANGED,
    record: Record | None = None,
    expires_in: timedelta | None = None,
) -> None:
    """Commit a step."""
    lease = await granted(memory, machine_id)
    write = record_write(record or {"version": lease.version}, timer=timer, expires_in=expires_in)
    await memory.commit(lease, write)


async def set_timer(
    memory: ILeasedMachineMemory, machine_id: str = "order-7", *, at: datetime, key: str = "pay#1"
) -> None:
    """Commit a step that sets a timer."""
    await commit(memory, machine_id, timer=NextTimer(at=at, key=key))


async def claimed(
    memory: ITimedMachineMemory, *, limit: int = MANY, hold: timedelta = HOLD
) -> list[DueMachine]:
    """Claim what is due."""
    return [*await memory.claim_due(limit=limit, hold=hold)]


async def keys(
    memory: ITimedMachineMemory, *, limit: int = MANY, hold: timedelta = HOLD
) -> list[tuple[str, str, int]]:
    """Claim what is due, and return of each its workflow, its key, and how often it was claimed."""
    due = await claimed(memory, limit=limit, hold=hold)
    return [(each.machine_id, each.key, each.claims) for each in due]


async def time_of(memory: ITimedMachineMemory) -> datetime:
    """Return the time by the memory's clock, while nothing else can be claimed before a timer of 1999."""
    await set_timer(memory, _CLOCK, at=_LONG_AGO)
    (due,) = await claimed(memory, limit=1)
    assert due.machine_id == _CLOCK, "the earliest must be claimed first"
    await commit(memory, _CLOCK, timer=None)
    return due.due_by
