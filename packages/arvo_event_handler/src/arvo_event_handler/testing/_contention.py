"""Acquires leases, or expects a refusal, while the test moves the time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final, TypeAlias, TypeVar

from arvo_event_handler.memory import ILeasedMachineMemory, MachineLease

T = TypeVar("T")

ConnectLeasedMachineMemory: TypeAlias = Callable[
    [], AbstractAsyncContextManager[ILeasedMachineMemory]
]
"""Opens another client of the same data, as another process would; closes it at the end."""

LetTimePass: TypeAlias = Callable[[timedelta], Awaitable[object]]
"""Lets an amount of time pass for what the memory stores.

It moves the memory's clock, makes stored data older, or really waits. Calls that wait by the real
clock end without it.
"""

# After this, a call that should have returned counts as hanging.
PATIENCE: timedelta = timedelta(seconds=10)

_A_LITTLE: Final = timedelta(milliseconds=20)


async def granted(memory: ILeasedMachineMemory, machine_id: str = "order-7") -> MachineLease:
    """Acquire a lease that must be free."""
    lease = await answer(asyncio.ensure_future(memory.acquire(machine_id)))
    assert lease is not None, f"acquire({machine_id!r}) must grant a lease that is free"
    return lease


async def refused(
    memory: ILeasedMachineMemory, *, let_pass: LetTimePass, machine_id: str = "order-7"
) -> bool:
    """Try to acquire a lease, for as long as the memory may wait; return whether it was refused."""
    return await after_max_wait(memory, memory.acquire(machine_id), let_pass=let_pass) is None


async def locked_out(
    memory: ILeasedMachineMemory, *, let_pass: LetTimePass, machine_id: str = "order-7"
) -> bool:
    """Try to lock, for as long as the memory may wait; return whether it was refused."""
    return not await after_max_wait(memory, memory.lock(machine_id), let_pass=let_pass)


async def after_max_wait(
    memory: ILeasedMachineMemory, call: Awaitable[T], *, let_pass: LetTimePass
) -> T:
    """Return the result of a call that may wait for `max_wait`, while that time passes."""
    task = asyncio.ensure_future(call)
    await let_pass(memory.policy.max_wait + _A_LITTLE)
    return await answer(task)


async def after_ttl(memory: ILeasedMachineMemory, *, let_pass: LetTimePass) -> None:
    """Let every lease expire."""
    await let_pass(memory.policy.ttl + _A_LITTLE)


async def answer(task: asyncio.Future[T]) -> T:
    """Return the result of a call, and fail when it hangs."""
    done, _ = await asyncio.wait({task}, timeout=PATIENCE.total_seconds())
    if not done:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise AssertionError("acquire and lock must answer within the policy's max_wait")
    return task.result()
