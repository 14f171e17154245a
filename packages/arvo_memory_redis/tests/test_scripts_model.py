"""In any order of calls, the scripts answer as a plain model in Python does.

Each script runs twice with the same arguments, as it does when a reply is lost, but for the two whose
second run finds that there is nothing left.
"""

import os
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from typing_extensions import override

from arvo_event_handler import TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import (
    UNCHANGED,
    LockPolicy,
    MachineLease,
    NextTimer,
    Record,
    RecordWrite,
    Unchanged,
)
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_redis._due_scripts import CLAIM
from arvo_memory_redis._scripts import FORGET

from .clients import stored

SEQUENCES = 500 if os.environ.get("ARVO_FULL") == "1" else 100
CALLS = 12
POLICY = LockPolicy(max_wait=timedelta(0))
BARE = "the memory itself, by its bare lock"
ONCE = {word for script in (CLAIM, FORGET) for word in (script.sha, script.source)}
PAST = datetime(2020, 2, 29, 23, 59, 59, 7, UTC)
FUTURE = datetime(2999, 12, 31, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Twice(Redis):
    """Runs each script twice, and expects the same answer."""

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        execute: Any = super().execute_command
        first = await execute(*args, **options)
        if args[0] in ("EVALSHA", "EVAL") and args[1] not in ONCE:
            second = await execute(*args, **options)
            # A refused ACQUIRE returns how many milliseconds are left.
            assert second == first or first[0] == second[0] == 0, args
        return first


@dataclass
class Model:
    """A model of one workflow, whose lease runs out only when the test says so."""

    owner: str | None = None
    expired: bool = False
    version: int = 0
    record: Record | None = None
    last_owner: str | None = None
    tail: bytes = b""
    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    last_chunk: int = 0
    timer: NextTimer | None = None
    claims: int = 0

    def move(self, timer: NextTimer | Unchanged | None) -> None:
        if timer is not UNCHANGED:
            self.timer, self.claims = timer, 0

    def claim(self) -> list[tuple[str, int]]:
        """Claims hold for longer than a sequence takes."""
        if self.timer is None or self.timer.at > PAST or self.claims:
            return []
        self.claims += 1
        return [(self.timer.key, self.claims)]

    def free(self) -> bool:
        return self.owner is None or self.expired

    def take(self, owner: str) -> None:
        self.owner, self.expired = owner, False

    def release(self, owner: str) -> None:
        if self.owner == owner:
            self.owner = None

    def renew(self, lease: MachineLease) -> bool:
        if self.owner != lease.owner:
            return False
        self.expired = False
        return True

    def as_loaded(self, lease: MachineLease) -> bool:
        return (self.version, self.last_owner or "") == (lease.version, lease.committed_by)

    def commit(self, lease: MachineLease, write: RecordWrite) -> TransactionViolationCause | None:
        if self.last_owner == lease.owner:
            return None
        if not self.as_loaded(lease):
            return TransactionViolationCause.VERSION_MOVED
        self.owner, self.last_owner = None, lease.owner
        self.version, self.record = self.version + 1, write.record
        self.tail = write.tail
        self.move(write.timer)
        if write.frees != "none":
            self.chunks = []
        if write.chunk is not None:
            self.last_chunk += 1
            if write.frees != "all":
                self.chunks = [*self.chunks, (self.last_chunk, write.chunk)]
        return None

    def write(self, record: Record, previous: Record | None) -> TransactionViolationCause | None:
        if self.record != previous:
            return TransactionViolationCause.VERSION_MOVED
        self.version, self.record = self.version + 1, record
        self.last_owner = BARE
        self.tail, self.chunks = b"", []
        self.move(None)
        return None

    def cleanup(self) -> bool:
        there = self.owner is not None or self.version > 0
        self.__init__()  # type: ignore[misc]
        return there


async def cause_of(call: Awaitable[object]) -> TransactionViolationCause | None:
    try:
        await call
    except TransactionViolation as violation:
        return violation.cause
    return None


@dataclass
class Sequence:
    """Random calls for one workflow, each made to the memory and to the model."""

    memory: RedisMachineMemory
    client: Redis
    prefix: str
    name: str
    random: Random
    model: Model = field(default_factory=Model)
    leases: list[MachineLease] = field(default_factory=list)
    records: list[Record | None] = field(default_factory=lambda: [None])

    async def play(self, number: int) -> str:
        """Make one call, compare, and return its name."""
        kinds = ["acquire", "lock", "unlock", "write", "run_out", "cleanup", "claim"]
        weights = [4, 1, 1, 2, 2, 1, 2]
        if self.leases:
            kinds += ["commit", "chunks", "release", "renew"]
            weights += [5, 2, 1, 2]
        (kind,) = self.random.choices(kinds, weights)
        await getattr(self, kind)({"number": number})
        found = await stored(self.memory, self.name)
        assert (found and found.record) == self.model.record
        assert (found.version if found else 0) == self.model.version
        self.records.append(self.model.record)
        return kind

    async def check_timer(self) -> None:
        due, timer = await self.memory.next_due(), self.model.timer
        assert (due is None) == (timer is None)
        assert timer is None or self.model.claims or due == timer.at

    def any_lease(self) -> MachineLease:
        return self.random.choice([self.leases[-1], self.random.choice(self.leases)])

    async def acquire(self, _: Record) -> None:
        after = self.random.randrange(5)
        lease = await self.memory.acquire(self.name, after=after)
        assert (lease is not None) == self.model.free()
        if lease is not None:
            assert (lease.version, lease.record) == (self.model.version, self.model.record)
            assert (lease.tail, lease.last_chunk) == (self.model.tail, self.model.last_chunk)
            assert list(lease.chunks) == [each for each in self.model.chunks if each[0] > after]
            if self.model.last_owner == BARE:
                # A bare write has a new token, which only the memory knows.
                assert all(lease.committed_by != each.committed_by for each in self.leases)
                self.model.last_owner = lease.committed_by
            assert lease.committed_by == (self.model.last_owner or "")
            self.model.take(lease.owner)
            self.leases.append(lease)

    async def lock(self, _: Record) -> None:
        assert await self.memory.lock(self.name) == self.model.free()
        if self.model.free():
            self.model.take(BARE)

    async def unlock(self, _: Record) -> None:
        assert await self.memory.unlock(self.name)
        self.model.release(BARE)

    async def write(self, record: Record) -> None:
        previous = self.random.choice([self.model.record, self.random.choice(self.records)])
        cause = await cause_of(self.memory.write(self.name, record, previous))
        assert cause == self.model.write(record, previous)

    async def commit(self, record: Record) -> None:
        lease = self.any_lease()
        number = str(record["number"]).encode()
        write = record_write(
            record,
            tail=self.random.choice([b"", b"tail of " + number]),
            chunk=self.random.choice([None, b"", b"chunk of " + number, number * 4096]),
            frees=self.random.choice(["none", "none", "earlier", "all"]),
            timer=self.random.choice(
                [UNCHANGED, None, *(NextTimer(at=at, key=str(number)) for at in (PAST, FUTURE))]
            ),
        )
        cause = await cause_of(self.memory.commit(lease, write))
        assert cause == self.model.commit(lease, write)

    async def chunks(self, _: Record) -> None:
        lease = self.any_lease()
        if self.model.as_loaded(lease):
            assert list(await self.memory.chunks(lease)) == self.model.chunks
        else:
            cause = await cause_of(self.memory.chunks(lease))
            assert cause is TransactionViolationCause.VERSION_MOVED

    async def release(self, _: Record) -> None:
        lease = self.any_lease()
        await self.memory.release(lease)
        self.model.release(lease.owner)

    async def renew(self, _: Record) -> None:
        lease = self.any_lease()
        assert await self.memory.renew(lease) == self.model.renew(lease)

    async def cleanup(self, _: Record) -> None:
        assert await self.memory.cleanup(self.name) == self.model.cleanup()

    async def claim(self, _: Record) -> None:
        claimed = await self.memory.claim_due(limit=3, hold=HOUR)
        assert [(each.key, each.claims) for each in claimed] == self.model.claim()
        assert {each.machine_id for each in claimed} <= {self.name}

    async def run_out(self, _: Record) -> None:
        """End the lease without waiting for the server's clock."""
        async for key in self.client.scan_iter(match=f"{{{self.prefix}[0-9]*"):
            if key.endswith(b"}due"):
                continue
            if await self.client.hexists(key, "owner"):
                await self.client.hset(key, "lease_end", "1")
        self.model.expired = True


@pytest.mark.scaled
async def test_scripts_answer_as_the_model_does(redis_url: str, prefix: str) -> None:
    random = Random(11)
    played = Counter[str]()
    async with Twice.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        for number in range(SEQUENCES):
            own = f"{prefix}{number}:"
            memory = RedisMachineMemory(client, prefix=own, policy=POLICY)
            sequence = Sequence(memory, client, own, "order-7", random)
            played.update([await sequence.play(call) for call in range(CALLS)])
            await sequence.check_timer()
            await memory.cleanup("order-7")
    assert len(played) == 11
    print(f"{SEQUENCES} sequences, {played.total()} calls as in the model: {dict(played)}")  # noqa: T201 - the figure of the run
