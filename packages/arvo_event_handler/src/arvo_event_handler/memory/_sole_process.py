"""Keeps the workflows of a memory to one process, where no transport shares them among several."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

from arvo_event_handler._errors import MemoryInUseError
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.cancellation import shielded
from arvo_time.logs import bounded_logger

from ._memory import ILeasedMachineMemory, MachineLease

_PREFIX: Final = "arvo.app/"
_PAUSE: Final = timedelta(milliseconds=250)
_logger = bounded_logger("arvo_event_handler")


@asynccontextmanager
async def sole_process(
    memory: ILeasedMachineMemory,
    *,
    name: str,
    on_wait: Callable[[], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[None]:
    """Hold a lease on a name while the block runs, so that no other process does.

    A process that was killed cannot give its lease back. So this waits, for at most one `ttl` of
    the memory's policy, and only then refuses. The lease is renewed; it has no record, so nothing
    lists it.

    Args:
        memory: The memory.
        name: The name, such as that of the program.
        on_wait: Called once if somebody else has the lease, before waiting for it.
        clock: For the waiting and the renewing.

    Raises:
        MemoryInUseError: Another process has the lease and renews it.
        MachineMemoryError: The backend could not answer.
    """
    lease = await _acquired(memory, name, on_wait=on_wait, clock=clock)
    keeping = asyncio.create_task(_keep(memory, lease, name, clock))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        with suppress(Exception):  # it expires by itself
            await shielded(memory.release(lease))


async def _acquired(
    memory: ILeasedMachineMemory, name: str, *, on_wait: Callable[[], None] | None, clock: Clock
) -> MachineLease:
    # Somebody who lives has renewed it by then, several times.
    until = clock.monotonic() + memory.policy.ttl.total_seconds()
    while True:
        over = clock.monotonic() >= until
        lease = await memory.acquire(_PREFIX + name)
        if lease is not None:
            return lease
        if over:
            raise MemoryInUseError(name)
        if on_wait is not None:
            on_wait()
            on_wait = None
        await clock.sleep(_PAUSE)


async def _keep(memory: ILeasedMachineMemory, lease: MachineLease, name: str, clock: Clock) -> None:
    while True:
        await clock.sleep(memory.policy.ttl / 3)
        try:
            if not await memory.renew(lease):
                # What is stored is safe all the same: the version decides.
                _logger.error(
                    "%s was paused for so long that another process may have taken over its memory",
                    name,
                )
                return
        except Exception:
            # One renewal may be missed: two more follow before the lease expires.
            _logger.warning("could not renew the lease of %s", name, exc_info=True)
