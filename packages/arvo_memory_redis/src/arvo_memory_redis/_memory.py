"""The machine memory on Redis."""

import asyncio
import math
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self

from typing_extensions import override

from arvo_event_handler import MachineMemoryError, TransactionViolation
from arvo_event_handler.memory import (
    DueMachine,
    IStepHistory,
    ITimedMachineMemory,
    IWorkflowIndex,
    IWorkflowQueries,
    LockPolicy,
    MachineLease,
    MigrationReport,
    OnMigrated,
    Record,
    RecordWrite,
    StoredStep,
    StoredWorkflow,
    WorkflowCount,
    WorkflowPage,
    WorkflowQuery,
    WorkflowSummary,
    check_history,
    check_machine_id,
    check_previous,
    check_subjects,
    next_timer,
    read_steps,
    summary_of_record,
    until_granted,
    whole,
)
from arvo_redis import RedisClient, Server, TransportName
from arvo_time import SYSTEM_CLOCK, BackendError, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_count

from . import _scripts as scripts
from ._due_index import DueIndex, timer_words
from ._failure import memory_error
from ._history import StepHistory
from ._keys import Keys, encoded
from ._layout import Layout
from ._migration import migrate
from ._queries import WorkflowTable
from ._shown_workflow import summary_bytes
from ._stored_chunks import damaged_numbers, has_chunks, stored_chunks
from ._stored_record import RecordLimits, StoredRecord, stored_owner, stored_record

_CHUNK_BYTES: Final = 8192
# What a record is read from, beside its chunks.
_FIELDS: Final = (
    *("version", "last_owner", "codec", "state", "status", "tail", "first_chunk", "last_chunk"),
)
_logger: Final = bounded_logger("arvo_memory_redis")


@dataclass(slots=True, kw_only=True)
class _Lease(MachineLease):
    status: str | None
    """How the workflow stood when the lease was granted, as the index says it does; None if it does not."""


