"""What it costs to keep a history. Run: uv run python -m benchmarks --only history."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import BaseModel

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from arvo_event_handler import ArvoResumable, Emit, IMachineMemory, Reply, Start, Step
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_sqlite import SqliteMachineMemory
from benchmarks.calculator import ADD, ADD_V1, ADDED, TOTAL, TOTAL_V1, Add, Added
from benchmarks.servers import postgres_server, redis_server
from benchmarks.workload import Workload, benchmark

_WEEK: Final = timedelta(days=7)
_STARTS: Final = ArvoOrchestratorEventFactory(TOTAL.version(TOTAL_V1))
_ANSWERS: Final = ArvoEventFactory(ADD.version(ADD_V1))


class Sum(BaseModel):
    """The context of the workflow, of about 300 bytes."""

    total: float
    note: str = "x" * 270


@benchmark("history.concurrent.off")
async def in_process_without() -> AsyncIterator[Workload[int, bool]]:
    """A step of a workflow that never ends, in the process, without history."""
    async for workload in _steps(nullcontext(ConcurrentMachineMemory())):
        yield workload


@benchmark("history.concurrent.on")
async def in_process() -> AsyncIterator[Workload[int, bool]]:
    """The same with history: at least 0.8 of history.concurrent.off."""
    async for workload in _steps(nullcontext(ConcurrentMachineMemory(history=_WEEK))):
        yield workload


@benchmark("history.sqlite.off")
async def in_a_file_without() -> AsyncIterator[Workload[int, bool]]:
    """A step of a workflow that never ends, in a SQLite file, without history."""
    with TemporaryDirectory() as folder:
        memory = SqliteMachineMemory.connect(Path(folder) / "state.db")
        async for workload in _steps(memory):
            yield workload


@benchmark("history.sqlite.on")
async def in_a_file() -> AsyncIterator[Workload[int, bool]]:
    """The same with history: at least 0.8 of history.sqlite.off."""
    with TemporaryDirectory() as folder:
        memory = SqliteMachineMemory.connect(Path(folder) / "state.db", history=_WEEK)
        async for workload in _steps(memory):
            yield workload


@benchmark("history.redis.off")
async def on_redis_without() -> AsyncIterator[Workload[int, bool]]:
    """A step of a workflow that never ends, on Redis, without history."""
    with redis_server() as server:
        memory = RedisMachineMemory.connect(f"redis://127.0.0.1:{server.port}")
        async for workload in _steps(memory):
            yield workload


@benchmark("history.redis.on")
async def on_redis() -> AsyncIterator[Workload[int, bool]]:
    """The same with history: at least 0.8 of history.redis.off."""
    with redis_server() as server:
        memory = RedisMachineMemory.connect(f"redis://127.0.0.1:{server.port}", history=_WEEK)
        async for workload in _steps(memory):
            yield workload


@benchmark("history.postgres.off")
async def on_postgres_without() -> AsyncIterator[Workload[int, bool]]:
    """A step of a workflow that never ends, on PostgreSQL, without history."""
    async for workload in _on_postgres(history=None):
        yield workload


@benchmark("history.postgres.on")
async def on_postgres() -> AsyncIterator[Workload[int, bool]]:
    """The same with history: at least 0.8 of history.postgres.off."""
    async for workload in _on_postgres(history=_WEEK):
        yield workload


async def _on_postgres(*, history: timedelta | None) -> AsyncIterator[Workload[int, bool]]:
    with postgres_server() as server:
        async with PostgresMachineMemory.connect(server.dsn, history=history) as memory:
            await memory.migrate()
            async for workload in _steps(nullcontext(memory)):
                yield workload


async def _steps(
    connecting: AbstractAsyncContextManager[IMachineMemory],
) -> AsyncIterator[Workload[int, bool]]:
    async with connecting as memory:
        workflow = ArvoResumable(
            contract=TOTAL,
            services=[ADD.version(ADD_V1)],
            memory=memory,
            handler={"1.0.0": _goes_on},
        )
        first = _STARTS.init(source="com.benchmark.source", data=Add(a=2, b=3))
        asked = await workflow.execute(first)

        async def operation(_: int) -> bool:
            nonlocal asked
            asked = await workflow.execute(_answer(*asked))
            return len(asked) == 1

        yield Workload(inputs=range, operation=operation, check=lambda went_on: went_on)


def _answer(request: ArvoEvent) -> ArvoEvent:
    return _ANSWERS.emits(
        type=ADDED,
        source=ADD.type,
        subject=request.subject,
        data=Added(result=5),
        to=request.redirectto,
        parentid=request.id,
    )


async def _goes_on(call: Start[Add] | Reply[Sum]) -> Step[Sum]:
    total = call.data.a if isinstance(call, Start) else call.context.total + 1
    return Step(context=Sum(total=total), services=[Emit(ADD.type, Add(a=total, b=1))])
