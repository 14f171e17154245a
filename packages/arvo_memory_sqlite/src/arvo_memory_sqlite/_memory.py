"""The machine memory in a SQLite file."""

import asyncio
import os
import secrets
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NoReturn, Self, TypeAlias, TypeVar
from urllib.parse import quote

from typing_extensions import override

from arvo_core import ArvoError
from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import (
    MAX_RECORD_BYTES,
    CountRequest,
    DueMachine,
    IStepHistory,
    ITimedMachineMemory,
    IWorkflowQueries,
    LockPolicy,
    MachineLease,
    PackedRecord,
    PageRequest,
    Record,
    RecordWrite,
    StoredJournal,
    StoredStep,
    StoredWorkflow,
    WorkflowCount,
    WorkflowPage,
    WorkflowQuery,
    check_claim,
    check_history,
    check_machine_id,
    check_subjects,
    machine_memory_error,
    next_timer,
    pack_chunk,
    pack_record,
    read_step_times,
    read_steps,
    summary_of_record,
    unpack_chunk,
    unpack_record,
    until_granted,
    whole,
)
from arvo_sqlite import OlderSchemaError, Operation, Query, SqliteClient, Synchronous
from arvo_time import SYSTEM_CLOCK, BackendError, Clock
from arvo_time.cancellation import take_or_give_back
from arvo_time.settings import check_clock, check_count

from . import (
    _history as stored_history,
    _queries as queries,
    _rows as rows,
    _schema as schema,
    _timers as timers,
)
from ._lease_waiters import LeaseWaiters, WokenClock

T = TypeVar("T")

# What was granted, or how long the current holder's lease still runs.
_Taken: TypeAlias = rows.Granted | timedelta

_TABLE: Final = "machine"
_CHUNK_BYTES: Final = 2048
BUSY_TIMEOUT: Final = timedelta(seconds=30)
"""How long to wait while another process writes."""