class RedisMachineMemory(ITimedMachineMemory, IWorkflowQueries, IWorkflowIndex, IStepHistory):
    """Workflows' state in Redis 6.2 or later or Valkey, shared by any number of processes.

    Get one from `connect`, or pass a client of your own. Version and last writer are checked inside
    the script that writes, so no update is lost on one server. A failover can lose what was
    acknowledged but not replicated yet; see the README.

    Args:
        client: You close it yourself. A client of redis-py must return bytes and must not repeat
            calls by itself. A `Server` of arvo_redis may have other users.
        prefix: What the names of all keys begin with, after a brace where they have a hash tag.
            Memories with different prefixes share nothing.
        policy: How leases are granted; None means `LockPolicy()`.
        chunk_bytes: From how many bytes on a workflow's tail, which every step writes again, is
            closed as a chunk, which is written once.
        compress_above: Compress records longer than this, in bytes; None means never.
        max_record_bytes: Refuse records that are longer than this when stored. Their JSON may have
            16 MiB, or this if it is more, written or read. It should be the same in all processes.
            Chunks have the same limits.
        history: How long to keep steps that nobody needs any more, so that `steps` shows them; None
            keeps none of them. It should be the same in all processes that run workflows.
        clock: For the pauses between tries. Leases run by the server's clock.

    Raises:
        TypeError: A number is not an int, `history` not a timedelta, `client` is not one of redis-py's
            asyncio clients, or `clock` is not a `Clock`.
        ValueError: `history` is not above zero or above ten years, `chunk_bytes` or `compress_above` is negative, `max_record_bytes` is below 1, or
            the prefix begins with `}`. Or the client has `decode_responses=True` or an `encoding` other than UTF-8, reads from
            replicas, or repeats calls by itself.
    """

    def __init__(
        self,
        client: RedisClient | Server,
        *,
        prefix: str = "arvo:",
        policy: LockPolicy | None = None,
        chunk_bytes: int = _CHUNK_BYTES,
        compress_above: int | None = 16 * 1024,
        max_record_bytes: int = 8 * 1024 * 1024,
        history: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_count(chunk_bytes, name="chunk_bytes")
        self._history = check_history(history)
        self._chunk_bytes = chunk_bytes
        self._own_client: Server | None = None
        self._server = Server(client, clock=clock, translated=memory_error)
        self._keys = Keys(prefix)
        self._layout = Layout(self._server, self._keys)
        self._policy = policy or LockPolicy()
        self._limits = RecordLimits(
            compress_above=compress_above, max_record_bytes=max_record_bytes
        )
        self._clock = clock
        self._table = WorkflowTable(self._server, self._keys, limits=self._limits, clock=clock)
        self._due = DueIndex(self._server, self._keys)
        self._journals = StepHistory(self._server, self._keys, limits=self._limits)
        self._instance = secrets.token_hex(16)
        # How long a workflow that never committed is kept, so that such hashes do not accumulate.
        self._unwritten_ttl_ms = _milliseconds(2 * self._policy.max_hold)
        self._ttl_ms = _milliseconds(self._policy.ttl)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        *,
        prefix: str = "arvo:",
        policy: LockPolicy | None = None,
        transport: TransportName = "auto",
        max_connections: int = 50,
        socket_timeout: timedelta = timedelta(seconds=5),
        read_only: bool = False,
        chunk_bytes: int = _CHUNK_BYTES,
        compress_above: int | None = 16 * 1024,
        max_record_bytes: int = 8 * 1024 * 1024,
        history: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Connect to a server for as long as the block lasts.

        Read-only, every call that writes, leases and `migrate` too, raises a `MachineMemoryError`, and
        queries leave the index as it is. The server is told nothing; the README says what a user of its
        ACL needs who may only read.

        Args:
            url: `redis://host:port/db`, `rediss://` for TLS, or `unix://path?db=0`, with any other
                option that redis-py reads from a URL. One node of a Cluster is enough. For a
                Sentinel, make redis-py's client and pass it to `RedisMachineMemory`.
            prefix: See the class.
            policy: See the class.
            transport: What carries calls. `multiplexed`: one connection to one server for all
                tasks, which is several times as fast when many are busy. `redis-py`: its client
                with a pool of connections. `auto`: redis-py for a Cluster, otherwise multiplexed.
            max_connections: How many calls redis-py may have pending, 1 to 10,000; others wait.
            socket_timeout: How long to wait for a connection, and how long a server may send
                nothing while an answer is outstanding; through redis-py, how long a call may take.
                Above 0, at most a day.
            read_only: Whether to refuse what writes, for tools that only look.
            chunk_bytes: See the class.
            compress_above: See the class.
            max_record_bytes: See the class.
            history: See the class.
            clock: See the class.

        Raises:
            ValueError: redis-py does not understand the URL, or the URL has `decode_responses` or an
                `encoding` other than UTF-8, leads to a Sentinel, or leads to a Cluster with
                `transport="multiplexed"`; there is no such transport; a number or timeout is too
                small or too large; or `history` is not above zero, above ten years, or set with
                `read_only`.
            TypeError: `socket_timeout` or `history` is not a timedelta, a number is not an int, `read_only`
                not a bool, or `clock` is not a `Clock`.
            MachineMemoryError: The server cannot be reached or, `retryable` being false, refuses the
                login. Or it holds workflows
                under the keys of the version before; see `migrate`.
        """
        # Wrong values are refused before anything is connected.
        check_count(chunk_bytes, name="chunk_bytes")
        check_history(history, read_only=read_only)
        RecordLimits(compress_above=compress_above, max_record_bytes=max_record_bytes)
        Keys(prefix)
        async with AsyncExitStack() as stack:
            connecting = Server.connect(
                url,
                transport=transport,
                max_connections=max_connections,
                socket_timeout=socket_timeout,
                read_only=read_only,
                clock=clock,
            )
            try:
                client = await stack.enter_async_context(connecting)
            except BackendError as error:
                raise memory_error(error) from error.__cause__
            memory = cls(
                client,
                prefix=prefix,
                policy=policy,
                chunk_bytes=chunk_bytes,
                compress_above=compress_above,
                max_record_bytes=max_record_bytes,
                history=history,
                clock=clock,
            )
            memory._own_client = client
            stack.push_async_callback(memory.aclose)
            await memory._ready()
            yield memory

    async def aclose(self) -> None:
        """Wait for the pending calls, and refuse further ones. Idempotent.

        A client that was passed in stays open. Calls after this raise a `MachineMemoryError`.
        """
        await self._server.aclose()
        if self._own_client is not None:
            await self._own_client.aclose()

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

    # --- leases -------------------------------------------------------------

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        check_machine_id(machine_id)
        await self._ready()
        return await until_granted(
            lambda: self._try_acquire(machine_id, after=after),
            policy=self._policy,
            clock=self._clock,
        )

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        as_loaded, *fields = await self._server.run(
            scripts.CHUNKS, self._keys.machine(lease.machine_id), lease.version, lease.committed_by
        )
        if not as_loaded:
            raise TransactionViolation.version_moved(lease.machine_id)
        first, last, *data = fields
        return stored_chunks(first, last, data, limits=self._limits).chunks

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        self._server.check_writable("commit")
        packed = self._limits.pack(write.record)
        chunk = b"" if write.chunk is None else self._limits.pack_chunk(write.chunk)
        expiry = 0 if write.expires_in is None else max(1, _milliseconds(write.expires_in))
        stood = lease.status if isinstance(lease, _Lease) else None
        with self._server.operation():
            start = await self._entered(
                lease.machine_id, write.summary, lease.version, stood=stood, owner=lease.owner
            )
            committed = await self._server.run(
                scripts.COMMIT,
                self._keys.machine(lease.machine_id),
                lease.owner,
                lease.version,
                lease.committed_by,
                packed.codec,
                packed.data,
                # Needed only with the first record: the hash has it afterwards.
                b"" if lease.version else encoded(lease.machine_id),
                write.tail,
                chunk,
                write.frees,
                write.summary.status,
                summary_bytes(write.summary, subject=lease.machine_id),
                start,
                *timer_words(write.timer),
                "" if self._history is None else _milliseconds(self._history),
                expiry,
            )
            _check_written(committed, lease.machine_id)
            self._settle(lease.machine_id, write.summary, lease.version, stood=stood)

    @override
    async def release(self, lease: MachineLease) -> None:
        await self._release(lease.machine_id, owner=lease.owner)

    @override
    async def renew(self, lease: MachineLease) -> bool:
        extended = await self._server.run(
            scripts.EXTEND,
            self._keys.machine(lease.machine_id),
            lease.owner,
            self._ttl_ms,
            self._unwritten_ttl_ms,
        )
        return bool(extended)

    # --- the four calls -----------------------------------------------------

    @override
    async def read(self, machine_id: str) -> Record | None:
        stored, *_ = await self._stored(check_machine_id(machine_id))
        return stored.record

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        self._server.check_writable("write")
        packed = self._limits.pack(record)
        timer = timer_words(next_timer(record))
        stored, last_owner, stood = await self._stored(check_machine_id(machine_id))
        check_previous(previous, stored=stored.record, machine_id=machine_id)
        summary = summary_of_record(record, subject=machine_id)
        owner = secrets.token_hex(16)
        with self._server.operation():
            start = await self._entered(
                machine_id, summary, stored.version, stood=stood, owner=owner
            )
            written = await self._server.run(
                scripts.WRITE,
                self._keys.machine(machine_id),
                owner,
                stored.version,
                last_owner,
                packed.codec,
                packed.data,
                encoded(machine_id),
                # Its record stands alone: neither a tail nor a chunk, and none is needed any more.
                b"",
                b"",
                "all",
                summary.status,
                summary_bytes(summary, subject=machine_id),
                start,
                *timer,
            )
            _check_written(written, machine_id)
            self._settle(machine_id, summary, stored.version, stood=stood)

    @override
    async def lock(self, machine_id: str) -> bool:
        check_machine_id(machine_id)
        await self._ready()
        granted = await until_granted(
            lambda: self._try_lock(machine_id), policy=self._policy, clock=self._clock
        )
        return granted is not None

    @override
    async def unlock(self, machine_id: str) -> bool:
        await self._release(check_machine_id(machine_id), owner=self._instance)
        return True

    # --- timers -------------------------------------------------------------

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        await self._ready()
        return await self._due.claim(limit=limit, hold=hold)

    @override
    async def next_due(self) -> datetime | None:
        await self._ready()
        return await self._due.next_due()

    # --- for operators ------------------------------------------------------

    @override
    async def workflows(
        self,
        query: WorkflowQuery,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> WorkflowPage:
        """Return one page of the workflows of a query; see `IWorkflowQueries`.

        It cannot search by `root`, `waits_for`, `error` and `no_step_since`. A workflow whose hash is
        damaged is left out, with a warning in the log.

        Raises:
            TypeError: An argument has another type.
            ValueError: `limit` is out of range, `after` is not a cursor of this listing, or the query
                has a field by which this memory cannot search.
            MachineMemoryError: The server could not answer.
        """
        await self._ready()
        return await self._table.page(query, after=after, limit=limit, oldest_first=oldest_first)

    @override
    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        await self._ready()
        return await self._table.count(query, at_most=at_most)

    @override
    async def workflow(self, subject: str) -> StoredWorkflow | None:
        check_machine_id(subject)
        await self._ready()
        return await self._table.workflow(subject)

    @override
    async def reindex(self) -> int:
        """Make the index of workflows anew, as it would be without any crash; workers may run.

        Returns:
            How many workflows there are.

        Raises:
            MachineMemoryError: The memory was opened read-only, or the server failed.
        """
        self._server.check_writable("reindex")
        await self._ready()
        return await self._table.reindex()

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        check_machine_id(subject)
        await self._ready()
        return await read_steps(
            subject,
            fetch=lambda below: self._journals.journal(subject, below=below),
            after=after,
            limit=limit,
        )

    @override
    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        listed = check_subjects(subjects)
        await self._ready()
        return await self._journals.times(listed)

    async def cleanup(self, machine_id: str) -> bool:
        """Forget a workflow and its lease immediately; commits over a record loaded before fail.

        Returns:
            Whether there was anything. After a lost reply this may be False even if there was.

        Raises:
            TransactionViolation: `machine_id` is empty.
            MachineMemoryError: The memory was opened read-only, or the server failed.
        """
        self._server.check_writable("cleanup")
        key = self._keys.machine(check_machine_id(machine_id))
        await self._ready()
        return bool(await self._server.run(scripts.FORGET, key))

    async def migrate(
        self, *, dry_run: bool = False, on_migrated: OnMigrated | None = None
    ) -> MigrationReport:
        """Move workflows from the keys of the version before to those of this one.

        Stop all workers of the version before first. This may be interrupted at any time and run
        again: each workflow is under one of its keys or under both, as a whole and with its expiry.
        `connect` refuses to open a memory that needs it, so either pass a client to the class, or
        call `arvo_event_handler.memory.migrate_memory` or `arvo memory migrate` with the URL.

        Args:
            dry_run: Only count the workflows, and change nothing.
            on_migrated: Called as the migration proceeds.

        Returns:
            What was done. A problem is a workflow with different records under both keys.

        Raises:
            MachineMemoryError: The keys are those of a newer version, a worker of the version before
                wrote meanwhile, the memory was opened read-only and this is no dry run, or the server failed.
        """
        if not dry_run:
            self._server.check_writable("migrate")
        return await migrate(
            self._server,
            self._keys,
            table=self._table,
            dry_run=dry_run,
            on_migrated=on_migrated,
        )

    # --- calls to the server ------------------------------------------------

    async def _ready(self) -> None:
        if not self._layout.checked:
            await self._layout.check()

    async def _stored(self, machine_id: str) -> tuple[StoredRecord, bytes, str | None]:
        """Return what a hash holds, with its whole record; its last writer; and its status."""
        await self._ready()
        key = self._keys.machine(machine_id)
        fields: list[Any] = await self._server.ask("HMGET", key, *_FIELDS)
        if has_chunks(*fields[-2:]):
            # All again, so that they are of one moment.
            fields = await self._server.run(scripts.READ, key, *_FIELDS)
        number, last_owner, codec, state, status, tail, first, last, *data = fields
        version, record = stored_record(number, codec, state, limits=self._limits)
        if record is not None:
            chunks, _ = stored_chunks(first, last, data, limits=self._limits)
            record = whole(record, tail=tail or b"", chunks=chunks)
        stood = None if status is None else status.decode("ascii", "replace")
        return StoredRecord(version, record), last_owner or b"", stood

    async def _entered(
        self,
        machine_id: str,
        summary: WorkflowSummary,
        version: int,
        *,
        stood: str | None,
        owner: str,
    ) -> int | Literal[""]:
        """Enter a workflow into the index, where that is not up to date; return when it started.

        Before the write, so that a worker that dies leaves an entry too many, never one too few.
        """
        if stood == summary.status and version:
            return ""
        member = self._keys.member(machine_id)
        try:
            if version:
                return await self._table.index.enter(member, summary, start=None)
            return await self._table.index.begin(member, summary, owner=owner)
        except MachineMemoryError as error:
            error.outcome = "failed"  # of the write, which is not tried
            raise

    def _settle(
        self, machine_id: str, summary: WorkflowSummary, version: int, *, stood: str | None
    ) -> None:
        if summary.finished or (version and stood != summary.status):
            self._server.in_background(self._table.settle(machine_id, summary.status))

    async def _try_acquire(self, machine_id: str, *, after: int) -> MachineLease | timedelta:
        owner = secrets.token_hex(16)
        answer = await self._take(machine_id, owner=owner, after=after)
        if isinstance(answer, timedelta):
            return answer
        number, codec, state, last_owner, tail, first, last, status, *data = answer
        try:
            version, record = stored_record(number, codec, state, limits=self._limits)
            committed_by = stored_owner(last_owner)
            chunks, last_chunk = stored_chunks(first, last, data, after=after, limits=self._limits)
        except MachineMemoryError:
            await self._release(machine_id, owner=owner)
            raise
        return _Lease(
            machine_id=machine_id,
            owner=owner,
            version=version,
            committed_by=committed_by,
            record=record,
            tail=tail or b"",
            chunks=chunks,
            last_chunk=last_chunk,
            status=None if status is None else status.decode("ascii", "replace"),
        )

    async def _try_lock(self, machine_id: str) -> list[Any] | timedelta:
        # A second lock of this memory must fail, but a repeated try of this one must not.
        owner = f"{self._instance}{secrets.token_hex(16)}"
        return await self._take(machine_id, owner=owner, after=None)

    async def _take(
        self, machine_id: str, *, owner: str, after: int | None
    ) -> list[Any] | timedelta:
        taking = self._server.run(
            scripts.ACQUIRE,
            self._keys.machine(machine_id),
            owner,
            self._ttl_ms,
            self._unwritten_ttl_ms,
            encoded(machine_id),
            "" if after is None else after,
        )
        # Without an order of calls, giving the lease back might overtake taking it. So the task goes
        # on to its end first.
        task = None if self._server.ordered else self._server.in_background(taking)
        try:
            granted, *rest = await (taking if task is None else asyncio.shield(task))
        except asyncio.CancelledError:
            # The cancelled call may have taken it.
            self._server.in_background(self._give_back(machine_id, owner=owner, after=task))
            raise
        return rest if granted else timedelta(milliseconds=int(rest[0]))

    async def _give_back(
        self, machine_id: str, *, owner: str, after: asyncio.Task[Any] | None
    ) -> None:
        try:
            if after is not None:
                await asyncio.wait([after])
            await self._release(machine_id, owner=owner)
        except MachineMemoryError:
            _logger.warning("could not give back what a cancelled task had taken", exc_info=True)

    async def _release(self, machine_id: str, *, owner: str) -> None:
        await self._server.run(scripts.RELEASE, self._keys.machine(machine_id), owner)


def _check_written(answer: int, machine_id: str) -> None:
    if answer < 0:
        raise damaged_numbers()
    if not answer:
        raise TransactionViolation.version_moved(machine_id)


def _milliseconds(delta: timedelta) -> int:
    return math.ceil(delta / timedelta(milliseconds=1))
