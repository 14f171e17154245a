"""The protocols that machine memories implement, and what passes through them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from arvo_event_handler._errors import (
    ConfigViolation,
    MachineMemoryError,
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
)
from arvo_time import BackendError, DamagedError

from ._lock import LockPolicy
from ._record_write import Record as Record, RecordWrite


# Not frozen, which would triple the cost of making one for every step.
@dataclass(slots=True, kw_only=True)
class MachineLease:
    """The right to write one workflow's next record, and the record as it stood when granted."""

    machine_id: str
    """The workflow's subject."""
    owner: str = field(repr=False)
    """The holder's proof: 128 random bits, new for every acquisition."""
    version: int
    """How often the record was written; 0 when it never was."""
    committed_by: str = field(default="", repr=False)
    """Who wrote `version`: the owner that committed it, or a token of its own for a plain `write`;
    empty when it was never written. A workflow that was forgotten and began again reaches the same
    versions, but never through the same writers."""
    record: Record | None
    """The latest record, the holder's own copy; None when none was ever written."""
    tail: bytes = field(default=b"", repr=False)
    """The tail of the latest commit; empty when it had none."""
    chunks: Sequence[tuple[int, bytes]] = field(default=(), repr=False)
    """The chunks above `after` of `acquire` that are not freed, as (number, bytes), in order of
    their numbers."""
    last_chunk: int = 0
    """The highest number that a chunk was given, freed or not; 0 when there was no chunk."""


class IMachineMemory(Protocol):
    """Where an orchestrator or resumable keeps its state between events.

    One record and one lock per machine id, which is the event's `subject`. Implementations are
    used by many tasks concurrently. Verify yours with
    `arvo_event_handler.testing.MachineMemorySuite`.
    A memory that ignores `previous` has no protection beyond its lock.

    Every call refuses an empty id with a `TransactionViolation` of cause `INVALID_SUBJECT`.
    """

    async def read(self, machine_id: str) -> Record | None:
        """Return the latest record as a new object, or None if none was ever written.

        None means "this workflow has never run", so a backend that cannot answer must raise
        instead, after two or three quick tries of its own: None would start the workflow again.

        Raises:
            UnreadableRecordError: What is stored is not a record.
            Exception: The backend could not answer. The caller turns both into a
                `TransactionViolation` with cause `READ_FAILURE`.
        """
        ...

    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        """Replace `previous` by `record`, or raise and change nothing. Do not retry.

        Args:
            machine_id: The event's `subject`; non-empty.
            record: The new state. Copy it if you keep it: the caller may change it afterwards.
            previous: What `read` returned in this transaction, for compare-and-set.

        Raises:
            TransactionViolation: `previous` is not what is stored; cause `VERSION_MOVED`.
            UnwritableRecordError: No try could ever store this record. It ends the workflow, so
                raise it for nothing else.
            Exception: The backend failed; the caller turns this into cause `WRITE_FAILURE`.
        """
        ...

    async def lock(self, machine_id: str) -> bool:
        """Take the lock; False when another holder still has it after a bounded wait.

        Raises:
            Exception: The backend failed; the caller turns this into cause `LOCK_FAILURE`.
        """
        ...

    async def unlock(self, machine_id: str) -> bool:
        """Release the lock; True when it was released or this memory did not hold it.

        Raises:
            Exception: The backend failed. The caller logs it and goes on.
        """
        ...


