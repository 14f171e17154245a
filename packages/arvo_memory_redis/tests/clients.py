"""Helpers of the tests of this package: connections and calls of memories."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from arvo_event_handler.memory import MachineLease
from arvo_memory_redis import RedisMachineMemory
from real_servers import FaultProxy

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[RedisMachineMemory]]
"""`RedisMachineMemory.connect` with a transport chosen."""


async def leased(memory: RedisMachineMemory, machine_id: str = "order-7") -> MachineLease:
    lease = await memory.acquire(machine_id)
    assert lease is not None
    return lease


def url_of(proxy: FaultProxy) -> str:
    return f"redis://{proxy.host}:{proxy.port}"


async def turns(number: int) -> None:
    """Let the event loop turn."""
    for _ in range(number):
        await asyncio.sleep(0)
