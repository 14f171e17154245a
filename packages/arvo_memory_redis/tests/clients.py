"""Helpers of the tests of this package: connections, calls of memories, and what they have stored."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final, NamedTuple, TypeAlias

from arvo_event_handler.memory import MachineLease, Record, WorkflowQuery
from arvo_memory_redis import RedisMachineMemory
from real_servers import FaultProxy

BUSY_MACHINE: Final = timedelta(minutes=1)
"""A `socket_timeout` that many connections of one test keep, however little of a core it gets."""

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


class Stored(NamedTuple):
    """A workflow that was written."""

    version: int
    record: Record


async def stored(memory: RedisMachineMemory, machine_id: str = "order-7") -> Stored | None:
    """Return the latest record and its version; nothing else writes meanwhile."""
    workflow, record = await memory.workflow(machine_id), await memory.read(machine_id)
    assert (workflow is None) == (record is None)
    if workflow is None or record is None:
        return None
    return Stored(workflow.record_version, record)


async def subjects(memory: RedisMachineMemory) -> list[str]:
    """Return the subjects of all workflows, at most 1,000, the newest first."""
    page = await memory.workflows(WorkflowQuery(), limit=1000)
    assert page.next is None
    return [workflow.subject for workflow in page.workflows]
