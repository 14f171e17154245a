"""Whatever a backend raises, a memory raises only errors of memories."""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest
from redis.exceptions import BusyLoadingError
from typing_extensions import override

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    LockPolicy,
    MachineLease,
    WorkflowQuery,
)
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_sqlite import SqliteMachineMemory
from arvo_redis import Script, Server, Transport
from arvo_redis._transport import Word
from arvo_sqlite import SqliteClient

SUBJECT: Final = "order-7"
LEASE: Final = MachineLease(machine_id=SUBJECT, owner="me", version=1, record={})
POLICY: Final = LockPolicy(max_wait=timedelta(0))
CALLS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "acquire": lambda memory: memory.acquire(SUBJECT),
    "chunks": lambda memory: memory.chunks(LEASE),
    "commit": lambda memory: memory.commit(LEASE, record_write({})),
    "release": lambda memory: memory.release(LEASE),
    "renew": lambda memory: memory.renew(LEASE),
    "read": lambda memory: memory.read(SUBJECT),
    "write": lambda memory: memory.write(SUBJECT, {}, None),
    "lock": lambda memory: memory.lock(SUBJECT),
    "unlock": lambda memory: memory.unlock(SUBJECT),
    "workflows": lambda memory: memory.workflows(WorkflowQuery()),
    "count": lambda memory: memory.count(WorkflowQuery()),
    "claim_due": lambda memory: memory.claim_due(limit=1, hold=timedelta(seconds=30)),
    "next_due": lambda memory: memory.next_due(),
    "steps": lambda memory: memory.steps("order-7"),
    "times": lambda memory: memory.times(["order-7"]),
    "workflow": lambda memory: memory.workflow(SUBJECT),
    "reindex": lambda memory: memory.reindex(),
    "cleanup": lambda memory: memory.cleanup(SUBJECT),
    "delete_finished": lambda memory: memory.delete_finished(older_than=timedelta(1)),
    "migrate": lambda memory: memory.migrate(),
}
WITHOUT_BACKEND: Final = {"connect", "aclose", "policy", "chunk_bytes", "history", "is_still"}


class LoadingServer(Transport):
    """Redis while it starts: it refuses everything."""

    @property
    @override
    def attributes(self) -> dict[str, str | int]:
        return {}

    @property
    @override
    def ordered(self) -> bool:
        return True

    @property
    @override
    def clustered(self) -> bool:
        return False

    @override
    async def run(self, script: Script, key: str, *arguments: Word) -> Any:
        raise BusyLoadingError("LOADING")

    @override
    async def send(self, command: str, *words: Word) -> Any:
        raise BusyLoadingError("LOADING")

    @override
    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        for _ in pattern:
            raise BusyLoadingError("LOADING")
        yield b""

    @override
    def pubsub(self) -> Any:
        raise BusyLoadingError("LOADING")


class LowOnMemory:
    """A pool whose server opens no session."""

    def is_closing(self) -> bool:
        return False

    async def acquire(self, **_: float) -> Any:
        raise asyncpg.OutOfMemoryError("out of memory")


@asynccontextmanager
async def sqlite() -> AsyncIterator[ILeasedMachineMemory]:
    async with SqliteClient.connect(":memory:", components=[]) as client:  # without the table
        yield SqliteMachineMemory(client, policy=POLICY)


@asynccontextmanager
async def redis() -> AsyncIterator[ILeasedMachineMemory]:
    yield RedisMachineMemory(Server(LoadingServer()), policy=POLICY)


@asynccontextmanager
async def postgres() -> AsyncIterator[ILeasedMachineMemory]:
    memory = PostgresMachineMemory(LowOnMemory(), policy=POLICY)
    memory._locks[SUBJECT] = "me"  # or there is nothing to unlock
    yield memory


MEMORIES: Final = {
    sqlite: SqliteMachineMemory,
    redis: RedisMachineMemory,
    postgres: PostgresMachineMemory,
}


def public(memory: type) -> list[str]:
    return [
        name
        for name, _ in inspect.getmembers(memory)
        if not name.startswith("_") and name not in WITHOUT_BACKEND
    ]


@pytest.mark.parametrize(
    ("opened", "method"),
    [
        pytest.param(opened, method, id=f"{opened.__name__}-{method}")
        for opened, memory in MEMORIES.items()
        for method in public(memory)
    ],
)
async def test_a_method_raises_errors_of_a_memory(opened: Any, method: str) -> None:
    async with opened() as memory:
        with pytest.raises(MachineMemoryError) as caught:
            await CALLS[method](memory)
    assert caught.value.__cause__ is not None, "the driver's error"
    assert caught.value.outcome == "failed"
