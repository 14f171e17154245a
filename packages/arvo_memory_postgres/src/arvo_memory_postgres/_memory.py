"""The machine memory on PostgreSQL."""

import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

import asyncpg
from typing_extensions import override

from arvo_event_handler import MachineMemoryError, TransactionViolation
from arvo_event_handler.memory import (
    MAX_RECORD_BYTES,
    IStepHistory,
    LockPolicy,
    MachineLease,
    Record,
    RecordWrite,
    StoredJournal,
    StoredStep,
    check_history,
    check_previous,
    check_subjects,
    next_timer,
    pack_chunk,
    pack_record,
    read_steps,
    summary_of_record,
    until_granted,
    whole,
)
from arvo_postgres import Connections, InvalidDsnError, TableName, is_contention
from arvo_time import SYSTEM_CLOCK, BackendError, Clock
from arvo_time.cancellation import take_or_give_back
from arvo_time.settings import check_count, check_duration

from ._due_table import DueTable
from ._history import JOURNAL, JOURNAL_ENDS, NO_MORE, read_journal, read_journal_ends
from ._rows import (
    WorkflowColumns,
    machine_key,
    moved_timer,
    stored_chunks,
    stored_record,
    summary_columns,
)
from ._statements import in_table
from ._table import memory_error

_CHUNK_BYTES: Final = 8192
_NO_CHUNKS: Final = 2**63 - 1
_TEN_SECONDS: Final = timedelta(seconds=10)
_THIRTY_SECONDS: Final = timedelta(seconds=30)
_DAY: Final = timedelta(days=1)
_MOST_INSERTS: Final = 3


