"""Whatever is called in whatever order, the scripts answer as a plain model in Python does."""

import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from random import Random
from typing import TypeAlias

import pytest

from arvo_event_handler import (
    LockPolicy,
    MachineLease,
    Record,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_memory_redis import RedisMachineMemory

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[RedisMachineMemory]]

SEQUENCES = 2_000 if os.environ.get("ARVO_FULL") == "1" else 100
CALLS = 12
POLICY = LockPolicy(max_wait=timedelta(0))


class Model:
    """One workflow, whose leases never run out."""

    def __init__(self) -> None:
        self.owner: str | None = None
        self.version = 0
        self.record: Record | None = None
        self.last_owner: str | None = None

    def commit(self, lease: MachineLease, record: Record) -> TransactionViolationCause | None:
        if self.last_owner == lease.owner and self.version == lease.version + 1:
            return None
        if self.owner != lease.owner:
            return TransactionViolationCause.LEASE_LOST
        if self.version != lease.version:
            return TransactionViolationCause.VERSION_MOVED
        self.owner, self.last_owner = None, lease.owner
        self.version, self.record = self.version + 1, record
        return None

    def write(self, record: Record, previous: Record | None) -> TransactionViolationCause | None:
        if self.record != previous:
            return TransactionViolationCause.VERSION_MOVED
        self.version, self.record, self.last_owner = self.version + 1, record, None
        return None


async def cause_of(call: Awaitable[object]) -> TransactionViolationCause | None:
    try:
        await call
    except TransactionViolation as violation:
        return violation.cause
    return None


@pytest.mark.timeout(300)
async def test_scripts_answer_as_the_model_does(
    connect_url: Connect, redis_url: str, prefix: str
) -> None:
    random = Random(11)
    async with connect_url(redis_url, prefix=prefix, policy=POLICY) as memory:
        for sequence in range(SEQUENCES):
            await _play(memory, Model(), f"order-{sequence}", random)


async def _play(memory: RedisMachineMemory, model: Model, name: str, random: Random) -> None:
    leases: list[MachineLease] = []
    records: list[Record | None] = [None]
    for number in range(CALLS):
        record: Record = {"number": number}
        call = random.choice(
            ["acquire", "acquire", "commit", "commit", "release", "renew", "write"]
        )
        if call == "acquire":
            lease = await memory.acquire(name)
            assert (lease is not None) == (model.owner is None)
            if lease is not None:
                assert (lease.version, lease.record) == (model.version, model.record)
                model.owner = lease.owner
                leases.append(lease)
        elif call == "write":
            previous = random.choice([model.record, random.choice(records)])
            assert await cause_of(memory.write(name, record, previous)) == model.write(
                record, previous
            )
        elif leases:
            lease = random.choice([leases[-1], random.choice(leases)])
            if call == "commit":
                assert await cause_of(memory.commit(lease, record)) == model.commit(lease, record)
            elif call == "release":
                await memory.release(lease)
                model.owner = None if model.owner == lease.owner else model.owner
            else:
                assert await memory.renew(lease) == (model.owner == lease.owner)
        records.append(model.record)
        stored = await memory.get(name)
        assert (stored and stored.record) == model.record
        assert (stored.version if stored else 0) == model.version
