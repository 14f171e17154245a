"""A machine memory in a folder, with bugs that can be switched on."""

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from typing_extensions import override

from arvo_event_handler import TransactionViolation
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    LockPolicy,
    MachineLease,
    Record,
    RecordWrite,
    check_machine_id,
    check_previous,
    until_granted,
    whole,
)


@dataclass(slots=True, kw_only=True)
class _Stored:
    owner: str = ""
    expires: float = 0
    version: int = 0
    committed_by: str = ""
    record: Record | None = None
    tail: str = ""
    chunks: list[tuple[int, str]] = field(default_factory=list)
    last_chunk: int = 0


class FileMachineMemory(ILeasedMachineMemory):
    """One file per workflow, replaced as a whole under a lock of the operating system.

    Slow and simple: it is the correct memory when the storm itself is tested. Its URL can switch off
    what makes it correct, one by one, to check that the storm notices:

        file:///folder?lock=off     grants a lease that has a holder
        file:///folder?renew=off    reports a lease as renewed without renewing it
        file:///folder?fence=off    commits without comparing version and owner
    """

    def __init__(
        self, folder: Path, *, policy: LockPolicy, lock: bool, renew: bool, fence: bool
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._policy = policy
        self._locks, self._renews, self._fences = lock, renew, fence

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, policy: LockPolicy) -> AsyncIterator[Self]:
        """Open the memory that a URL names; see the class."""
        parts = urlsplit(url)
        switches = dict.fromkeys(("lock", "renew", "fence"), True)
        for name, value in parse_qsl(parts.query, strict_parsing=True) if parts.query else ():
            if name not in switches or value != "off":
                raise ValueError(f"{name}={value}: choose lock=off, renew=off or fence=off")
            switches[name] = False
        yield cls(Path(parts.path), policy=policy, **switches)

    @property
    @override
    def policy(self) -> LockPolicy:
        return self._policy

    @property
    @override
    def chunk_bytes(self) -> int:
        return 2048

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        with self._changing(lease.machine_id) as stored:
            if (stored.version, stored.committed_by) != (lease.version, lease.committed_by):
                raise TransactionViolation.version_moved(lease.machine_id)
            return _above(stored, 0)

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        check_machine_id(machine_id)

        async def attempt() -> MachineLease | timedelta:
            with self._changing(machine_id) as stored:
                left = stored.expires - time.time()
                if self._locks and stored.owner and left > 0:
                    return timedelta(seconds=left)
                stored.owner = secrets.token_hex(16)
                stored.expires = time.time() + self._policy.ttl.total_seconds()
                return MachineLease(
                    machine_id=machine_id,
                    owner=stored.owner,
                    version=stored.version,
                    committed_by=stored.committed_by,
                    record=stored.record,
                    tail=stored.tail.encode("latin-1"),
                    chunks=_above(stored, after),
                    last_chunk=stored.last_chunk,
                )

        return await until_granted(attempt, policy=self._policy)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        with self._changing(lease.machine_id) as stored:
            if self._fences:
                if stored.committed_by == lease.owner:
                    return
                loaded = (lease.version, lease.committed_by)
                if (stored.version, stored.committed_by) != loaded:
                    raise TransactionViolation.version_moved(lease.machine_id)
            stored.record, stored.version = write.record, lease.version + 1
            stored.tail = write.tail.decode("latin-1")
            if write.frees != "none":
                stored.chunks = []
            if write.chunk is not None:
                stored.last_chunk += 1
                if write.frees != "all":
                    chunk = write.chunk.decode("latin-1")
                    stored.chunks = [*stored.chunks, (stored.last_chunk, chunk)]
            stored.owner, stored.committed_by = "", lease.owner

    @override
    async def release(self, lease: MachineLease) -> None:
        with self._changing(lease.machine_id) as stored:
            if stored.owner == lease.owner:
                stored.owner = ""

    @override
    async def renew(self, lease: MachineLease) -> bool:
        if not self._renews:
            return True
        with self._changing(lease.machine_id) as stored:
            if stored.owner == lease.owner:
                stored.expires = time.time() + self._policy.ttl.total_seconds()
            return stored.owner == lease.owner

    @override
    async def read(self, machine_id: str) -> Record | None:
        with self._changing(check_machine_id(machine_id)) as stored:
            return _whole(stored)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        with self._changing(check_machine_id(machine_id)) as stored:
            check_previous(previous, stored=_whole(stored), machine_id=machine_id)
            stored.record, stored.version = record, stored.version + 1
            stored.tail, stored.chunks = "", []
            stored.committed_by = secrets.token_hex(16)

    @override
    async def lock(self, machine_id: str) -> bool:
        raise NotImplementedError("the storm uses leases")

    @override
    async def unlock(self, machine_id: str) -> bool:
        raise NotImplementedError("the storm uses leases")

    @contextmanager
    def _changing(self, machine_id: str) -> Iterator[_Stored]:
        """Yield the stored state, and store it as the block leaves it, all or nothing."""
        name = hashlib.sha256(machine_id.encode()).hexdigest()[:32]
        path = self._folder / name
        # The lock is released with the process that held it, however that one ends.
        with (self._folder / f"{name}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            text = path.read_text("utf-8") if path.exists() else "{}"
            stored = _Stored(**json.loads(text))
            before = asdict(stored)
            yield stored
            after = asdict(stored)
            if after != before:
                new = path.with_suffix(".new")
                new.write_text(json.dumps(after), "utf-8")
                os.replace(new, path)


def _whole(stored: _Stored) -> Record | None:
    if stored.record is None:
        return None
    return whole(stored.record, tail=stored.tail.encode("latin-1"), chunks=_above(stored, 0))


def _above(stored: _Stored, after: int) -> list[tuple[int, bytes]]:
    return [(number, chunk.encode("latin-1")) for number, chunk in stored.chunks if number > after]