class PostgresMachineMemory(DueTable, IStepHistory):
    """Workflows' state in PostgreSQL, one row per workflow, shared by any number of processes.

    A step is two statements, and each is a transaction of its own: no transaction and no connection
    is held while user code runs. The statement that writes checks version and last writer itself.
    Leases run by the clock of the database. When a connection is lost, the statement is sent again
    on another one; it finds what it did before, so nothing is written twice.

    Every call except the constructor raises `MachineMemoryError` when the database fails; `outcome`
    says whether a change may have happened. The first call checks that the schema exists: see
    `migrate`.

    Args:
        client: Your own client, which stays open when the memory is closed: a pool of asyncpg, or
            `Connections` of arvo_postgres, which may have other users. The pool that `connect` makes
            is faster, as it sends no reset query when a connection is given back.
        schema: The schema of the tables.
        table: The table of workflows; the table of this name with `_migrations` appended holds its
            version.
        policy: How leases are granted; None means `LockPolicy()`.
        pool_timeout: How long to wait for a connection of a pool; above 0, at most a day.
            `Connections` have a timeout of their own.
        statement_timeout: How long one statement may take; above 0, at most a day.
        chunk_bytes: Length from which a workflow's tail is closed as a chunk. Every step writes the
            tail again, and a chunk only once.
        max_record_bytes: How long the JSON of a record may be, and each chunk, written or read. It
            should be the same in all processes.
        history: How long to keep steps that nobody needs any more, so that `steps` shows them; None
            keeps none of them. It should be the same in all processes that run workflows.
        clock: For the pauses between tries. Leases run by the clock of the database.

    Raises:
        TypeError: A duration is not a timedelta, a number is not an int, or `clock` is not a `Clock`.
        ValueError: PostgreSQL does not allow such a name, a timeout is not above 0 or is above a day,
            `chunk_bytes` is below 0, `max_record_bytes` is below 1, or `history` is not above zero,
            above ten years, or set where the client only reads.
    """

    def __init__(
        self,
        client: asyncpg.Pool | Connections,
        *,
        schema: str = "arvo",
        table: str = "machines",
        policy: LockPolicy | None = None,
        pool_timeout: timedelta = _TEN_SECONDS,
        statement_timeout: timedelta = _THIRTY_SECONDS,
        chunk_bytes: int = _CHUNK_BYTES,
        max_record_bytes: int = MAX_RECORD_BYTES,
        history: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_count(chunk_bytes, name="chunk_bytes")
        check_count(max_record_bytes, name="max_record_bytes", least=1)
        super().__init__(
            client,
            name=TableName(schema=schema, table=table),
            pool_timeout=pool_timeout,
            statement_timeout=statement_timeout,
            clock=clock,
        )
        self._history = check_history(history, read_only=self._connections.read_only)
        self._policy = policy or LockPolicy()
        self._chunk_bytes = chunk_bytes
        self._max_record_bytes = max_record_bytes
        self._clock = clock
        # Bare locks of this memory: their owners by machine id. Two tasks are two owners.
        self._locks: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        dsn: str,
        *,
        schema: str = "arvo",
        table: str = "machines",
        policy: LockPolicy | None = None,
        pool_size: int = 10,
        pool_timeout: timedelta = _TEN_SECONDS,
        statement_timeout: timedelta = _THIRTY_SECONDS,
        statement_cache_size: int = 100,
        read_only: bool = False,
        chunk_bytes: int = _CHUNK_BYTES,
        max_record_bytes: int = MAX_RECORD_BYTES,
        history: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Open a memory with a pool of its own for as long as the block lasts.

        Read-only, the schema must exist and be up to date, and every call that writes, leases and
        `migrate` too, raises a `MachineMemoryError`. The server is told as well
        (`default_transaction_read_only`), which a PgBouncer must let pass.

        Args:
            dsn: Such as `postgresql://user:password@host/database`.
            schema: See the class.
            table: See the class.
            policy: See the class.
            pool_size: How many connections at most, 1 to 10,000. Each is held for one statement at a
                time, so a few serve many tasks.
            pool_timeout: See the class.
            statement_timeout: See the class.
            statement_cache_size: How many prepared statements a connection keeps. Use 0 for a
                PgBouncer that pools transactions and does not support prepared statements.
            read_only: Whether to refuse what writes, for tools that only look.
            chunk_bytes: See the class.
            max_record_bytes: See the class.
            history: See the class.
            clock: See the class.

        Raises:
            MachineMemoryError: The database cannot be reached, or the DSN is not valid; read-only, the
                schema is missing or older.
            TypeError: A duration is not a timedelta, a number is not an int, `read_only` not a bool,
                or `clock` is not a `Clock`.
            ValueError: PostgreSQL does not allow such a name, a timeout is not above 0 or is above a
                day, `pool_size` is not within 1 and 10,000, `statement_cache_size` or `chunk_bytes` is
                below 0, `max_record_bytes` is below 1, or `history` is not above zero, above ten years,
                or set with `read_only`.
        """
        # Wrong values are refused before anything is connected.
        TableName(schema=schema, table=table)
        check_duration(statement_timeout, name="statement_timeout", above_zero=True, most=_DAY)
        check_count(chunk_bytes, name="chunk_bytes")
        check_count(max_record_bytes, name="max_record_bytes", least=1)
        check_history(history, read_only=read_only)
        async with AsyncExitStack() as stack:
            connecting = Connections.connect(
                dsn,
                pool_size=pool_size,
                pool_timeout=pool_timeout,
                statement_cache_size=statement_cache_size,
                read_only=read_only,
                clock=clock,
            )
            try:
                client = await stack.enter_async_context(connecting)
            except InvalidDsnError as error:
                raise MachineMemoryError(str(error), retryable=False, outcome="failed") from None
            except BackendError as error:
                raise memory_error(error, doing="connect") from error.__cause__
            memory = cls(
                client,
                schema=schema,
                table=table,
                policy=policy,
                pool_timeout=pool_timeout,
                statement_timeout=statement_timeout,
                chunk_bytes=chunk_bytes,
                max_record_bytes=max_record_bytes,
                history=history,
                clock=clock,
            )
            memory._own_client = client
            stack.push_async_callback(memory.aclose)
            if read_only:
                await memory._check_schema()
            yield memory

    # --- leases -------------------------------------------------------------

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

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        return await self._taken(machine_id, after=after)

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        return await self._chunks_above(0, lease)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        columns = summary_columns(write.summary)
        move, timer = moved_timer(write.timer)
        further: list[object] = [write.tail or None]
        commits = self._sql.commit
        # The first commit of a later life also deletes the chunks left from the life before.
        later_life = lease.version == 0 and lease.last_chunk > 0
        if write.chunk is not None or write.frees != "none" or later_life:
            commits = self._sql.commit_chunk
            chunk = pack_chunk(write.chunk or b"", max_bytes=self._max_record_bytes)
            further += [chunk, int(write.chunk is not None), write.frees]
            if self._history is not None:
                commits = self._sql.commit_chunk_kept
                further.append(self._history)
        await self._write_as_loaded(
            "COMMIT",
            commits[move],
            lease,
            write.record,
            columns,
            write.expires_in,
            [*further, *timer],
        )

    @override
    async def release(self, lease: MachineLease) -> None:
        await self._release(lease.machine_id, lease.owner)

    @override
    async def renew(self, lease: MachineLease) -> bool:
        key = machine_key(lease.machine_id)
        answer = await self._ask("RENEW", self._sql.renew, key, lease.owner, self._policy.ttl)
        return answer.row is not None

    # --- the four calls -----------------------------------------------------

    @override
    async def read(self, machine_id: str) -> Record | None:
        row = (await self._ask("READ", self._sql.read, machine_key(machine_id))).row
        return None if row is None else self._whole(row)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        key = machine_key(machine_id)
        move, timer = moved_timer(next_timer(record))
        row = (await self._ask("READ", self._sql.read, key)).row
        loaded = MachineLease(
            machine_id=machine_id,
            owner=secrets.token_hex(16),
            version=0 if row is None else row["version"],
            committed_by="" if row is None else row["committed_by"],
            record=None if row is None else self._whole(row),
        )
        check_previous(previous, stored=loaded.record, machine_id=machine_id)
        if row is None:
            await self._ask("WRITE", self._sql.ensure, key, machine_id)
        columns = summary_columns(summary_of_record(record, subject=machine_id))
        await self._write_as_loaded(
            "WRITE", self._sql.write[move], loaded, record, columns, None, timer
        )

    @override
    async def lock(self, machine_id: str) -> bool:
        lease = await self._taken(machine_id, after=_NO_CHUNKS)
        if lease is None:
            return False
        self._locks[machine_id] = lease.owner
        return True

    @override
    async def unlock(self, machine_id: str) -> bool:
        machine_key(machine_id)
        owner = self._locks.get(machine_id)
        if owner is None:
            self._check_writable("UNLOCK")
            return True
        await self._release(machine_id, owner)
        if self._locks.get(machine_id) == owner:
            del self._locks[machine_id]
        return True

    # --- history ------------------------------------------------------------

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        key = machine_key(subject)
        sql = in_table(JOURNAL, self._name)

        async def fetch(below: int | None) -> StoredJournal | None:
            number = NO_MORE if below is None else below
            row = (await self._ask("STEPS", sql, key, number)).row
            return None if row is None else read_journal(row, max_bytes=self._max_record_bytes)

        return await read_steps(subject, fetch=fetch, after=after, limit=limit)

    @override
    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        listed = check_subjects(subjects)
        sql = in_table(JOURNAL_ENDS, self._name)
        rows = (await self._ask("TIMES", sql, [*map(machine_key, listed)])).rows
        return read_journal_ends(rows, subjects=listed, max_bytes=self._max_record_bytes)

    # --- inside -------------------------------------------------------------

    async def _taken(self, machine_id: str, *, after: int) -> MachineLease | None:
        key = machine_key(machine_id)
        owner = secrets.token_hex(16)
        ttl = self._policy.ttl

        async def attempt() -> MachineLease | timedelta:
            try:
                answer = await self._ask(
                    "ACQUIRE", self._sql.acquire, key, machine_id, owner, ttl, after
                )
            except MachineMemoryError as error:
                if is_contention(error.__cause__):
                    return ttl
                raise
            if answer.row is None:
                # The time that the holder has left would cost another round trip; the backoff does
                # not need it.
                return ttl
            try:
                lease = self._lease(machine_id, owner, answer.row)
                if lease.last_chunk > max(_last_number(lease), answer.row["after"]):
                    # The statement waited for the commit that wrote this chunk.
                    lease = replace(lease, chunks=await self._chunks_above(after, lease))
            except MachineMemoryError:
                await self._release(machine_id, owner)
                raise
            except TransactionViolation:
                # There was a commit since, which dropped this lease.
                return timedelta(0)
            return lease

        async def give_back(taken: MachineLease | timedelta) -> None:
            if isinstance(taken, MachineLease):
                await self._release(machine_id, owner)

        # One try at a time: a task that is cancelled between two tries leaves no try behind.
        return await until_granted(
            lambda: take_or_give_back(attempt(), give_back=give_back),
            policy=self._policy,
            clock=self._clock,
        )

    def _lease(self, machine_id: str, owner: str, row: Any) -> MachineLease:
        return MachineLease(
            machine_id=machine_id,
            owner=owner,
            version=row["version"],
            committed_by=row["committed_by"],
            record=self._record(row),
            tail=row["tail"] or b"",
            chunks=stored_chunks(row, max_bytes=self._max_record_bytes),
            last_chunk=row["last_chunk"],
        )

    async def _chunks_above(self, after: int, lease: MachineLease) -> list[tuple[int, bytes]]:
        key = machine_key(lease.machine_id)
        row = (await self._ask("CHUNKS", self._sql.chunks, key, after)).row
        found = (0, "") if row is None else (row["version"], row["committed_by"])
        if found != (lease.version, lease.committed_by):
            raise TransactionViolation.version_moved(lease.machine_id)
        return [] if row is None else stored_chunks(row, max_bytes=self._max_record_bytes)

    async def _release(self, machine_id: str, owner: str) -> None:
        await self._ask("RELEASE", self._sql.release, machine_key(machine_id), owner)

    async def _write_as_loaded(
        self,
        operation: str,
        sql: str,
        loaded: MachineLease,
        record: Record,
        columns: WorkflowColumns,
        expires_in: timedelta | None,
        further: Sequence[object],
    ) -> None:
        """Write if the row is as it was loaded; insert it first if it was never written and is gone.

        Raises:
            TransactionViolation: Another writer was first; nothing was changed.
            MachineMemoryError: The write failed, or its outcome is unknown.
        """
        machine_id, version = loaded.machine_id, loaded.version
        key = machine_key(machine_id)
        packed = pack_record(record, max_bytes=self._max_record_bytes)
        stored = (key, loaded.owner, version, *packed, *columns, expires_in, loaded.committed_by)
        written = (*stored, *further)
        for _ in range(_MOST_INSERTS):
            answer = await self._ask(operation, sql, *written)
            if answer.row is not None:
                return
            row = (await self._ask("FATE", self._sql.fate, key, loaded.owner)).row
            if _is_written(row, version, repeated=answer.repeated):
                return
            if row is not None or version:
                raise TransactionViolation.version_moved(machine_id)
            # The row is deleted again if another task leases and releases it meanwhile, hence a loop.
            await self._ask(operation, self._sql.ensure, key, machine_id)
        raise MachineMemoryError(
            f"the row of a new workflow was missing {_MOST_INSERTS} times after it was inserted; "
            "check whether a trigger or a rule prevents inserts",
            retryable=True,
            outcome="failed",
        )

    def _record(self, row: Any) -> Record | None:
        return stored_record(row, max_bytes=self._max_record_bytes)

    def _whole(self, row: Any) -> Record | None:
        record = self._record(row)
        if record is None:
            return None
        chunks = stored_chunks(row, max_bytes=self._max_record_bytes)
        return whole(record, tail=row["tail"] or b"", chunks=chunks)


def _last_number(lease: MachineLease) -> int:
    return lease.chunks[-1][0] if lease.chunks else 0


def _is_written(row: Any, version: int, *, repeated: bool) -> bool:
    """Return whether a write that changed nothing had happened already, judged by the row now.

    Raises:
        MachineMemoryError: This cannot be known; the outcome is "unknown".
    """
    if row is not None and row["wrote"] and row["version"] == version + 1:
        return True
    if repeated and (row is None or row["version"] != version):
        raise MachineMemoryError(
            "the connection was lost during a write, and the stored data has changed since: whether "
            "the write came before that is unknown; deliver again",
            retryable=True,
            outcome="unknown",
        )
    return False
