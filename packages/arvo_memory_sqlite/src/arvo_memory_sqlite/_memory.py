"""The machine memory."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Self, TypeVar

from typing_extensions import override

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import (
    MAX_RECORD_BYTES,
    ILeasedMachineMemory,
    LockPolicy,
    MachineLease,
    PackedRecord,
    Record,
    check_machine_id,
    pack_record,
    unpack_record,
    until_granted,
)
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.cancellation import take_or_give_back
from arvo_time.settings import check_count

from . import _rows as rows
from ._database import IN_MEMORY, Database, Synchronous
from ._handover import Handover, WokenClock
from ._readers import Query, Readers
from ._stored_machine import StoredMachine
from ._writer import Operation, Writer

T = TypeVar("T")

_BUSY_TIMEOUT: Final = timedelta(seconds=30)


class SqliteMachineMemory(ILeasedMachineMemory):
    """Workflows' state in a SQLite file: durable, for any number of processes of one machine.

    What was acknowledged survives a process that is killed at any time. Get one from `open`. It
    belongs to the event loop it was opened on. Do not fork with one open.

    Leases run by the machine's wall clock, which its processes share.
    """

    _database: Database
    _writer: Writer
    _readers: Readers | None
    _policy: LockPolicy
    _max_record_bytes: int
    _clock: Clock
    _handover: Handover
    _loop: asyncio.AbstractEventLoop
    _instance: str
    _takes: set[object]
    _settled: asyncio.Event
    _closing: asyncio.Task[None] | None

    def __init__(self) -> None:
        raise TypeError("write `async with SqliteMachineMemory.open(path) as memory:`")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        policy: LockPolicy | None = None,
        synchronous: Synchronous = "full",
        max_record_bytes: int = MAX_RECORD_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Open a file for as long as the block lasts; make it when it is not there.

        Args:
            path: The file, on a local disk, in a folder that exists. A new one is for its user
                alone (mode 0600). `:memory:` is a memory of this process, gone after the block.
            policy: How leases are granted; None takes `LockPolicy()`.
            synchronous: "full": what is acknowledged survives a power cut. "normal": it survives
                a killed process; a power cut may take the last moments, never more.
            max_record_bytes: How long the JSON of a record may be, written or read. All processes
                should say the same.
            clock: The wall clock that all processes share.

        Raises:
            TypeError: `max_record_bytes` is no int.
            ValueError: `path` is empty, `synchronous` is neither word, or `max_record_bytes` is
                below 1.
            MachineMemoryError: The file cannot be opened or written, is no machine memory, or
                was made by a newer version.

        Example:
            >>> async def main() -> None:
            ...     async with SqliteMachineMemory.open(":memory:") as memory:
            ...         await memory.write("order-7", {"status": "active"}, None)
            ...         print(await memory.read("order-7"))
            >>> asyncio.run(main())
            {'status': 'active'}
        """
        if synchronous not in {"full", "normal"}:
            raise ValueError(f"synchronous must be 'full' or 'normal', got {synchronous!r}")
        check_count(max_record_bytes, name="max_record_bytes", least=1)
        name = os.fspath(path)
        if not name:
            raise ValueError("path must not be empty; for a memory without a file, ':memory:'")
        if name != IN_MEMORY:
            name = os.path.abspath(name)  # noqa: ASYNC240 - looks at no file
        database = Database(path=name, synchronous=synchronous, busy_timeout=_BUSY_TIMEOUT)
        connection = await take_or_give_back(
            asyncio.to_thread(database.open_writer),
            give_back=lambda opened: asyncio.to_thread(opened.close),
        )
        writer = Writer(
            database,
            connection,
            # More than was written, so that what expires never piles up.
            after=lambda connected, count: rows.purge(
                connected, now=clock.now(), limit=16 + 2 * count
            ),
        )
        memory = cls.__new__(cls)
        memory._begin(  # noqa: SLF001 - its own
            database=database,
            writer=writer,
            policy=policy or LockPolicy(),
            max_record_bytes=max_record_bytes,
            clock=clock,
        )
        try:
            yield memory
        finally:
            await memory.aclose()

    async def aclose(self) -> None:
        """Wait for what was begun, and let go of the file. Again does no harm.

        Calls after this raise a `MachineMemoryError`.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    @property
    @override
    def policy(self) -> LockPolicy:
        return self._policy

    # --- leases -------------------------------------------------------------

    @override
    async def acquire(self, machine_id: str) -> MachineLease | None:
        return await self._granted(machine_id, self._try_acquire)

    @override
    async def commit(
        self, lease: MachineLease, record: Record, *, expires_in: timedelta | None = None
    ) -> None:
        content = self._content(record)
        await self._write(
            lambda connection: rows.commit(
                connection, lease, content, now=self._clock.now(), expires_in=expires_in
            )
        )
        self._handover.tell(lease.machine_id)

    @override
    async def release(self, lease: MachineLease) -> None:
        await self._release(lease.machine_id, owner=lease.owner)

    @override
    async def renew(self, lease: MachineLease) -> bool:
        return await self._lease(
            lambda connection: rows.renew(
                connection,
                lease,
                now=self._clock.now(),
                ttl=self._policy.ttl,
                keep=2 * self._policy.max_hold,
            )
        )

    # --- the four calls -----------------------------------------------------

    @override
    async def read(self, machine_id: str) -> Record | None:
        check_machine_id(machine_id)
        packed = await self._ask(
            lambda connection: rows.read(connection, machine_id, now=self._clock.now())
        )
        return None if packed is None else self._unpack(packed)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        check_machine_id(machine_id)
        content = self._content(record)
        await self._write(
            lambda connection: rows.write(
                connection,
                machine_id,
                content,
                previous=previous,
                unpack=self._unpack,
                now=self._clock.now(),
            )
        )

    @override
    async def lock(self, machine_id: str) -> bool:
        return await self._granted(machine_id, self._try_lock) is not None

    @override
    async def unlock(self, machine_id: str) -> bool:
        await self._release(check_machine_id(machine_id), owner=self._instance)
        return True

    # --- for operators ------------------------------------------------------

    async def find(self, *, status: str, limit: int = 100) -> list[StoredMachine]:
        """Return workflows of a status, those that were started first before the others.

        Args:
            status: `active`, `done` or `failure`, or whatever else records call `status`.
            limit: How many at most.

        Raises:
            ValueError: `limit` is below 1.
            MachineMemoryError: The file could not be read.
        """
        _check_limit(limit)
        return await self._ask(
            lambda connection: rows.find(
                connection, status=status, limit=limit, now=self._clock.now()
            )
        )

    async def children(self, root: str, *, limit: int = 1000) -> list[StoredMachine]:
        """Return the workflows below one at the top, at every depth, first started first.

        Args:
            root: The subject of the workflow at the top.
            limit: How many at most.

        Raises:
            TransactionViolation: `root` is empty.
            ValueError: `limit` is below 1.
            MachineMemoryError: The file could not be read.
        """
        check_machine_id(root)
        _check_limit(limit)
        return await self._ask(
            lambda connection: rows.children(connection, root, limit=limit, now=self._clock.now())
        )

    async def cleanup(self, machine_id: str) -> bool:
        """Forget a workflow and its lease at once; whoever loaded its record fails to commit.

        Returns:
            Whether there was a record.

        Raises:
            TransactionViolation: `machine_id` is empty.
            MachineMemoryError: The file could not be written.
        """
        check_machine_id(machine_id)
        forgotten = await self._write(lambda connection: rows.cleanup(connection, machine_id))
        self._handover.tell(machine_id)
        return forgotten

    # --- inside ------------------------------------------------------------

    def _begin(
        self,
        *,
        database: Database,
        writer: Writer,
        policy: LockPolicy,
        max_record_bytes: int,
        clock: Clock,
    ) -> None:
        self._database = database
        self._writer = writer
        self._readers = None if database.in_memory else Readers(database)
        self._policy = policy
        self._max_record_bytes = max_record_bytes
        self._clock = clock
        self._handover = Handover()
        self._loop = asyncio.get_running_loop()
        self._instance = secrets.token_hex(16)
        self._takes = set()
        self._settled = asyncio.Event()
        self._closing = None

    def _content(self, record: Record) -> rows.Content:
        return rows.Content.of(record, pack_record(record, max_bytes=self._max_record_bytes))

    def _unpack(self, packed: PackedRecord) -> Record:
        return unpack_record(packed, max_bytes=self._max_record_bytes)

    async def _granted(
        self, machine_id: str, attempt: Callable[[str], Awaitable[T | timedelta]]
    ) -> T | None:
        check_machine_id(machine_id)
        with self._handover.waiting(machine_id) as freed:

            async def once() -> T | timedelta:
                freed.clear()
                return await attempt(machine_id)

            return await until_granted(
                once, policy=self._policy, clock=WokenClock(self._clock, freed)
            )

    async def _try_acquire(self, machine_id: str) -> MachineLease | timedelta:
        owner = secrets.token_hex(16)
        granted = await self._take(machine_id, owner=owner)
        if isinstance(granted, timedelta):
            return granted
        try:
            record = granted.record(self._unpack)
        except MachineMemoryError:
            await self._release(machine_id, owner=owner)
            raise
        return MachineLease(
            machine_id=machine_id,
            owner=owner,
            version=granted.version,
            committed_by=granted.committed_by,
            record=record,
        )

    async def _try_lock(self, machine_id: str) -> rows.Granted | timedelta:
        return await self._take(machine_id, owner=self._instance)

    async def _take(self, machine_id: str, *, owner: str) -> rows.Granted | timedelta:
        self._check_usable()
        take = object()

        async def taking() -> rows.Granted | timedelta:
            self._takes.add(take)
            try:
                return await self._writer.submit(
                    lambda connection: rows.acquire(
                        connection,
                        machine_id,
                        owner=owner,
                        now=self._clock.now(),
                        ttl=self._policy.ttl,
                        keep=2 * self._policy.max_hold,
                    ),
                    durable=False,
                )
            except BaseException:
                self._settle(take)
                raise

        async def give_back(taken: rows.Granted | timedelta) -> None:
            try:
                if not isinstance(taken, timedelta):
                    await self._drop(machine_id, owner=owner)
            finally:
                self._settle(take)

        taken = await take_or_give_back(taking(), give_back=give_back)
        self._settle(take)
        return taken

    def _settle(self, take: object) -> None:
        """Note that somebody has what was taken, or that it was given back."""
        self._takes.discard(take)
        if not self._takes:
            self._settled.set()

    async def _release(self, machine_id: str, *, owner: str) -> None:
        self._check_usable()
        await self._drop(machine_id, owner=owner)

    async def _drop(self, machine_id: str, *, owner: str) -> None:
        # Also while closing: what a cancelled task had taken must not stay taken.
        await self._writer.submit(
            lambda connection: rows.release(connection, machine_id, owner=owner), durable=False
        )
        self._handover.tell(machine_id)

    async def _write(self, operation: Operation[T]) -> T:
        self._check_usable()
        return await self._writer.submit(operation, durable=True)

    async def _lease(self, operation: Operation[T]) -> T:
        self._check_usable()
        # Who loses power loses the holder too, so its lease need not survive on the disk.
        return await self._writer.submit(operation, durable=False)

    async def _ask(self, query: Query[T]) -> T:
        self._check_usable()
        if self._readers is None:
            return await self._writer.submit(query, durable=False)
        return await self._readers.ask(query)

    def _check_usable(self) -> None:
        if self._closing is not None:
            raise MachineMemoryError(
                f"{self._database.path}: the memory was closed; open it again",
                retryable=False,
                outcome="failed",
            )
        # Also found in a forked process, which has the memory and none of its threads.
        if asyncio.get_running_loop() is not self._loop:
            raise MachineMemoryError(
                f"{self._database.path}: the memory was opened on another event loop or before a "
                "fork; open one where it is used",
                retryable=False,
                outcome="failed",
            )

    async def _close(self) -> None:
        while self._takes:
            self._settled.clear()
            await self._settled.wait()
        await self._writer.aclose()
        if self._readers is not None:
            await self._readers.aclose()


def _check_limit(limit: int) -> None:
    # SQLite takes a negative one for none.
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
