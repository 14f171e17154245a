"""Connections and servers that end at critical moments."""

import asyncio
import os
import random
import time
from collections import Counter
from datetime import timedelta

import asyncpg
import pytest
from real_servers.fixtures import StartPostgres

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import LockPolicy, WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_postgres import PostgresMachineMemory
from arvo_time.testing import FakeClock

from .conftest import Connect, behind_proxy, leased, on_its_connection

KILLS = 200 if os.environ.get("ARVO_FULL") == "1" else 40
CRASHES = 10 if os.environ.get("ARVO_FULL") == "1" else 2


@pytest.mark.alone
@pytest.mark.scaled
async def test_a_backend_terminated_around_a_commit_leaves_no_doubt(
    postgres_dsn: str, connect_to: Connect
) -> None:
    """Each commit is known to have happened or not, and happens at most once."""
    chance = random.Random(7)
    killer = await asyncpg.connect(postgres_dsn)
    done, failed, terminated = 0, 0, 0
    try:
        async with connect_to(pool_size=2) as memory:
            sent = count_sent(memory)
            for _ in range(KILLS):
                lease = await leased(memory)
                assert lease.version == done
                ((pid,),) = await on_its_connection(memory, "SELECT pg_backend_pid()")
                commit = asyncio.ensure_future(
                    memory.commit(lease, record_write({"count": lease.version + 1}))
                )
                # The instant is a number of turns of the loop after the commit began.
                for _ in range(chance.randrange(8)):
                    await asyncio.sleep(0)
                terminated += await killer.fetchval("SELECT pg_terminate_backend($1)", pid)
                (error,) = await asyncio.gather(commit, return_exceptions=True)
                if error is None:
                    done += 1
                else:
                    assert isinstance(error, MachineMemoryError)
                    assert error.outcome == "failed", "an unknown outcome must be resolved"
                    failed += 1
                    await memory.release(lease)
                expected = {"count": done} if done else None
                assert await memory.read("order-7") == expected
            assert done + failed == KILLS
            assert terminated == KILLS
            assert (await leased(memory)).version == done
            # Otherwise all of them came after the answer.
            assert sent["COMMIT"] > KILLS
    finally:
        await killer.close()


def count_sent(memory: PostgresMachineMemory) -> Counter[str]:
    """Count from now on how often each operation is sent, repetitions too."""
    sent = Counter[str]()
    take = memory._connections.take

    async def counted(operation: str) -> object:
        sent[operation] += 1
        return await take(operation)

    memory._connections.take = counted  # type: ignore[method-assign]
    return sent


@pytest.mark.alone
@pytest.mark.scaled
async def test_a_connection_cut_anywhere_in_a_commit_leaves_no_doubt(
    postgres_dsn: str, schema: str
) -> None:
    """A backend that is terminated notifies its client first; a broken network does not."""
    chance = random.Random(7)
    happened = Counter[bool]()
    async with behind_proxy(postgres_dsn, schema) as (proxy, memory):
        sent = count_sent(memory)
        for count in range(1, KILLS + 1):
            lease = await leased(memory)
            assert lease.version == count - 1
            mark = f"mark {count}.".encode()
            n_bytes = chance.randrange(40)
            if chance.random() < 0.5:
                fault = proxy.lose_next_request(containing=mark, n_bytes=n_bytes)
            else:
                fault = proxy.cut_reply_after(n_bytes, containing=mark)
            before = sent["FATE"]
            await memory.commit(lease, record_write({"count": count, "mark": mark.decode()}))
            assert fault.happened.is_set()
            # FATE is run for a commit that was sent again and found that it had been done.
            happened[sent["FATE"] > before] += 1
            record = await memory.read("order-7")
            assert record is not None
            assert record["count"] == count
        assert (await leased(memory)).version == KILLS
    assert min(happened[True], happened[False]) > KILLS // 5


