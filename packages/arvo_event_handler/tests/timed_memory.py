"""A machine memory with an index of timers, in a dict: the reference of the suite, and what it can break."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from arvo_event_handler.memory import (
    UNCHANGED,
    DueMachine,
    ITimedMachineMemory,
    NextTimer,
    Record,
    RecordWrite,
    check_claim,
    claim_hold,
    next_timer,
)
from arvo_time import Clock

from .leased_memory import LeasedMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The earliest timer of one workflow."""

    at: datetime
    key: str
    claims: int = 0
    held_until: datetime | None = None

    @property
    def ready(self) -> datetime:
        """When it can be claimed next."""
        return self.at if self.held_until is None else self.held_until


class TimedMemory(LeasedMemory, ITimedMachineMemory):
    """Moves timers in the call that stores the record, and looks at all of them for each claim."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.timers: dict[str, Pending] = {}

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        check_claim(limit=limit, hold=hold)
        return [self.claim(machine_id, hold=hold) for machine_id in self.due()[:limit]]

    @override
    async def next_due(self) -> datetime | None:
        return min((pending.ready for pending in self.live().values()), default=None)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        timer = next_timer(record)
        await super().write(machine_id, record, previous)
        self.move(machine_id, timer)

    @override
    async def cleanup(self, machine_id: str) -> bool:
        self.timers.pop(machine_id, None)
        return await super().cleanup(machine_id)

    def move(self, machine_id: str, timer: NextTimer | None) -> None:
        """Replace the entry of a workflow; None removes it."""
        if timer is None:
            self.timers.pop(machine_id, None)
        else:
            self.timers[machine_id] = Pending(at=timer.at.astimezone(UTC), key=timer.key)

    def live(self) -> dict[str, Pending]:
        """Return the entries of the workflows that are not forgotten."""
        return {
            machine_id: pending
            for machine_id, pending in self.timers.items()
            if self._current(machine_id) is not None
        }

    def due(self) -> list[str]:
        """Return the workflows that can be claimed, the earliest first."""
        now, live = self._clock.now(), self.live()
        due = [machine_id for machine_id, pending in live.items() if pending.ready <= now]
        return sorted(due, key=lambda machine_id: live[machine_id].at)

    def claim(self, machine_id: str, *, hold: timedelta) -> DueMachine:
        """Hide a workflow for a while."""
        pending, now = self.timers[machine_id], self._clock.now()
        claims = pending.claims + 1
        held_until = now + self.held(hold, claims=claims)
        self.timers[machine_id] = replace(pending, claims=claims, held_until=held_until)
        return DueMachine(
            machine_id=machine_id, at=pending.at, key=pending.key, claims=claims, due_by=now
        )

    def held(self, hold: timedelta, *, claims: int) -> timedelta:
        """Return how long a claim holds."""
        return claim_hold(hold, claims=claims)

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        begins = self._current(machine_id) is None
        super()._store(machine_id, write, by=by)
        if begins:
            self.begin(machine_id)
        if write.timer is not UNCHANGED:
            self.move(machine_id, write.timer)

    def begin(self, machine_id: str) -> None:
        """Forget what the index has of a workflow's earlier life."""
        self.timers.pop(machine_id, None)
