"""The machine memory on PostgreSQL."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Self

import asyncpg
from typing_extensions import override

from arvo_event_handler import MachineMemoryError, TransactionViolation, UnreadableRecordError
from arvo_event_handler.memory import (
    MAX_RECORD_BYTES,
    ILeasedMachineMemory,
    LockPolicy,
    MachineLease,
    PackedRecord,
    Record,
    encode_record,
    pack_record,
    unpack_record,
    until_granted,
)
from arvo_time import SYSTEM_CLOCK
from arvo_time.cancellation import take_or_give_back
from arvo_time.settings import check_count, check_duration

from ._connections import Connections
from ._failures import Outcome, closed, is_contention, is_refusal, memory_error
from ._machine_key import machine_key
from ._migration import check_version, migrate, schema_version
from ._owned_pool import owned_pool
from ._statement_runner import Answer, StatementRunner
from ._statements import Statements
from ._table_name import TableName
from ._workflow_columns import workflow_columns
from ._workflow_queries import WorkflowQueries

_TEN_SECONDS: Final = timedelta(seconds=10)
_THIRTY_SECONDS: Final = timedelta(seconds=30)
_DAY: Final = timedelta(days=1)
# asyncpg makes an object for every connection that there might be.
_MOST_CONNECTIONS: Final = 10_000
_MOST_ROUNDS: Final = 3


class PostgresMachineMemory(WorkflowQueries, ILeasedMachineMemory):
    """Keeps workflows in PostgreSQL, for any number of processes: one row for each.

    A step is two statements, and each is a transaction of its own: no transaction and no connection
    is held while user code runs. The statement that writes checks version and last writer itself.
    Leases run by the clock of the database. A connection that is lost is replaced and the statement sent again; it
    recognises itself, so nothing is written twice.

    Every call but the constructor raises `MachineMemoryError` when the database fails; `outcome`
    says whether a change may have happened. The first call of all finds out whether the schema is
    there: see `migrate`.

    Args:
        pool: Yours: closing the memory leaves it open. The pool that `connect` makes is faster, as
            it sends no reset query when a connection is given back.
        schema: Where the tables are.
        table: The table of workflows; another of this name with `_migrations` behind it tells its
            version.
        policy: How leases are granted. None takes the defaults.
        pool_timeout: How long to wait for a connection; above 0, a day at most.
        statement_timeout: How long one statement may take; above 0, a day at most.
        max_record_bytes: How long the JSON of a record may be, written or read. All processes
            should say the same.

    Raises:
        TypeError: A duration is no timedelta, or `max_record_bytes` is no int.
        ValueError: PostgreSQL knows no such names, a timeout is 0 or above a day, or
            `max_record_bytes` is below 1.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        schema: str = "arvo",
        table: str = "machines",
        policy: LockPolicy | None = None,
        pool_timeout: timedelta = _TEN_SECONDS,
        statement_timeout: timedelta = _THIRTY_SECONDS,
        max_record_bytes: int = MAX_RECORD_BYTES,
    ) -> None:
        check_duration(pool_timeout, name="pool_timeout", above_zero=True, most=_DAY)
        check_duration(statement_timeout, name="statement_timeout", above_zero=True, most=_DAY)
        check_count(max_record_bytes, name="max_record_bytes", least=1)
        self._table = TableName(schema, table)
        self._sql = Statements.of(self._table)
        self._policy = policy or LockPolicy()
        self._max_record_bytes = max_record_bytes
        self._schema_checked = False
        # Which bare locks are ours. Each has an owner of its own: two tasks are two holders.
        self._locks: dict[str, str] = {}
        self._connections = Connections(pool, timeout=pool_timeout)
        self._runner = StatementRunner(
            self._connections, table=self._table, timeout=statement_timeout
        )

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
        max_record_bytes: int = MAX_RECORD_BYTES,
    ) -> AsyncIterator[Self]:
        """Open a memory with a pool of its own for as long as the block lasts.

        Args:
            dsn: Such as `postgresql://user:password@host/database`.
            schema: Where the tables are.
            table: The table of workflows.
            policy: How leases are granted. None takes the defaults.
            pool_size: How many connections at most, up to 10,000. One is held for one statement, so
                few serve many tasks.
            pool_timeout: As of the class.
            statement_timeout: As of the class.
            statement_cache_size: How many prepared statements a connection keeps. 0 for a
                PgBouncer that pools transactions and knows no prepared statements.
            max_record_bytes: As of the class.

        Raises:
            MachineMemoryError: The database cannot be reached, or the DSN is none.
            TypeError: A duration is no timedelta, or a number is no int.
            ValueError: PostgreSQL knows no such names, a timeout is 0 or above a day, `pool_size` is
                not within 1 and 10,000, `statement_cache_size` is below 0, or `max_record_bytes`
                below 1.
        """
        TableName(schema, table)
        check_duration(pool_timeout, name="pool_timeout", above_zero=True, most=_DAY)
        check_duration(statement_timeout, name="statement_timeout", above_zero=True, most=_DAY)
        check_count(pool_size, name="pool_size", least=1, most=_MOST_CONNECTIONS)
        check_count(statement_cache_size, name="statement_cache_size")
        check_count(max_record_bytes, name="max_record_bytes", least=1)
        async with owned_pool(
            dsn,
            pool_size=pool_size,
            statement_cache_size=statement_cache_size,
            patience=pool_timeout,
        ) as pool:
            memory = cls(
                pool,
                schema=schema,
                table=table,
                policy=policy,
                pool_timeout=pool_timeout,
                statement_timeout=statement_timeout,
                max_record_bytes=max_record_bytes,
            )
            memory._connections.is_ours = True
            try:
                yield memory
            finally:
                await memory.aclose()

    async def aclose(self) -> None:
        """Refuse further calls, and close the pool if it is the memory's own. Harmless again."""
        await self._connections.aclose()

    async def migrate(self, *, dry_run: bool = False) -> str:
        """Make the schema, or bring it up to date; safe from many processes at once.

        Args:
            dry_run: Only say what would be done.

        Returns:
            The SQL that was run, or would be; empty when everything is there.

        Raises:
            MachineMemoryError: The schema is newer than this package, or the database failed.
        """
        connection = None
        try:
            connection = await self._connections.take("MIGRATE")
            sql = await migrate(connection, self._table, dry_run=dry_run)
        except MachineMemoryError:
            raise
        except Exception as error:
            outcome: Outcome = "failed" if connection is None or is_refusal(error) else "unknown"
            raise memory_error(error, what="MIGRATE", outcome=outcome) from error
        finally:
            if connection is not None:
                await self._connections.drop(connection, lost=False)
        self._schema_checked = self._schema_checked or not dry_run
        return sql

    # --- leases -------------------------------------------------------------

    @property
    @override
    def policy(self) -> LockPolicy:
        return self._policy

    @override
    async def acquire(self, machine_id: str) -> MachineLease | None:
        return await self._taken(machine_id)

    @override
    async def commit(
        self, lease: MachineLease, record: Record, *, expires_in: timedelta | None = None
    ) -> None:
        await self._write_as_loaded(
            "COMMIT", self._sql.commit, lease, record, expires_in=expires_in
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
        return None if row is None else self._record(row)

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        key = machine_key(machine_id)
        row = (await self._ask("READ", self._sql.read, key)).row
        loaded = MachineLease(
            machine_id=machine_id,
            owner=secrets.token_hex(16),
            version=0 if row is None else row["version"],
            committed_by="" if row is None else row["committed_by"],
            record=None if row is None else self._record(row),
        )
        if _encoded(loaded.record) != _encoded(previous):
            raise TransactionViolation.version_moved(machine_id)
        if row is None:
            await self._ask("WRITE", self._sql.ensure, key, machine_id)
        await self._write_as_loaded("WRITE", self._sql.write, loaded, record, expires_in=None)

    @override
    async def lock(self, machine_id: str) -> bool:
        lease = await self._taken(machine_id)
        if lease is None:
            return False
        self._locks[machine_id] = lease.owner
        return True

    @override
    async def unlock(self, machine_id: str) -> bool:
        machine_key(machine_id)
        owner = self._locks.get(machine_id)
        if owner is None:
            if self._connections.is_closed:
                raise closed("UNLOCK")
            return True
        await self._release(machine_id, owner)
        if self._locks.get(machine_id) == owner:
            del self._locks[machine_id]
        return True

    # --- inside -------------------------------------------------------------

    @override
    async def _ask(self, operation: str, sql: str, *args: object) -> Answer:
        if not self._schema_checked:
            await self._check_schema()
        return await self._runner.run(operation, sql, *args)

    async def _check_schema(self) -> None:
        async def fetch(sql: str, *args: object) -> list[Any]:
            return (await self._runner.run("SCHEMA", sql, *args)).rows

        try:
            version = await schema_version(fetch, self._table)
        except MachineMemoryError as error:
            error.outcome = "failed"  # what was asked for has not begun
            raise
        check_version(version, table=self._table)
        self._schema_checked = True

    async def _taken(self, machine_id: str) -> MachineLease | None:
        key = machine_key(machine_id)
        owner = secrets.token_hex(16)
        ttl = self._policy.ttl

        async def attempt() -> MachineLease | timedelta:
            try:
                answer = await self._ask("ACQUIRE", self._sql.acquire, key, machine_id, owner, ttl)
            except MachineMemoryError as error:
                if is_contention(error):
                    return ttl
                raise
            if answer.row is None:
                # How long the holder has left would cost another trip; the back-off knows enough.
                return ttl
            row = answer.row
            try:
                record = self._record(row)
            except MachineMemoryError:
                await self._release(machine_id, owner)
                raise
            return MachineLease(
                machine_id=machine_id,
                owner=owner,
                version=row["version"],
                committed_by=row["committed_by"],
                record=record,
            )

        async def give_back(taken: MachineLease | timedelta) -> None:
            if isinstance(taken, MachineLease):
                await self._release(machine_id, owner)

        # Each try by itself: who is cancelled while it waits for the next one competes no more.
        return await until_granted(
            lambda: take_or_give_back(attempt(), give_back=give_back),
            policy=self._policy,
            clock=SYSTEM_CLOCK,
        )

    async def _release(self, machine_id: str, owner: str) -> None:
        await self._ask("RELEASE", self._sql.release, machine_key(machine_id), owner)

    async def _write_as_loaded(
        self,
        operation: str,
        sql: str,
        loaded: MachineLease,
        record: Record,
        *,
        expires_in: timedelta | None,
    ) -> None:
        """Write if the row is as it was loaded; making it, where it is gone and was never written.

        Raises:
            TransactionViolation: Somebody else wrote since; nothing was changed.
            MachineMemoryError: It failed, or whether it was done is unknown.
        """
        machine_id, version = loaded.machine_id, loaded.version
        key = machine_key(machine_id)
        packed = pack_record(record, max_bytes=self._max_record_bytes)
        columns = workflow_columns(machine_id, record)
        written = (key, loaded.owner, version, *packed, *columns, expires_in, loaded.committed_by)
        for _ in range(_MOST_ROUNDS):
            answer = await self._ask(operation, sql, *written)
            if answer.row is not None:
                return
            row = (await self._ask("FATE", self._sql.fate, key, loaded.owner)).row
            if _is_written(row, version, repeated=answer.repeated):
                return
            if row is not None or version:
                raise TransactionViolation.version_moved(machine_id)
            # Gone again when somebody leases and releases it at this moment: then once more.
            await self._ask(operation, self._sql.ensure, key, machine_id)
        raise MachineMemoryError(
            f"the row of a new workflow was gone {_MOST_ROUNDS} times as soon as it was made; does "
            "a trigger or a rule keep rows from being inserted?",
            retryable=True,
            outcome="failed",
        )

    def _record(self, row: Any) -> Record | None:
        """Read the record of a row; None when none was ever written.

        Raises:
            UnreadableRecordError: The row is damaged.
        """
        version: int = row["version"]
        codec, state = row["codec"], row["state"]
        nothing = codec is None and state is None
        if version < 0 or (version == 0) is not nothing:
            raise UnreadableRecordError(f"the row of version {version} is damaged")
        if nothing:
            return None
        return unpack_record(PackedRecord(codec, state), max_bytes=self._max_record_bytes)


def _encoded(record: Record | None) -> bytes | None:
    return None if record is None else encode_record(record)


def _is_written(row: Any, version: int, *, repeated: bool) -> bool:
    """Tell from a row why a write changed nothing: it had happened already, or must not.

    Raises:
        MachineMemoryError: It cannot be known; the outcome is unknown.
    """
    if row is not None and row["wrote"] and row["version"] == version + 1:
        return True
    if repeated and (row is None or row["version"] != version):
        raise MachineMemoryError(
            "the connection was lost while writing, and somebody else has written since: "
            "whether this write came before is unknown; deliver again",
            retryable=True,
            outcome="unknown",
        )
    return False
