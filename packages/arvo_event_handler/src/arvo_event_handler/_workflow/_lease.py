"""Acquires, renews and releases a workflow's lease; failures of the memory become violations."""

import asyncio
from collections.abc import Coroutine, Generator, Sequence, Set as AbstractSet
from datetime import timedelta
from types import coroutine
from typing import Any, TypeVar

from arvo_event_handler._errors import (
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
    message_of,
    retryable_of,
)
from arvo_event_handler.memory._memory import (
    ILeasedMachineMemory,
    MachineLease,
    WorkflowMemory,
)
from arvo_event_handler.memory._record_write import RecordWrite
from arvo_time import Clock, ClockTimer
from arvo_time.cancellation import shielded
from arvo_time.logs import bounded_logger

from ._held_workflow import HeldWorkflow, WorkflowStore
from ._stored_record import unreadable

T = TypeVar("T")

_logger = bounded_logger("arvo_event_handler")


async def acquire_lease(store: WorkflowStore, subject: str) -> MachineLease | None:
    """Lock and read a workflow; None when another holder has it.

    Raises:
        TransactionViolation: The memory failed, or what it holds is not a workflow's record.
    """
    try:
        return await store.acquire(subject)
    except TransactionViolation:
        raise
    except UnreadableRecordError as error:
        raise unreadable(subject, str(error)) from error
    except Exception as error:
        raise TransactionViolation(
            f"the machine memory could not acquire the workflow: {message_of(error)}",
            cause=TransactionViolationCause.LOCK_FAILURE,
            subject=subject,
            retryable=retryable_of(error),
        ) from error


async def load_workflow(
    store: WorkflowStore, lease: MachineLease, *, answering: AbstractSet[str]
) -> HeldWorkflow:
    """Return the workflow of a lease; see `WorkflowStore.load`.

    Raises:
        TransactionViolation: The memory failed, or what it holds is not a workflow's.
    """
    try:
        return await store.load(lease, answering=answering)
    except TransactionViolation:
        raise
    except Exception as error:  # such as ValueError, where a name is not Unicode
        raise unreadable(lease.machine_id, str(error)) from error


async def read_chunks(
    memory: ILeasedMachineMemory, lease: MachineLease
) -> Sequence[tuple[int, bytes]]:
    """Return all chunks of the workflow of a lease.

    Raises:
        TransactionViolation: The workflow was written since, or the memory failed.
        UnreadableRecordError: A chunk is damaged.
    """
    try:
        return await memory.chunks(lease)
    except (TransactionViolation, UnreadableRecordError):
        raise
    except Exception as error:
        raise TransactionViolation(
            f"the machine memory could not read the workflow: {message_of(error)}",
            cause=TransactionViolationCause.READ_FAILURE,
            subject=lease.machine_id,
            retryable=retryable_of(error),
        ) from error


async def commit_record(memory: WorkflowMemory, lease: MachineLease, write: RecordWrite) -> None:
    """Write and drop the lease.

    Raises:
        TransactionViolation: Another writer was faster, or the memory failed.
        UnwritableRecordError: The memory can never keep this record.
    """
    try:
        await memory.commit(lease, write)
    except (TransactionViolation, UnwritableRecordError):
        raise
    except Exception as error:
        raise write_failure(lease.machine_id, error) from error


async def release_lease(memory: WorkflowMemory, lease: MachineLease) -> None:
    """Release a lease without writing, even while the task is being cancelled."""
    try:
        await shielded(memory.release(lease))
    except Exception:
        # An earlier error matters more, and the lease expires by itself.
        _logger.warning("could not release the lease of %s", lease.machine_id, exc_info=True)


class LeaseKeeper:
    """Renews one lease every third of its ttl, up to the policy's `max_hold`.

    What never waits for anything needs no timer, and most steps within one process do not. Until a
    third of the ttl has passed there is only a timer, so quick steps never start a task. When
    another holder takes the lease, renewal stops and the step goes on: its commit may still come
    first.

    Args:
        memory: The memory that granted the lease.
        lease: The lease to renew, granted just now.
        clock: The timer's clock.
    """

    __slots__ = ("_clock", "_lease", "_memory", "_since", "_task", "_timer")

    def __init__(self, memory: ILeasedMachineMemory, lease: MachineLease, *, clock: Clock) -> None:
        self._memory = memory
        self._lease = lease
        self._clock = clock
        self._since = clock.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._timer: ClockTimer | None = None

    @coroutine
    def during(self, running: Coroutine[Any, None, T]) -> Generator[Any, None, T]:
        """Await a coroutine; renew the lease as long as it takes."""
        try:
            waits_for = running.send(None)
            self._watch()
            while True:
                try:
                    yield waits_for
                except BaseException as error:
                    waits_for = running.throw(error)
                else:
                    waits_for = running.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            self._stop()

    def _watch(self) -> None:
        passed = timedelta(seconds=self._clock.monotonic() - self._since)
        self._timer = self._clock.call_later(self._memory.policy.ttl / 3 - passed, self._start)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._renew_until_stopped())

    async def _renew_until_stopped(self) -> None:
        policy = self._memory.policy
        until = self._clock.monotonic() + policy.max_hold.total_seconds()
        while self._clock.monotonic() < until:
            try:
                if not await self._memory.renew(self._lease):
                    return
            except Exception:
                # One renewal may be missed: two more follow before the lease expires.
                _logger.warning(
                    "could not renew the lease of %s", self._lease.machine_id, exc_info=True
                )
            await self._clock.sleep(policy.ttl / 3)


def write_failure(subject: str, error: Exception) -> TransactionViolation:
    """Return the violation for a record that could not be stored."""
    return TransactionViolation(
        f"the machine memory could not store the workflow's record: {message_of(error)}",
        cause=TransactionViolationCause.WRITE_FAILURE,
        subject=subject,
        retryable=retryable_of(error),
    )