async def test_a_commit_whose_answer_is_lost_is_recognised(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """The server ran it; sent again, it writes nothing and succeeds."""
    async with behind_proxy(postgres_dsn, schema) as (proxy, memory):
        await memory.commit(await leased(memory), record_write({"count": 1}))
        lease = await leased(memory)
        # The statement is prepared, so this request is the one that runs it.
        fault = proxy.lose_next_reply(containing=b"a mark in the record")
        await memory.commit(lease, record_write({"count": 2, "mark": "a mark in the record"}))
        assert fault.happened.is_set()
        assert (await leased(memory)).version == 2


async def test_a_lost_acquire_is_taken_again_by_the_same_holder(
    postgres_dsn: str, schema: str
) -> None:
    """The answer never came, but the lease was taken: there is no wait for its end."""
    async with behind_proxy(postgres_dsn, schema) as (proxy, memory):
        await memory.release(await leased(memory))
        fault = proxy.lose_next_reply(containing=b"order-8")
        lease = await leased(memory, "order-8")
        assert fault.happened.is_set()
        await memory.commit(lease, record_write({"count": 1}))


async def test_a_lost_commit_is_unknown_if_another_write_followed(
    postgres_dsn: str, schema: str, connect_to: Connect
) -> None:
    """Whether it came before the other write cannot be known any more."""
    clock = FakeClock()
    async with behind_proxy(postgres_dsn, schema) as (proxy, memory), connect_to() as other:
        memory._runner._clock = clock
        lease = await leased(memory)
        fault = proxy.lose_next_reply(containing=b"a mark in the record")
        commit = asyncio.ensure_future(
            memory.commit(lease, record_write({"mark": "a mark in the record"}))
        )
        await fault.happened.wait()
        # Before the memory looks for another connection, the next holder writes twice.
        for _ in range(2):
            await other.commit(await leased(other), record_write({"by": "other"}))
        await clock.run_for(timedelta(seconds=1))
        with pytest.raises(MachineMemoryError) as caught:
            await commit
        assert caught.value.outcome == "unknown"


@pytest.mark.alone
@pytest.mark.scaled
async def test_a_killed_server_loses_nothing_it_acknowledged(start_postgres: StartPostgres) -> None:
    """SIGKILL with fsync on, in the middle of commits."""
    server = start_postgres()
    acknowledged: dict[str, int] = {}

    async def steps(memory: PostgresMachineMemory, machine_id: str) -> None:
        while True:
            lease = await leased(memory, machine_id)
            await memory.commit(lease, record_write({"count": lease.version + 1}))
            acknowledged[machine_id] = lease.version + 1

    policy = LockPolicy(ttl=timedelta(seconds=1), max_wait=timedelta(seconds=5))
    for crash in range(CRASHES):
        async with PostgresMachineMemory.connect(server.dsn, policy=policy) as memory:
            await memory.migrate()
            workers = [asyncio.ensure_future(steps(memory, f"order-{n}")) for n in range(8)]
            before = sum(acknowledged.values())
            while sum(acknowledged.values()) < before + 50 + 13 * crash:  # noqa: ASYNC110
                await asyncio.sleep(0)
            server.kill()
            ended = await asyncio.gather(*workers, return_exceptions=True)
            assert all(isinstance(error, MachineMemoryError) for error in ended), ended
        server.restart()
        async with PostgresMachineMemory.connect(server.dsn, policy=policy) as memory:
            for machine_id, count in acknowledged.items():
                record = await memory.read(machine_id)
                assert record is not None
                # One more may have been written whose answer never came.
                assert record["count"] in (count, count + 1)
                acknowledged[machine_id] = int(str(record["count"]))
            page = await memory.workflows(WorkflowQuery())
            assert acknowledged.keys() <= {each.subject for each in page.workflows}


async def test_a_memory_works_again_after_its_server_restarted(
    start_postgres: StartPostgres,
) -> None:
    """All its connections are dead after the restart."""
    server = start_postgres()
    async with PostgresMachineMemory.connect(server.dsn, pool_size=5) as memory:
        await memory.migrate()
        await asyncio.gather(*(memory.write(f"order-{n}", {"n": n}, None) for n in range(10)))
        server.stop()
        server.restart()
        assert await memory.read("order-7") == {"n": 7}


async def test_an_exhausted_pool_is_an_error_in_time(connect_to: Connect) -> None:
    """The call does not hang, and the error names what to change."""
    async with connect_to(pool_size=1) as memory:
        await memory.read("order-7")
        memory._connections._timeout = timedelta(milliseconds=50)  # to connect may take longer
        connection = await memory._connections.take("a long statement")
        with pytest.raises(MachineMemoryError, match="raise pool_size") as caught:
            await memory.read("order-7")
        await memory._connections.give_back(connection)
        assert (caught.value.retryable, caught.value.outcome) == (True, "failed")
        assert await memory.read("order-7") is None


async def test_a_statement_that_takes_too_long_is_an_error(
    postgres_dsn: str, connect_to: Connect, schema: str
) -> None:
    """Another client has locked the row; a change may have happened, so the outcome is unknown."""
    impatient = connect_to(statement_timeout=timedelta(milliseconds=100))
    async with connect_to() as patient, impatient as memory:
        lease = await leased(patient)
        connection = await asyncpg.connect(postgres_dsn)
        try:
            quoted = schema.replace('"', '""')
            async with connection.transaction():
                await connection.fetch(f'SELECT FROM "{quoted}".machines FOR UPDATE')
                with pytest.raises(MachineMemoryError, match="statement_timeout") as caught:
                    await memory.commit(lease, record_write({"count": 1}))
        finally:
            await connection.close()
        assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
        await patient.commit(lease, record_write({"count": 1}))
        assert (await leased(patient)).version == 1


async def test_a_call_to_an_unreachable_server_has_failed(start_postgres: StartPostgres) -> None:
    """Nothing was sent, so nothing happened."""
    server = start_postgres()
    async with PostgresMachineMemory.connect(server.dsn) as memory:
        await memory.migrate()
        lease = await leased(memory)
        server.kill()
        started = time.monotonic()
        with pytest.raises(MachineMemoryError) as caught:
            await memory.commit(lease, record_write({"count": 1}))
        assert caught.value.retryable
        assert time.monotonic() - started < 20, "the call hung"
