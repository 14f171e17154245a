"""The machine memory with leases for one process."""

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count, islice
from typing import Final

from typing_extensions import override

from arvo_event_handler import TransactionViolation
from arvo_event_handler.memory import (
    UNCHANGED,
    CountRequest,
    DueMachine,
    IStepHistory,
    ITimedMachineMemory,
    ITimerSource,
    IWorkflowQueries,
    LockPolicy,
    MachineLease,
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
    check_previous,
    check_subjects,
    decode_record,
    encode_record,
    next_timer,
    read_step_times,
    read_steps,
)
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import check_clock, check_count, check_instance

from ._lease_table import LeaseTable
from ._started_workflows import StartedWorkflows
from ._stored_workflow import Life, Stored
from ._timer_index import TimerIndex

_FORGOTTEN_PER_CALL: Final = 2


class ConcurrentMachineMemory(ITimedMachineMemory, ITimerSource, IWorkflowQueries, IStepHistory):
    """Keeps records in the process, with leases that expire and waiters that are woken.

    Waiters queue, first come, first served, for at most the policy's `max_wait`. The next one gets
    the lease the moment it is released, committed, unlocked or expired, without polling. A call that
    need not wait never yields to other tasks. Use it from the tasks of one event loop at a time;
    everything is gone when the process ends.

    Args:
        policy: How long leases last and how long to wait for them.
        chunk_bytes: Length from which a workflow's tail is closed as a chunk; 0 closes it at each
            step.
        history: How long to keep steps that nobody needs any more, so that `steps` shows them; None
            keeps none of them.
        clock: For expiry and waiting.

    Raises:
        TypeError: `policy` is not a `LockPolicy`, `chunk_bytes` not an int, `history` not a timedelta,
            or `clock` not a `Clock`.
        ValueError: `chunk_bytes` is below 0, or `history` is not above zero or above ten years.

    Example:
        >>> async def main() -> None:
        ...     memory = ConcurrentMachineMemory()
        ...     lease = await memory.acquire("order-7")
        ...     assert lease is not None
        ...     await memory.release(lease)
        ...     await memory.write("order-7", {"status": "active"}, lease.record)
        ...     print(await memory.read("order-7"), memory.size, memory.held)
        >>> asyncio.run(main())
        {'status': 'active'} 1 frozenset()
    """

    def __init__(
        self,
        *,
        policy: LockPolicy | None = None,
        chunk_bytes: int = 4096,
        history: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_count(chunk_bytes, name="chunk_bytes")
        self._history = check_history(history)
        self._chunk_bytes = chunk_bytes
        if policy is not None:
            check_instance(policy, kind=LockPolicy, name="policy")
        self._policy = LockPolicy() if policy is None else policy
        self._clock = check_clock(clock)
        self._stored: dict[str, Stored] = {}
        self._started = StartedWorkflows(self._stored)
        self._expiries: list[tuple[float, str]] = []
        self._timers = TimerIndex()
        self._leases = LeaseTable(policy=self._policy, clock=clock)
        # The bare calls have one owner for all tasks.
        self._instance = secrets.token_hex(16)
        # Each lease has an owner of its own, and each bare write a writer.
        self._owners = count(1)

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
    def size(self) -> int:
        """How many records are stored; those that expired are freed first."""
        self._forget_expired(len(self._expiries))
        return len(self._stored)

    @property
    def held(self) -> frozenset[str]:
        """The machine ids that are leased or locked at this moment."""
        return self._leases.held()

    @property
    def waiting(self) -> int:
        """How many calls of `acquire` and `lock` wait for a holder at this moment."""
        return self._leases.waiting()

    async def cleanup(self, machine_id: str) -> None:
        """Forget a workflow's record immediately. A step that loaded it cannot commit.

        Raises:
            TransactionViolation: The id is empty; cause `INVALID_SUBJECT`.
        """
        self._forget(check_machine_id(machine_id))

    def clear(self) -> None:
        """Forget every record and drop every lease; waiters get theirs."""
        self._stored.clear()
        self._started.clear()
        self._expiries.clear()
        self._timers.clear()
        self._leases.clear()

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        # Counted, not drawn: asking the system for random bytes takes longer than all else here.
        owner = f"{next(self._owners):012x}{self._instance}"
        leases = self._leases
        if not leases.take(check_machine_id(machine_id), owner) and not await leases.wait(
            machine_id, owner
        ):
            return None
        self._forget_expired(_FORGOTTEN_PER_CALL)
        stored = self._current(machine_id)
        if stored is None:
            return MachineLease(machine_id=machine_id, owner=owner, version=0, record=None)
        try:
            record = decode_record(stored.json)
        except BaseException:
            leases.drop(machine_id, owner)
            raise
        return MachineLease(
            machine_id=machine_id,
            owner=owner,
            version=stored.version,
            committed_by=stored.committed_by,
            record=record,
            tail=stored.tail,
            chunks=stored.life.chunks_above(after),
            last_chunk=stored.life.last_chunk,
        )

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        stored = self._current(check_machine_id(lease.machine_id))
        version, committed_by = (0, "") if stored is None else (stored.version, stored.committed_by)
        if version != lease.version or committed_by != lease.committed_by:
            raise TransactionViolation.version_moved(lease.machine_id)
        return () if stored is None else stored.life.chunks_above(0)

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        machine_id, owner = check_machine_id(lease.machine_id), lease.owner
        stored = self._current(machine_id)
        version, committed_by = (0, "") if stored is None else (stored.version, stored.committed_by)
        if committed_by == owner:
            return
        if version != lease.version or committed_by != lease.committed_by:
            raise TransactionViolation.version_moved(machine_id)
        expires_at = None
        # Raises before anything is changed.
        json = encode_record(write.record)
        if write.expires_in is not None:
            expires_at = self._clock.monotonic() + write.expires_in.total_seconds()
            heappush(self._expiries, (expires_at, machine_id))
        now = self._clock.now()
        summary = write.summary
        life = self._begin(machine_id, summary.parent, now) if stored is None else stored.life
        if write.chunk is not None or write.frees != "none":
            self._keep_chunk(life, write)
        self._stored[machine_id] = Stored(
            json, lease.version + 1, owner, life, now, summary, expires_at, write.tail
        )
        if write.timer is not UNCHANGED:
            self._timers.move(machine_id, write.timer)
        self._leases.free(machine_id)
        self._forget_expired(_FORGOTTEN_PER_CALL)

    @override
    async def release(self, lease: MachineLease) -> None:
        self._leases.drop(check_machine_id(lease.machine_id), lease.owner)

    @override
    async def renew(self, lease: MachineLease) -> bool:
        return self._leases.renew(check_machine_id(lease.machine_id), lease.owner)

    @override
    async def read(self, machine_id: str) -> Record | None:
        stored = self._current(check_machine_id(machine_id))
        if stored is None:
            return None
        record = stored.whole()
        held = self._leases.get(machine_id)
        if held is not None:
            held.read_from, held.read_as = stored, record
        return record

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        stored = self._current(check_machine_id(machine_id))
        version = 1 if stored is None else stored.version + 1
        held = self._leases.get(machine_id)
        if stored and held and held.read_from is stored and held.read_as is previous:
            # The very object that was read from what is still stored: no write since.
            held.read_from = held.read_as = None
        else:
            found = None if stored is None else stored.whole()
            check_previous(previous, stored=found, machine_id=machine_id)
        writer = f"write {next(self._owners)}"
        json = encode_record(record)
        timer = next_timer(record)
        now = self._clock.now()
        if stored is None:
            parent = record.get("parentSubject")
            life = self._begin(machine_id, parent if isinstance(parent, str) else None, now)
        else:
            life = stored.life
            life.free_chunks()
        self._stored[machine_id] = Stored(json, version, writer, life, now, None, None, b"")
        self._timers.move(machine_id, timer)

    @override
    async def lock(self, machine_id: str) -> bool:
        owner = self._instance
        return self._leases.take(check_machine_id(machine_id), owner) or await self._leases.wait(
            machine_id, owner
        )

    @override
    async def unlock(self, machine_id: str) -> bool:
        self._leases.drop(check_machine_id(machine_id), self._instance)
        return True

    # --- timers -------------------------------------------------------------

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        check_claim(limit=limit, hold=hold)
        self._forget_expired(len(self._expiries))
        return self._timers.claim(limit=limit, hold=hold, now=self._clock.now())

    @override
    def watch_timers(self, watcher: Callable[[datetime], None]) -> Callable[[], None]:
        return self._timers.watch(watcher)

    @override
    async def next_due(self) -> datetime | None:
        self._forget_expired(len(self._expiries))
        return self._timers.next_due()

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
            cursors="in-process",
            length=1,
        )
        start = None if request.start is None else request.start[0]
        found = self._matching(query, start, oldest_first=oldest_first)
        return request.page(list(islice(found, limit + 1)))

    @override
    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        request = CountRequest.of(query, at_most=at_most)
        found = self._matching(query, None, oldest_first=False)
        return request.count(sum(1 for _ in islice(found, at_most + 1)))

    @override
    async def workflow(self, subject: str) -> StoredWorkflow | None:
        stored = self._current(check_machine_id(subject))
        return None if stored is None else self._shown(subject, stored)

    def _matching(
        self, query: WorkflowQuery, start: int | None, *, oldest_first: bool
    ) -> Iterator[tuple[tuple[int], StoredWorkflow]]:
        started = self._started
        now = self._clock.monotonic()
        for subject, stored in (
            started.oldest_first(after=start)
            if oldest_first
            else started.newest_first(before=start)
        ):
            if stored.expires_at is None or stored.expires_at > now:
                workflow = self._shown(subject, stored)
                if query.matches(workflow):
                    yield (stored.life.number,), workflow

    def _shown(self, subject: str, stored: Stored) -> StoredWorkflow:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        held = self._leases.get(subject)
        expires_at, life = stored.expires_at, stored.life
        return StoredWorkflow.of(
            stored.summary(subject),
            subject=subject,
            root=life.root,
            record_version=stored.version,
            created_at=life.created_at,
            updated_at=stored.updated_at,
            expires_at=None
            if expires_at is None
            else now + timedelta(seconds=expires_at - monotonic),
            lease_until=None
            if held is None or held.until <= monotonic
            else now + timedelta(seconds=held.until - monotonic),
        )

    # --- history ------------------------------------------------------------

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        check_machine_id(subject)

        async def fetch(below: int | None) -> StoredJournal | None:
            stored = self._current(subject)
            if stored is None:
                return None
            return StoredJournal(
                record=decode_record(stored.json),
                version=stored.version,
                updated_at=stored.updated_at,
                tail=stored.tail,
                chunks=[
                    chunk for chunk in stored.life.history() if below is None or chunk[0] < below
                ],
            )

        return await read_steps(subject, fetch=fetch, after=after, limit=limit)

    @override
    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        return {subject: self._times(subject) for subject in check_subjects(subjects)}

    def _times(self, subject: str) -> list[datetime]:
        stored = self._current(subject)
        if stored is None:
            return []
        failed = stored.summary(subject).status == "failure"
        return read_step_times(
            stored.tail,
            chunk=lambda: stored.life.newest_chunk,
            failed_at=stored.updated_at if failed else None,
        )

    # --- inside -------------------------------------------------------------

    def _keep_chunk(self, life: Life, write: RecordWrite) -> None:
        now, kept_since = 0.0, None
        if self._history is not None:
            now = self._clock.monotonic()
            kept_since = now - self._history.total_seconds()
        life.keep_chunk(write, kept_since=kept_since, now=now)

    def _begin(self, machine_id: str, parent: str | None, now: datetime) -> Life:
        """Start the life of a workflow that is stored next."""
        root = machine_id
        if parent is not None:
            above = self._current(parent)
            root = parent if above is None else above.life.root
        return Life(number=self._started.next_number(), created_at=now, root=root)

    def _current(self, machine_id: str) -> Stored | None:
        stored = self._stored.get(machine_id)
        if (
            stored is not None
            and stored.expires_at is not None
            and stored.expires_at <= self._clock.monotonic()
        ):
            self._forget(machine_id)
            return None
        return stored

    def _forget(self, machine_id: str) -> None:
        self._stored.pop(machine_id, None)
        self._timers.move(machine_id, None)

    def _forget_expired(self, most: int) -> None:
        """Free records that expired, a few at a time: each call frees more than it adds."""
        expiries = self._expiries
        if not expiries or expiries[0][0] > (now := self._clock.monotonic()):
            return
        while most and expiries and expiries[0][0] <= now:
            expires_at, machine_id = heappop(expiries)
            stored = self._stored.get(machine_id)
            # It may have been written again since.
            if stored is not None and stored.expires_at == expires_at:
                self._forget(machine_id)
            most -= 1
