"""Keeps a lease alive while slow user code runs."""

import asyncio

from arvo_time import Clock, ClockTimer
from arvo_time.logs import bounded_logger

from ._memory import ILeasedMachineMemory, MachineLease

_logger = bounded_logger("arvo_event_handler")


class LeaseKeeper:
    """Renews one lease every third of its ttl, up to the policy's `max_hold`.

    Only a timer is set until a third of the ttl has passed: quick steps never start a task. A lease
    that somebody else took is renewed no more, and the step goes on: its commit may still come first.

    Args:
        memory: Who granted the lease.
        lease: What to keep.
        clock: For the timer.
    """

    __slots__ = ("_clock", "_lease", "_memory", "_task", "_timer")

    def __init__(self, memory: ILeasedMachineMemory, lease: MachineLease, *, clock: Clock) -> None:
        self._memory = memory
        self._lease = lease
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._timer: ClockTimer = clock.call_later(memory.policy.ttl / 3, self._start)

    def stop(self) -> None:
        """Renew no more."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._renew_until_stopped())

    async def _renew_until_stopped(self) -> None:
        policy = self._memory.policy
        until = self._clock.monotonic() + policy.max_hold.total_seconds()
        while self._clock.monotonic() < until:
            try:
                if not await self._memory.renew(self._lease):
                    return
            except Exception:
                # One missed renewal is harmless: two more follow before the lease runs out.
                _logger.warning(
                    "could not renew the lease of %s", self._lease.machine_id, exc_info=True
                )
            await self._clock.sleep(policy.ttl / 3)