@runtime_checkable
class ILeasedMachineMemory(IMachineMemory, Protocol):
    """A machine memory that grants leases, and compares inside the write with what they loaded.

    Two round trips per step instead of four, and no lost update: **the first commit at the loaded
    version wins**, regardless of who holds the lease by then. The lease only avoids wasted work. So
    a step that outlasts its lease is stored unless another one was faster, and among any number of
    such steps one always is stored. Arvo uses these calls whenever a memory has them.
    """

    @property
    def policy(self) -> LockPolicy:
        """How leases are granted; a holder renews at a third of `ttl`."""
        ...

    @property
    def chunk_bytes(self) -> int:
        """The length in bytes from which a tail should be closed as a chunk; 0 closes it at each step.

        For the caller; the memory itself does not enforce it.
        """
        ...

    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        """Lock and read in one round trip; None when not granted within `policy.max_wait`.

        Record, tail and chunks are consistent with each other, as of when the lease is granted, not
        of when the caller began to wait.

        Args:
            machine_id: The event's `subject`; non-empty.
            after: Leave out chunks up to this number, because the caller already has them.

        Raises:
            UnreadableRecordError: What is stored is not a record; no lease is held then. The caller
                turns this into cause `READ_FAILURE`.
            Exception: The backend failed; the caller turns this into cause `LOCK_FAILURE`.
        """
        ...

    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        """Return all chunks that are not freed as (number, bytes), in order of their numbers.

        For a caller that left chunks out in `acquire` and needs them after all. The lease may have
        expired.

        Raises:
            TransactionViolation: Version and last writer are not those of the lease
                (`VERSION_MOVED`): the record was written since, or it is gone.
            UnreadableRecordError: A chunk is damaged.
            Exception: The backend failed. The caller turns this and damage into cause
                `READ_FAILURE`.
        """
        ...

    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        """Write if version and last writer are those that were loaded; drop the lease.

        Compare inside the write, and compare nothing else: a lease that expired, was taken over or
        was released still commits if there was no write since. A record that was forgotten is at
        version 0 again, so at that version the row may have to be created. The current lease is
        dropped, another holder's too: that holder loaded the version that is replaced here, so its
        own commit will be refused and there is no need to wait for it. Repeating the same commit
        is not an error and changes nothing, regardless of who holds the lease then.

        Record, tail and chunk are written together or not at all. The memory numbers the chunk
        inside the write, after the comparison: the number is `last_chunk + 1` of what is stored. A
        number is not used again until the workflow is forgotten, which also deletes tail and
        chunks. `write` frees all chunks and clears the tail.

        Args:
            lease: From `acquire`, not yet committed.
            write: What to store. Copy the record if you keep it.

        Raises:
            TransactionViolation: The record was written since it was loaded, or it is gone
                (`VERSION_MOVED`); nothing was changed.
            UnwritableRecordError: No try could ever store this record or chunk. It ends the
                workflow; nothing was changed.
            MachineMemoryError: The backend failed; `outcome` says whether the write may have
                happened.
        """
        ...

    async def release(self, lease: MachineLease) -> None:
        """Release the lease without writing; one that another holder has by now stays theirs."""
        ...

    async def renew(self, lease: MachineLease) -> bool:
        """Extend the lease by `policy.ttl` from now; False when it was taken over or dropped.

        A lease that expired and was not taken over is extended too.
        """
        ...


class WorkflowMemory(Protocol):
    """The part of `ILeasedMachineMemory` that handling one event needs."""

    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        """Lock and read; None when another holder has the workflow."""
        ...

    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        """Write and drop the lease."""
        ...

    async def release(self, lease: MachineLease) -> None:
        """Release the lease without writing. Does nothing when it was dropped already."""
        ...


def check_machine_id(machine_id: str) -> str:
    """Return `machine_id`, after checking that a record can be stored under it.

    Raises:
        TransactionViolation: It is empty; cause `INVALID_SUBJECT`.
    """
    if not machine_id:
        raise TransactionViolation(
            "a machine id must not be empty",
            cause=TransactionViolationCause.INVALID_SUBJECT,
            subject=machine_id,
        )
    return machine_id


def machine_memory_error(error: BackendError, *, message: str | None = None) -> MachineMemoryError:
    """Return the error that a memory raises for one of its client.

    Raise it `from error.__cause__`: the driver's exception is the cause of both.

    Args:
        error: What the client raised. A `DamagedError` becomes an `UnreadableRecordError`.
        message: The message of the new error; None keeps that of `error`.

    Example:
        >>> error = BackendError("the disk is full", retryable=True, outcome="failed")
        >>> machine_memory_error(error).retryable
        True
    """
    message = str(error) if message is None else message
    if isinstance(error, DamagedError):
        return UnreadableRecordError(message)
    return MachineMemoryError(message, retryable=error.retryable, outcome=error.outcome)


def check_memory(memory: object, *, where: str) -> None:
    """Check that an object has the four calls of a machine memory.

    Raises:
        ConfigViolation: It lacks some, or is a class instead of an object.
    """
    lacking = [
        name
        for name in ("read", "write", "lock", "unlock")
        if not callable(getattr(memory, name, None))
    ]
    if isinstance(memory, type):
        raise ConfigViolation(
            f"{where}: memory must be an object, got the class {memory.__name__}; "
            f"did you mean {memory.__name__}(...)?"
        )
    if lacking:
        raise ConfigViolation(
            f"{where}: {memory!r} is not a machine memory: it lacks "
            f"{', '.join(f'{name}()' for name in lacking)}; "
            "for one process, use SimpleMachineMemory()"
        )
