"""Every exception arvo_event_handler raises. The roots are arvo_core's.

* ArvoError
  x ViolationError              needs handling outside the event flow; never becomes an event
    + ContractViolation         data does not match the contract; retrying cannot help
    + ConfigViolation           the wiring is wrong; retrying cannot help
    + ExecutionViolation        raised by user code that wants out of the event flow
    + TransactionViolation      machine memory failed or refused; retrying may help
  x InvalidValueError
    + InvalidHandlerError       a handler's definition does not fit its contract
  x MachineMemoryError          what a machine memory raises when its backend fails
  x UnroutableError             no handler listens where an event wants to go
  x UndeliveredError            whoever carried an event was cancelled before it arrived
  x ResolveError                a request's causal tree failed before an answer came
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Literal, Self

from arvo_core import ArvoError, ArvoEvent, InvalidValueError, ViolationError


class ContractViolation(ViolationError):
    """Data or an event does not match the contract that describes it."""


class ConfigViolation(ViolationError):
    """A contract, handler, service or event was wired up wrongly."""


class ExecutionViolation(ViolationError):
    """Execution cannot go on for a reason outside the contracts.

    Also for user code that wants out of the event flow: raise it, with `retryable` as it is.
    """


class TransactionViolationCause(StrEnum):
    """Why a workflow's state could not be had or stored."""

    READ_FAILURE = "READ_MACHINE_MEMORY_FAILURE"
    """The memory could not answer a read."""
    LOCK_FAILURE = "LOCK_MACHINE_MEMORY_FAILURE"
    """The memory could not be asked for the lock."""
    WRITE_FAILURE = "WRITE_MACHINE_MEMORY_FAILURE"
    """A write failed, or its fate is unknown."""
    LOCK_UNACQUIRED = "LOCK_UNACQUIRED"
    """Somebody else holds the workflow."""
    INVALID_SUBJECT = "INVALID_SUBJECT"
    """The memory cannot store anything under this subject."""
    LEASE_LOST = "LEASE_LOST"
    """The lease expired and somebody else took it."""
    VERSION_MOVED = "VERSION_MOVED"
    """Somebody else wrote since the record was read."""

    @property
    def retryable(self) -> bool:
        """Whether delivering the event again may succeed, unless the violation knows better."""
        return self is not TransactionViolationCause.INVALID_SUBJECT

    @property
    def is_contention(self) -> bool:
        """Whether somebody else was merely faster: no failure, and outside any retry budget."""
        return self in _CONTENTION


_CONTENTION = frozenset(
    (
        TransactionViolationCause.LOCK_UNACQUIRED,
        TransactionViolationCause.LEASE_LOST,
        TransactionViolationCause.VERSION_MOVED,
    )
)


class TransactionViolation(ViolationError):
    """A workflow's state could not be had or stored; nothing was published.

    Args:
        message: What happened; the cause is put before it.
        cause: What went wrong.
        subject: The workflow.
        retryable: Whether delivering the event again may succeed. None: what the cause says.

    Attributes:
        cause: What went wrong.
        subject: The workflow.
    """

    def __init__(
        self,
        message: str,
        *,
        cause: TransactionViolationCause,
        subject: str,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(
            f"[{cause}] {message}",
            retryable=cause.retryable if retryable is None else retryable,
            metadata={"cause": str(cause), "subject": subject},
        )
        self.cause = cause
        self.subject = subject

    @classmethod
    def version_moved(cls, subject: str) -> Self:
        """Return what a machine memory raises when its record is not what was read before."""
        return cls(
            "the record was written by somebody else since it was read; deliver again",
            cause=TransactionViolationCause.VERSION_MOVED,
            subject=subject,
        )

    @classmethod
    def lease_lost(cls, subject: str) -> Self:
        """Return what a machine memory raises when somebody else took the lease over."""
        return cls(
            "the lease ran out and somebody else took it; nothing was written; deliver again",
            cause=TransactionViolationCause.LEASE_LOST,
            subject=subject,
        )


class InvalidHandlerError(InvalidValueError):
    """A handler's definition does not fit its contract."""


class MachineMemoryError(ArvoError):
    """The backend of a machine memory failed. Raise it `from` the driver's exception.

    Attributes:
        retryable: Whether the same call may succeed later. False for a record that can never be
            written, such as one over the backend's size limit.
        outcome: "failed" when nothing was changed, "unknown" when the change may have happened.
    """

    def __init__(
        self, message: str, *, retryable: bool, outcome: Literal["failed", "unknown"]
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.outcome = outcome


def retryable_of(error: Exception) -> bool | None:
    """Return whether delivering an event again may help after a memory's failure; None: unknown.

    A write whose fate is unknown is worth another delivery, which reads what became of it.
    """
    if isinstance(error, MachineMemoryError) and error.outcome == "failed":
        return error.retryable
    return None


def told(error: Exception) -> str:
    """Return what an exception says; its class when it says nothing, as many a TimeoutError."""
    return str(error) or type(error).__name__


class UnroutableError(ArvoError):
    """No handler listens where an event wants to go.

    Attributes:
        event: The event.
    """

    def __init__(self, event: ArvoEvent) -> None:
        what = f"event {event.id!r} of type {event.type!r}"
        super().__init__(
            f"no handler for {event.to!r}, where {what} goes; register one, "
            "or give the event a domain when it is for the outside"
            if event.domain is None
            else f"{what} is for domain {event.domain!r}, outside of the system; "
            "give the broker an on_domained_event that takes it there"
        )
        self.event = event


class UndeliveredError(ArvoError):
    """Whoever carried an event was cancelled before it arrived; publish it again.

    Attributes:
        event: The event.
    """

    def __init__(self, event: ArvoEvent) -> None:
        super().__init__(
            f"event {event.id!r} of type {event.type!r} did not arrive: the task that carried it "
            "was cancelled; publish it again"
        )
        self.event = event


class ResolveError(ArvoError):
    """A request's causal tree failed before an answer came.

    Attributes:
        event: The request.
        failures: What failed, in order, with the event that was being handled.
    """

    def __init__(
        self, event: ArvoEvent, *, failures: Iterable[tuple[ArvoEvent, Exception]]
    ) -> None:
        self.event = event
        self.failures: tuple[tuple[ArvoEvent, Exception], ...] = tuple(failures)
        lines = [
            f"  event {failed.id!r} of type {failed.type!r}: {type(error).__name__}: {error}"
            for failed, error in self.failures
        ]
        super().__init__(
            "\n".join([f"no answer to event {event.id!r} of type {event.type!r}", *lines])
        )


def raise_violation(error: Exception) -> None:
    """Raise the violation that an exception of user code amounts to; return for ordinary ones.

    A group that holds nothing but violations counts as one, retryable when all of them are.

    Raises:
        ViolationError: `error` itself, or one that stands for the group.
    """
    if isinstance(error, ViolationError):
        raise error
    if not isinstance(error, ExceptionGroup):
        return
    violations, rest = error.split(ViolationError)
    if violations is None or rest is not None:
        return
    leaves = list(_leaves(violations))
    raise ExecutionViolation(
        f"{error.message}: {'; '.join(map(str, leaves))}",
        retryable=all(leaf.retryable for leaf in leaves),
    ) from error


def _leaves(group: ExceptionGroup[ViolationError]) -> Iterator[ViolationError]:
    for item in group.exceptions:
        if isinstance(item, ExceptionGroup):
            yield from _leaves(item)
        else:
            yield item