class SqliteMachineMemory(ITimedMachineMemory, IWorkflowQueries, IStepHistory):
    """Workflows' state in a SQLite file: durable, for any number of processes of one machine.

    Acknowledged writes survive when the process is killed, at any time. Get one from `connect`. It
    belongs to the event loop it was opened on. Do not fork while one is open.

    Leases and timers run by the machine's wall clock, which its processes share.

    Args:
        client: Stays open when the memory is closed, and may have other users. It must be connected
            with the component of the memory, as in `connect`.
        policy: How leases are granted; None means `LockPolicy()`.
        chunk_bytes: Length from which a workflow's tail is closed as a chunk. Every step writes the
            tail again, and a chunk only once.
        max_record_bytes: How long the JSON of a record may be, and each chunk, written or read. It
            should be the same in all processes.
        history: How long to keep steps that nobody needs any more, so that `steps` shows them; None
            keeps none of them. It should be the same in all processes that run workflows.
        clock: The wall clock that all processes share.

    Raises:
        TypeError: There is no client, a number is not an int, `history` is not a timedelta, or `clock`
            is not a `Clock`.
        ValueError: `chunk_bytes` is below 0, `max_record_bytes` is below 1, or `history` is not above
            zero or above ten years.
    """

    def __init__(
        self,
        client: SqliteClient | None = None,
        *,
        policy: LockPolicy | None = None,
        chunk_bytes: int = _CHUNK_BYTES,
        max_record_bytes: int = MAX_RECORD_BYTES,
        history: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if client is None:
            raise TypeError(
                "client is missing; write `async with SqliteMachineMemory.connect(path) as memory:`"
            )
        check_count(chunk_bytes, name="chunk_bytes")
        check_count(max_record_bytes, name="max_record_bytes", least=1)
        self._history = check_history(history)
        self._chunk_bytes = chunk_bytes
        self._client = client
        self._own_client: SqliteClient | None = None
        self._policy = policy or LockPolicy()
        self._max_record_bytes = max_record_bytes
        self._clock = check_clock(clock)
        self._waiters = LeaseWaiters()
        self._instance = secrets.token_hex(16)
        self._takes: set[object] = set()
        self._settled = asyncio.Event()
        self._closed = False
        self._unhook = (
            client.after_writes(self._purge),
            client.before_close(self._wait_for_takes),
        )

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        path: str | os.PathLike[str],
        *,
        policy: LockPolicy | None = None,
        synchronous: Synchronous = "full",
        read_only: bool = False,
        chunk_bytes: int = _CHUNK_BYTES,
        max_record_bytes: int = MAX_RECORD_BYTES,
        history: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Open a file for as long as the block lasts, and create it if it does not exist.

        Read-only, the file must exist and be up to date. It is neither created nor migrated, and
        every call that writes, leases too, raises a `MachineMemoryError`. SQLite may leave a `-wal`
        and a `-shm` beside it.

        Args:
            path: The file, on a local disk, in a folder that exists. A new one is private to its
                user (mode 0600). `:memory:` is a memory in this process, gone after the block.
            policy: See the class.
            synchronous: With "full", acknowledged writes survive a power cut. With "normal", they
                survive a killed process; a power cut may lose the last moments, never more.
            read_only: Whether to refuse what writes, for tools that only look.
            chunk_bytes: See the class.
            max_record_bytes: See the class.
            history: See the class.
            clock: See the class.

        Raises:
            TypeError: A number is not an int, `read_only` not a bool, `history` not a timedelta, or
                `clock` is not a `Clock`.
            ValueError: `path` is empty, `synchronous` is neither "full" nor "normal",
                `chunk_bytes` is below 0, `max_record_bytes` is below 1, `history` is not above zero,
                above ten years, or set with `read_only`, or `:memory:` is to be read only.
            MachineMemoryError: The file cannot be opened or written, is a database of another
                program, or was made by a newer version; read-only, it does not exist, or was made by
                an older version.

        Example:
            >>> async def main() -> None:
            ...     async with SqliteMachineMemory.connect(":memory:") as memory:
            ...         await memory.write("order-7", {"status": "active"}, None)
            ...         print(await memory.read("order-7"))
            >>> asyncio.run(main())
            {'status': 'active'}
        """
        # A wrong value is refused before a file is created.
        check_count(chunk_bytes, name="chunk_bytes")
        check_count(max_record_bytes, name="max_record_bytes", least=1)
        check_history(history, read_only=read_only)
        async with AsyncExitStack() as stack:
            connecting = SqliteClient.connect(
                path,
                components=[schema.MACHINE],
                synchronous=synchronous,
                busy_timeout=BUSY_TIMEOUT,
                read_only=read_only,
                label="memory",
                clock=clock,
            )
            try:
                client = await stack.enter_async_context(connecting)
            except OlderSchemaError as error:
                message = f"{error}; run `arvo memory migrate --memory {_url(path)}`"
                raise machine_memory_error(error, message=message) from error.__cause__
            except BackendError as error:
                raise machine_memory_error(error) from error.__cause__
            memory = cls(
                client,
                policy=policy,
                chunk_bytes=chunk_bytes,
                max_record_bytes=max_record_bytes,
                history=history,
                clock=clock,
            )
            memory._own_client = client
            stack.push_async_callback(memory.aclose)
            yield memory

    async def aclose(self) -> None:
        """Wait for the pending calls, and close the file if `connect` opened it. Idempotent.

        If the client was passed in, this waits only for leases that cancelled tasks still give back.
        Calls after this raise a `MachineMemoryError`.
        """
        self._closed = True
        if self._own_client is not None:
            await self._own_client.aclose()
        else:
            await self._wait_for_takes()
            # Not before: if the wait is cancelled, the client still waits for them.
            for unhook in self._unhook:
                unhook()

    @property
    @override
    def policy(self) -> LockPolicy:
        return self._policy

    @property
    @override
    def chunk_bytes(self) -> int:
        return self._chunk_bytes

    @property
    @override
    def history(self) -> timedelta | None:
        return self._history

    @property
    def is_still(self) -> bool:
        """Whether a file opened read-only is shown as it was then.

        That is so if its folder cannot be written and no other program has it open. Calls raise a
        `MachineMemoryError` as soon as another program writes to it.
        """
        return self._client.is_still

    # --- leases -------------------------------------------------------------

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        return await self._granted(machine_id, partial(self._try_acquire, after=after))

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        stored = await self._ask(
            "CHUNKS", lambda connection: rows.chunks(connection, lease, now=self._clock.now())
        )
        return self._unpack_chunks(stored)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        chunk, most = write.chunk, self._max_record_bytes
        content = rows.Content(
            packed=pack_record(write.record, max_bytes=most),
            summary=write.summary,
            tail=write.tail,
            chunk=None if chunk is None else pack_chunk(chunk, max_bytes=most),
            frees=write.frees,
            history=self._history,
        )
        await self._write(
            "COMMIT",
            lambda connection: timers.commit(
                connection,
                lease,
                content,
                timer=write.timer,
                now=self._clock.now(),
                expires_in=write.expires_in,
            ),
        )
        self._waiters.wake(lease.machine_id)

    @override
    async def release(self, lease: MachineLease) -> None:
        await self._release(lease.machine_id, owner=lease.owner)

    @override
    async def renew(self, lease: MachineLease) -> bool:
        return await self._write(
            "RENEW",
            lambda connection: rows.renew(
                connection,
                lease,
                now=self._clock.now(),
                ttl=self._policy.ttl,
                unwritten_ttl=2 * self._policy.max_hold,
            ),
            durable=False,
        )

    # --- the four calls -----------------------------------------------------

    @override
    async def read(self, machine_id: str) -> Record | None:
        check_machine_id(machine_id)
        stored = await self._ask(
            "READ", lambda connection: rows.read(connection, machine_id, now=self._clock.now())
        )
        return None if stored is None else self._unpack_whole(stored)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        check_machine_id(machine_id)
        packed = pack_record(record, max_bytes=self._max_record_bytes)
        content = rows.Content(packed=packed, summary=summary_of_record(record, subject=machine_id))
        timer = next_timer(record)
        await self._write(
            "WRITE",
            lambda connection: timers.write(
                connection,
                machine_id,
                content,
                timer=timer,
                previous=previous,
                unpack=self._unpack_whole,
                now=self._clock.now(),
            ),
        )

    @override
    async def lock(self, machine_id: str) -> bool:
        return await self._granted(machine_id, self._try_lock) is not None

    @override
    async def unlock(self, machine_id: str) -> bool:
        await self._release(check_machine_id(machine_id), owner=self._instance)
        return True

    # --- timers -------------------------------------------------------------

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        check_claim(limit=limit, hold=hold)
        # A claim that a power cut loses is made again: the timer's tick has the same id.
        return await self._write(
            "CLAIM",
            lambda connection: timers.claim(
                connection, limit=limit, hold=hold, now=self._clock.now()
            ),
            durable=False,
        )

    @override
    async def next_due(self) -> datetime | None:
        return await self._ask(
            "NEXT_DUE", lambda connection: timers.next_due(connection, now=self._clock.now())
        )

    # --- queries ------------------------------------------------------------

    @override
    async def workflows(
        self,
        query: WorkflowQuery,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> WorkflowPage:
        request = PageRequest.of(
            query,
            after=after,
            limit=limit,
            oldest_first=oldest_first,
            cursors="sqlite",
            length=2,
        )
        return await self._query(
            "WORKFLOWS", lambda connection: queries.page(connection, request, now=self._clock.now())
        )

    @override
    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        request = CountRequest.of(query, at_most=at_most)
        return await self._query(
            "COUNT", lambda connection: queries.count(connection, request, now=self._clock.now())
        )

    @override
    async def workflow(self, subject: str) -> StoredWorkflow | None:
        check_machine_id(subject)
        return await self._query(
            "WORKFLOW",
            lambda connection: queries.workflow(connection, subject, now=self._clock.now()),
        )

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        check_machine_id(subject)

        async def fetch(below: int | None) -> StoredJournal | None:
            found = await self._ask(
                "STEPS",
                lambda connection: stored_history.journal(
                    connection, subject, below=below, now=self._clock.now()
                ),
            )
            if found is None:
                return None
            return StoredJournal(
                record=self._unpack(found.packed),
                version=found.version,
                updated_at=found.updated_at,
                tail=found.tail,
                chunks=self._unpack_chunks(found.chunks),
            )

        return await read_steps(subject, fetch=fetch, after=after, limit=limit)

    @override
    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        listed = check_subjects(subjects)
        ends = await self._ask(
            "TIMES",
            lambda connection: stored_history.journal_ends(
                connection, listed, now=self._clock.now()
            ),
        )
        nothing = stored_history.JournalEnd(None, b"", None)
        return {subject: self._times(ends.get(subject, nothing)) for subject in listed}

    def _times(self, end: stored_history.JournalEnd) -> list[datetime]:
        def chunk() -> bytes | None:
            if end.chunk is None:
                return None
            return unpack_chunk(end.chunk, number=0, max_bytes=self._max_record_bytes)

        return read_step_times(end.tail, chunk=chunk, failed_at=end.failed_at)

    # --- for operators ------------------------------------------------------

    async def cleanup(self, machine_id: str) -> bool:
        """Forget a workflow and its lease immediately; commits over a record loaded before fail.

        Returns:
            Whether there was a record.

        Raises:
            TransactionViolation: `machine_id` is empty.
            MachineMemoryError: The file could not be written.
        """
        check_machine_id(machine_id)
        forgotten = await self._write(
            "CLEANUP", lambda connection: rows.cleanup(connection, machine_id)
        )
        self._waiters.wake(machine_id)
        return forgotten

    # --- inside ------------------------------------------------------------

    def _unpack(self, packed: PackedRecord) -> Record:
        return unpack_record(packed, max_bytes=self._max_record_bytes)

    def _unpack_whole(self, stored: rows.StoredRecord) -> Record:
        chunks = self._unpack_chunks(stored.chunks)
        return whole(self._unpack(stored.packed), tail=stored.tail, chunks=chunks)

    def _unpack_chunks(self, stored: Sequence[rows.StoredChunk]) -> list[tuple[int, bytes]]:
        most = self._max_record_bytes
        return [
            (number, unpack_chunk(data, number=number, max_bytes=most)) for number, data in stored
        ]

    async def _granted(
        self, machine_id: str, attempt: Callable[[str], Awaitable[T | timedelta]]
    ) -> T | None:
        check_machine_id(machine_id)
        with self._waiters.waiting(machine_id) as freed:
            return await until_granted(
                partial(_try_again, freed, attempt, machine_id),
                policy=self._policy,
                clock=WokenClock(self._clock, freed),
            )

    async def _try_acquire(self, machine_id: str, *, after: int) -> MachineLease | timedelta:
        owner = secrets.token_hex(16)
        granted = await self._take(machine_id, owner=owner, after=after)
        if isinstance(granted, timedelta):
            return granted
        try:
            record = granted.record(self._unpack)
            chunks = self._unpack_chunks(granted.chunks)
        except MachineMemoryError:
            await self._release(machine_id, owner=owner)
            raise
        return MachineLease(
            machine_id=machine_id,
            owner=owner,
            version=granted.version,
            committed_by=granted.committed_by,
            record=record,
            tail=granted.tail,
            chunks=chunks,
            last_chunk=granted.last_chunk,
        )

    async def _try_lock(self, machine_id: str) -> _Taken:
        return await self._take(machine_id, owner=self._instance, after=sys.maxsize)

    async def _take(self, machine_id: str, *, owner: str, after: int) -> _Taken:
        self._check_usable()
        take = object()
        self._takes.add(take)

        async def taking() -> _Taken:
            try:
                return await self._run(
                    "ACQUIRE",
                    lambda connection: rows.acquire(
                        connection,
                        machine_id,
                        owner=owner,
                        after=after,
                        now=self._clock.now(),
                        ttl=self._policy.ttl,
                        unwritten_ttl=2 * self._policy.max_hold,
                    ),
                    durable=False,
                )
            except BaseException:
                self._settle(take)
                raise

        async def give_back(taken: _Taken) -> None:
            try:
                if not isinstance(taken, timedelta):
                    await self._drop(machine_id, owner=owner)
            finally:
                self._settle(take)

        taken = await take_or_give_back(taking(), give_back=give_back)
        self._settle(take)
        return taken

    def _settle(self, take: object) -> None:
        """Note that what was taken was handed to the caller, or given back."""
        self._takes.discard(take)
        if not self._takes:
            self._settled.set()

    async def _release(self, machine_id: str, *, owner: str) -> None:
        self._check_usable()
        await self._drop(machine_id, owner=owner)

    async def _drop(self, machine_id: str, *, owner: str) -> None:
        # Allowed while closing too: what a cancelled task had taken must not stay taken.
        await self._run(
            "RELEASE",
            lambda connection: rows.release(connection, machine_id, owner=owner),
            durable=False,
        )
        self._waiters.wake(machine_id)

    def _write(
        self, name: str, operation: Operation[T], *, durable: bool = True
    ) -> Coroutine[Any, Any, T]:
        self._check_usable()
        return self._run(name, operation, durable=durable)

    async def _run(self, name: str, operation: Operation[T], *, durable: bool) -> T:
        try:
            answer = await self._client.write(
                partial(_answer, operation), name=name, collection=_TABLE, durable=durable
            )
        except BackendError as error:
            raise machine_memory_error(error) from error.__cause__
        return _refuse(answer) if isinstance(answer, ArvoError) else answer

    async def _ask(self, name: str, query: Query[T]) -> T:
        self._check_usable()
        try:
            answer = await self._client.read(partial(_answer, query), name=name, collection=_TABLE)
        except BackendError as error:
            raise machine_memory_error(error) from error.__cause__
        return _refuse(answer) if isinstance(answer, ArvoError) else answer

    async def _query(self, name: str, query: Query[T]) -> T:
        def within_the_time(connection: sqlite3.Connection) -> T:
            with queries.ended_in_time(connection, clock=self._clock):
                return query(connection)

        return await self._ask(name, within_the_time)

    def _check_usable(self) -> None:
        if self._closed:
            raise MachineMemoryError(
                f"{self._client.path}: the memory was closed; open it again",
                retryable=False,
                outcome="failed",
            )

    def _purge(self, connection: sqlite3.Connection, written: int) -> None:
        # More than was written, so that expired rows never accumulate.
        rows.purge(connection, now=self._clock.now(), limit=16 + 2 * written)

    async def _wait_for_takes(self) -> None:
        self._closed = True
        while self._takes:
            self._settled.clear()
            await self._settled.wait()


# Functions of the module, as the annotations of nested ones would be evaluated at every call.


async def _try_again(
    freed: asyncio.Event, attempt: Callable[[str], Awaitable[T | timedelta]], machine_id: str
) -> T | timedelta:
    freed.clear()
    return await attempt(machine_id)


def _url(path: str | os.PathLike[str]) -> str:
    return f"sqlite:///{quote(os.path.abspath(path))}"


def _answer(
    work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection
) -> T | ArvoError:
    """Return an error of Arvo's own rules instead of raising it: the file has not failed."""
    try:
        return work(connection)
    except ArvoError as refusal:
        return refusal


def _refuse(refusal: ArvoError) -> NoReturn:
    try:
        raise refusal
    finally:
        del refusal  # its traceback has this frame
