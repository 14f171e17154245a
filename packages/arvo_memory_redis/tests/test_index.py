"""The index beside the hashes: whatever dies when, it says too much, never too little."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from typing_extensions import override

from arvo_event_handler import MachineMemoryError, TransactionViolation
from arvo_event_handler.memory import (
    LockPolicy,
    RecordWrite,
    WorkflowQuery,
    WorkflowStatus,
    summary_of_record,
)
from arvo_memory_redis import RedisMachineMemory

from .aging import make_older
from .clients import leased, subjects

POLICY = LockPolicy(max_wait=timedelta(0))
STATUSES: tuple[WorkflowStatus, ...] = ("active", "done", "failure")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


class Interrupted(AuthenticationError):
    """The process is killed here: an error after which nothing is tried again."""


class Killed(Redis):
    """A client whose process is killed when it has sent a number of commands."""

    left = -1

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        execute: Any = super().execute_command
        return await execute(*args, **options)


async def step(
    memory: RedisMachineMemory,
    status: WorkflowStatus = "active",
    *,
    subject: str = "order-7",
    expires_in: timedelta | None = None,
) -> None:
    record = {"executionStatus": "failure"} if status == "failure" else {"status": status}
    summary = summary_of_record({**record}, subject=subject)
    lease = await leased(memory, subject)
    await memory.commit(
        lease, RecordWrite(record={**record}, summary=summary, expires_in=expires_in)
    )


async def listed(memory: RedisMachineMemory) -> dict[str, list[str]]:
    """The subjects by status, as a listing of each shows them."""
    pages = {each: await memory.workflows(WorkflowQuery(status={each})) for each in STATUSES}
    return {each: [one.subject for one in page.workflows] for each, page in pages.items()}


async def test_a_worker_that_is_killed_anywhere_hides_no_workflow(
    redis_url: str, client: Redis, prefix: str
) -> None:
    """At its start, at its failure, when it is tried again, and at its end."""
    history: list[WorkflowStatus] = ["active", "failure", "active", "done"]
    cut = 0
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as other:
        for steps in range(1, len(history) + 1):
            sent, survived = 0, False
            while not survived:
                async with Killed.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as killed:
                    assert isinstance(killed, Killed)
                    own = f"{prefix}{steps}-{sent}:"
                    memory = RedisMachineMemory(killed, prefix=own, policy=POLICY)
                    for status in history[: steps - 1]:
                        await step(memory, status)
                    await memory.aclose()
                    memory = RedisMachineMemory(killed, prefix=own, policy=POLICY)
                    await memory.read("order-7")
                    killed.left = sent
                    try:
                        await step(memory, history[steps - 1])
                    except MachineMemoryError:
                        cut += 1
                    await memory.aclose()
                    survived = killed.left > 0
                looker = RedisMachineMemory(other, prefix=own, policy=POLICY)
                workflow = await looker.workflow("order-7")
                expected = {each: list[str]() for each in STATUSES}
                if workflow is not None:
                    expected[workflow.status] = ["order-7"]
                assert await listed(looker) == expected
                assert await subjects(looker) == ([] if workflow is None else ["order-7"])
                sent += 1
    assert cut >= 3 * len(history) - 2


async def test_what_has_expired_leaves_the_index(client: Redis, prefix: str) -> None:
    """Without anybody who looks: those that end look after those that have ended."""
    memory = RedisMachineMemory(client, prefix=prefix, policy=POLICY)
    for number in range(8):
        await step(memory, "done", subject=f"old-{number}", expires_in=timedelta(minutes=1))
    await make_older(client, prefix, timedelta(hours=1))
    for number in range(16):
        await step(memory, "done", subject=f"new-{number}")
    await memory.aclose()
    for name in ("all", "done", "source:", "keys"):
        assert await client.zcard(f"{{{prefix}i}}:{name}") == 16
    assert await client.hlen(f"{{{prefix}i}}:about") == 16


async def test_a_reader_removes_what_is_gone_but_not_what_may_be_unwritten(
    client: Redis, prefix: str
) -> None:
    memory = RedisMachineMemory(client, prefix=prefix, policy=POLICY)
    await step(memory)
    await client.unlink(memory._keys.machine("order-7"))
    for age, left in [(timedelta(minutes=9), 1), (timedelta(minutes=2), 0)]:
        await make_older(client, prefix, age)
        reader = RedisMachineMemory(client, prefix=prefix)
        assert await subjects(reader) == []
        await reader.aclose()
        assert await client.zcard(f"{{{prefix}i}}:all") == left


async def test_reindex_makes_anew_what_was_lost_or_damaged(client: Redis, prefix: str) -> None:
    memory = RedisMachineMemory(client, prefix=prefix, policy=POLICY)
    for status in STATUSES:
        await step(memory, subject=status)
        if status != "active":
            await step(memory, status, subject=status)
    await client.hset(memory._keys.machine("damaged"), mapping={"version": "1"})
    before, starts = await listed(memory), await subjects(memory)
    for key in [each async for each in client.scan_iter(match=f"{{{prefix}i}}:*")]:
        await client.unlink(key)
    assert await listed(memory) == {"active": [], "done": [], "failure": []}
    memory = RedisMachineMemory(client, prefix=prefix, policy=POLICY)
    await client.zadd(f"{{{prefix}i}}:active", {memory._keys.member("done"): 1})
    assert await memory.reindex() == 3
    assert (await listed(memory), await subjects(memory)) == (before, starts)
    assert await client.zcard(f"{{{prefix}i}}:active") == 1


async def test_who_begins_a_workflow_too_late_does_not_move_it(client: Redis, prefix: str) -> None:
    memory = RedisMachineMemory(client, prefix=prefix, policy=POLICY)
    late = await leased(memory)
    await make_older(client, prefix, POLICY.ttl)
    await step(memory)
    await step(memory, subject="order-8")
    summary = summary_of_record({}, subject="order-7")
    with pytest.raises(TransactionViolation):
        await memory.commit(late, RecordWrite(record={}, summary=summary))
    await subjects(memory)  # sees it, and puts it back
    assert await subjects(memory) == ["order-8", "order-7"]
