"""A machine memory with leases, in a dict, on a clock that the test moves."""

import secrets
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from pydantic_core import from_json
from typing_extensions import override

from arvo_event_handler import TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    LockPolicy,
    MachineLease,
    Record,
    RecordWrite,
    check_machine_id,
    check_previous,
    encode_record,
    until_granted,
    whole,
)
from arvo_event_handler.testing import record_write
from arvo_time import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record and who wrote it."""

    json: bytes
    version: int
    committed_by: str
    forgotten_at: datetime | None
    tail: bytes = b""
    chunks: tuple[tuple[int, bytes], ...] = ()
    last_chunk: int = 0

    def whole(self) -> Record:
        """Return the record, with what its journal says inside."""
        return whole(from_json(self.json), tail=self.tail, chunks=self.chunks)


_NOTHING = Stored(json=b"", version=0, committed_by="", forgotten_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    owner: str
    until: datetime


class LeasedMemory(ILeasedMachineMemory):
    """Leases expire by the clock; version and last writer are checked in the write. Never waits."""

    def __init__(
        self, *, clock: Clock, policy: LockPolicy | None = None, chunk_bytes: int = 0
    ) -> None:
        self._chunk_bytes = chunk_bytes
        self._clock = clock
        self._policy = policy or LockPolicy()
        self._stored: dict[str, Stored] = {}
        self._held: dict[str, _Held] = {}
        self._instance = secrets.token_hex(16)
        self.writes: list[RecordWrite] = []
        """What each commit stored."""
        self.expiries: list[timedelta | None] = []
        """The `expires_in` of each commit."""

    @property
    @override
    def policy(self) -> LockPolicy:
        return self._policy

    @property
    @override
    def chunk_bytes(self) -> int:
        return self._chunk_bytes

    @property
    def locked(self) -> list[str]:
        """The workflows that are locked at this moment."""
        return [machine_id for machine_id in self._held if self._holder(machine_id) is not None]

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        check_machine_id(machine_id)
        if self._holder(machine_id) is not None:
            return None
        owner = self._take(machine_id, secrets.token_hex(16))
        stored = self._current(machine_id)
        if stored is None:
            return MachineLease(machine_id=machine_id, owner=owner, version=0, record=None)
        return MachineLease(
            machine_id=machine_id,
            owner=owner,
            version=stored.version,
            committed_by=stored.committed_by,
            record=from_json(stored.json),
            tail=stored.tail,
            chunks=[chunk for chunk in stored.chunks if chunk[0] > after],
            last_chunk=stored.last_chunk,
        )

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        stored = self._current(lease.machine_id)
        if not self.is_as_loaded(stored, lease):
            self._refuse(lease.machine_id, TransactionViolationCause.VERSION_MOVED)
        return () if stored is None else list(stored.chunks)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        stored = self._current(lease.machine_id)
        if stored is not None and stored.committed_by == lease.owner:
            return
        if not self.is_as_loaded(stored, lease):
            self._refuse(lease.machine_id, TransactionViolationCause.VERSION_MOVED)
        self._store(lease.machine_id, write, by=lease.owner)
        self.writes.append(write)
        self.expiries.append(write.expires_in)
        self._held.pop(lease.machine_id, None)

    @override
    async def release(self, lease: MachineLease) -> None:
        held = self._held.get(lease.machine_id)
        if held is not None and held.owner == lease.owner:
            del self._held[lease.machine_id]

    @override
    async def renew(self, lease: MachineLease) -> bool:
        held = self._held.get(lease.machine_id)
        if held is None or held.owner != lease.owner:
            return False
        self._held[lease.machine_id] = replace(held, until=self._clock.now() + self._policy.ttl)
        return True

    @override
    async def read(self, machine_id: str) -> Record | None:
        stored = self._current(check_machine_id(machine_id))
        return None if stored is None else stored.whole()

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        stored = self._current(check_machine_id(machine_id))
        self.check_previous(previous, stored, machine_id)
        emptied = record_write(record, frees="all")
        self._store(machine_id, emptied, by=secrets.token_hex(16))

    @override
    async def lock(self, machine_id: str) -> bool:
        if self._holder(check_machine_id(machine_id)) is not None:
            return False
        self._take(machine_id, self._instance)
        return True

    @override
    async def unlock(self, machine_id: str) -> bool:
        if self._holder(check_machine_id(machine_id)) == self._instance:
            del self._held[machine_id]
        return True

    async def cleanup(self, machine_id: str) -> bool:
        """Forget a workflow; whether there was a record."""
        return self._stored.pop(machine_id, None) is not None

    def another_client(self) -> Self:
        """Make another client of the same data, with plain locks of its own."""
        other = copy(self)
        other._instance = secrets.token_hex(16)
        return other

    def take_over(self, machine_id: str) -> None:
        """Give the lease to another holder, as if it had expired."""
        self._take(machine_id, "another holder")

    def is_as_loaded(self, stored: Stored | None, lease: MachineLease) -> bool:
        """Return whether there was no write since the lease was granted."""
        if stored is None:
            return lease.version == 0
        return (stored.version, stored.committed_by) == (lease.version, lease.committed_by)

    def check_previous(
        self, previous: Record | None, stored: Stored | None, machine_id: str
    ) -> None:
        """Refuse to replace another record than the stored one."""
        found = None if stored is None else stored.whole()
        check_previous(previous, stored=found, machine_id=machine_id)

    def _take(self, machine_id: str, owner: str) -> str:
        self._held[machine_id] = _Held(owner=owner, until=self._clock.now() + self._policy.ttl)
        return owner

    def _holder(self, machine_id: str) -> str | None:
        held = self._held.get(machine_id)
        return held.owner if held is not None and self._clock.now() < held.until else None

    def _current(self, machine_id: str) -> Stored | None:
        stored = self._stored.get(machine_id)
        gone = stored is not None and (
            stored.forgotten_at is not None and self._clock.now() >= stored.forgotten_at
        )
        return None if gone else stored

    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        before = self._current(machine_id) or _NOTHING
        expires_in = write.expires_in
        last_chunk = before.last_chunk + (write.chunk is not None)
        own = () if write.chunk is None else ((last_chunk, write.chunk),)
        kept = {"none": (*before.chunks, *own), "earlier": own, "all": ()}
        self._stored[machine_id] = Stored(
            json=encode_record(write.record),
            version=before.version + 1,
            committed_by=by,
            forgotten_at=None if expires_in is None else self._clock.now() + expires_in,
            tail=write.tail,
            chunks=kept[write.frees],
            last_chunk=last_chunk,
        )

    def _refuse(self, machine_id: str, cause: TransactionViolationCause) -> None:
        raise TransactionViolation("refused by the test's memory", cause=cause, subject=machine_id)


class WaitingLeasedMemory(LeasedMemory):
    """Waits for other holders, trying again and again."""

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        async def attempt() -> MachineLease | timedelta:
            return (
                await super(WaitingLeasedMemory, self).acquire(machine_id, after=after)
                or self.policy.ttl
            )

        return await until_granted(attempt, policy=self.policy, clock=self._clock)

    @override
    async def lock(self, machine_id: str) -> bool:
        async def attempt() -> bool | timedelta:
            return await super(WaitingLeasedMemory, self).lock(machine_id) or self.policy.ttl

        return await until_granted(attempt, policy=self.policy, clock=self._clock) or False
