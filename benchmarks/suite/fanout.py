"""What an answer costs among many. Run: uv run python -m benchmarks --only fanout."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import ArvoEvent
from arvo_event_handler import ExecutionPolicy, IMachineMemory
from arvo_memory_postgres import PostgresMachineMemory
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_sqlite import SqliteMachineMemory
from benchmarks.fan_out import Style, orchestrator, resumable, run, start
from benchmarks.servers import postgres_server, redis_server
from benchmarks.workload import Workload, benchmark

_FORGETS = ExecutionPolicy(warm_bytes=0)


@asynccontextmanager
async def _in_process() -> AsyncIterator[IMachineMemory]:
    yield ConcurrentMachineMemory()


@asynccontextmanager
async def _sqlite() -> AsyncIterator[IMachineMemory]:
    with TemporaryDirectory() as folder:
        async with SqliteMachineMemory.connect(Path(folder) / "state.db") as memory:
            yield memory


@asynccontextmanager
async def _redis() -> AsyncIterator[IMachineMemory]:
    with redis_server() as server:
        async with RedisMachineMemory.connect(server.url) as memory:
            yield memory


@asynccontextmanager
async def _postgres() -> AsyncIterator[IMachineMemory]:
    with postgres_server() as server:
        async with PostgresMachineMemory.connect(server.dsn) as memory:
            await memory.migrate()
            yield memory


def _fan_out(
    style: Style,
    opened: AbstractAsyncContextManager[IMachineMemory],
    requests: int,
    policy: ExecutionPolicy | None = None,
) -> AbstractAsyncContextManager[Workload[ArvoEvent, list[ArvoEvent]]]:
    @asynccontextmanager
    async def workload() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
        async with opened as memory:
            handler = style(memory, policy or ExecutionPolicy())

            async def operation(first: ArvoEvent) -> list[ArvoEvent]:
                return await run(handler, first)

            yield Workload(
                inputs=lambda count: [start(requests) for _ in range(count)],
                operation=operation,
                check=lambda events: [event.data for event in events] == [{"total": requests}],
                units=requests,
            )

    return workload()


@benchmark("resumable.fanout.10")
async def resumable_fanout_10() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 10 at once, per answer, in process: what an answer costs."""
    async with _fan_out(resumable, _in_process(), 10) as workload:
        yield workload


@benchmark("resumable.fanout.100")
async def resumable_fanout_100() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """The same with 100: an answer costs what it costs among 10."""
    async with _fan_out(resumable, _in_process(), 100) as workload:
        yield workload


@benchmark("resumable.fanout.1000")
async def resumable_fanout_1000() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """The same with 1,000: at most 1.3 times what an answer costs among 10."""
    async with _fan_out(resumable, _in_process(), 1000) as workload:
        yield workload


@benchmark("resumable.fanout.cold.10")
async def resumable_fanout_cold_10() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 10 at once, by a worker that remembers nothing: it reads all earlier answers each time."""
    async with _fan_out(resumable, _in_process(), 10, _FORGETS) as workload:
        yield workload


@benchmark("resumable.fanout.cold.100")
async def resumable_fanout_cold_100() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 100 at once, by a worker that remembers nothing: it reads all earlier answers each time."""
    async with _fan_out(resumable, _in_process(), 100, _FORGETS) as workload:
        yield workload


@benchmark("orchestrator.fanout.10")
async def orchestrator_fanout_10() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """A statechart that asks 10 at once, per answer, in process."""
    async with _fan_out(orchestrator, _in_process(), 10) as workload:
        yield workload


@benchmark("orchestrator.fanout.100")
async def orchestrator_fanout_100() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """A statechart that asks 100 at once, per answer, in process."""
    async with _fan_out(orchestrator, _in_process(), 100) as workload:
        yield workload


@benchmark("orchestrator.fanout.1000")
async def orchestrator_fanout_1000() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """A statechart that asks 1000 at once, per answer, in process."""
    async with _fan_out(orchestrator, _in_process(), 1000) as workload:
        yield workload


@benchmark("resumable.fanout.sqlite.10")
async def resumable_fanout_sqlite_10() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 10 at once over SQLite, per answer."""
    async with _fan_out(resumable, _sqlite(), 10) as workload:
        yield workload


@benchmark("resumable.fanout.sqlite.1000")
async def resumable_fanout_sqlite_1000() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 1000 at once over SQLite, per answer: at most 1.3 times what an answer costs among 10."""
    async with _fan_out(resumable, _sqlite(), 1000) as workload:
        yield workload


@benchmark("resumable.fanout.redis.10")
async def resumable_fanout_redis_10() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 10 at once over Redis, per answer."""
    async with _fan_out(resumable, _redis(), 10) as workload:
        yield workload


@benchmark("resumable.fanout.redis.1000")
async def resumable_fanout_redis_1000() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 1000 at once over Redis, per answer: at most 1.3 times what an answer costs among 10."""
    async with _fan_out(resumable, _redis(), 1000) as workload:
        yield workload


@benchmark("resumable.fanout.postgres.10")
async def resumable_fanout_postgres_10() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 10 at once over PostgreSQL, per answer."""
    async with _fan_out(resumable, _postgres(), 10) as workload:
        yield workload


@benchmark("resumable.fanout.postgres.1000")
async def resumable_fanout_postgres_1000() -> AsyncIterator[Workload[ArvoEvent, list[ArvoEvent]]]:
    """Asking 1000 at once over PostgreSQL, per answer: at most 1.3 times what an answer costs among 10."""
    async with _fan_out(resumable, _postgres(), 1000) as workload:
        yield workload
