"""Every exception arvo_event_handler raises. The roots are arvo_core's.

* ArvoError
  x ViolationError              needs handling outside the event flow; never becomes an event
    + ContractViolation         data does not match the contract; retrying cannot help
    + ConfigViolation           the wiring is wrong; retrying cannot help
    + ExecutionViolation        raised by user code that wants out of the event flow
    + TransactionViolation      machine memory failed or refused; retrying may help
    + RetryableFailure          a service's function failed in a way that is worth another try
  x RetryLater                  raised by user code that wants to be tried again, and when
  x InvalidValueError
    + InvalidHandlerError       a handler's definition does not fit its contract
    + UnknownMemoryError        no installed package has a machine memory for a URL
  x MemoryInUseError            another process has the memory that one process alone may have
  x MachineMemoryError          what a machine memory raises when its backend fails
    + QueryTimeoutError         a query about workflows took too long
    + UnwritableRecordError     a record that this memory can never keep; ends its workflow
    + UnreadableRecordError     what is stored is damaged, or of a newer version
  x UnroutableError             no handler listens at the address that an event is for
  x UndeliveredError            the task that carried an event was cancelled before it arrived
  x ResolveError                a request's causal tree failed before an answer came
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Literal, Self

from arvo_core import (
    ArvoError,
    ArvoEvent,
    InvalidValueError,
    UnknownVersionError,
    ViolationError,
)
from arvo_core.semantic_version import SemanticVersion, is_semantic_version
from arvo_time.settings import check_duration


class ContractViolation(ViolationError):
    """Data or an event does not match the contract that describes it."""


class ConfigViolation(ViolationError):
    """A contract, handler, service or event was wired up wrongly."""


class ExecutionViolation(ViolationError):
    """Execution cannot go on for a reason outside the contracts.

    Also for user code that wants out of the event flow: raise it, with `retryable` as it is.
    """


class TransactionViolationCause(StrEnum):
    """Why a workflow's state could not be loaded or stored."""

    READ_FAILURE = "READ_MACHINE_MEMORY_FAILURE"
    """The memory could not answer a read."""
    LOCK_FAILURE = "LOCK_MACHINE_MEMORY_FAILURE"
    """The memory failed when it was asked for the lock."""
    WRITE_FAILURE = "WRITE_MACHINE_MEMORY_FAILURE"
    """A write failed, or its outcome is unknown."""
    LOCK_UNACQUIRED = "LOCK_UNACQUIRED"
    """Another holder has the workflow."""
    INVALID_SUBJECT = "INVALID_SUBJECT"
    """The memory cannot store anything under this subject."""
    LEASE_LOST = "LEASE_LOST"
    """The lease expired and another holder took it. For memories that tie their commits to the
    lease; Arvo's own commit by version, so they raise `VERSION_MOVED`, once it has moved."""
    VERSION_MOVED = "VERSION_MOVED"
    """Another writer wrote since the record was read."""

    @property
    def retryable(self) -> bool:
        """Whether delivering the event again may succeed, unless the violation knows better."""
        return self is not TransactionViolationCause.INVALID_SUBJECT

    @property
    def is_contention(self) -> bool:
        """Whether another event was merely faster: not a failure, and outside any retry budget."""
        return self in _CONTENTION


_CONTENTION = frozenset(
    (
        TransactionViolationCause.LOCK_UNACQUIRED,
        TransactionViolationCause.LEASE_LOST,
        TransactionViolationCause.VERSION_MOVED,
    )
)


class TransactionViolation(ViolationError):
    """A workflow's state could not be loaded or stored; nothing was published.

    Args:
        message: What happened; the cause is put before it.
        cause: What went wrong.
        subject: The workflow's subject.
        retryable: Whether delivering the event again may succeed. None: as `cause.retryable`.

    Attributes:
        cause: What went wrong.
        subject: The workflow's subject.
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
        """Return the violation for a record that is no longer the one that was read."""
        return cls(
            "another writer wrote the record since it was read; deliver again",
            cause=TransactionViolationCause.VERSION_MOVED,
            subject=subject,
        )


class RetryableFailure(ViolationError):
    """A service's function failed in a way that is worth another try.

    `ArvoEventHandler.execute` raises it, from the function's exception, for those of `retry_on`
    and for `RetryLater`. A broker tries the event again; when the tries are used up it publishes
    `replies`, so that the asker is notified once. Nothing was published before.

    Args:
        message: What failed.
        replies: What to publish when there is no further try.
        after: How long to wait before the next try. None: as the retry policy says.

    Attributes:
        replies: The system error events that `execute` would have returned.
        after: How long to wait before the next try; None: as the retry policy says.

    Raises:
        TypeError: A reply is not an event, or `after` not a timedelta.
        ValueError: `after` is negative.
    """

    # Where a subclass does not call `__init__`.
    replies: tuple[ArvoEvent, ...] = ()
    after: timedelta | None = None

    def __init__(
        self, message: str, *, replies: Iterable[ArvoEvent], after: timedelta | None = None
    ) -> None:
        super().__init__(message, retryable=True)
        self.replies = tuple(replies)
        self.after = None if after is None else check_duration(after, name="after")
        for reply in self.replies:
            if not isinstance(reply, ArvoEvent):
                raise TypeError(f"replies must be events, got a {type(reply).__name__}")


class RetryLater(ArvoError):
    """Raise it in a service's function to be called again with the same event, after a pause.

    It counts as a failed try: the retry policy says how many there may be, and when they are used
    up the asker gets a system error with this exception's name and message. In the body of a
    workflow it is an ordinary exception, which ends the workflow.

    Args:
        message: What is reported to the asker in the end; by default, the pause before the retry.
        after: How long to wait before the next try.

    Attributes:
        after: How long to wait before the next try; None, as the retry policy says, only where a
            subclass does not call this `__init__`.

    Raises:
        TypeError: `after` is not a timedelta.
        ValueError: `after` is negative.

    Example:
        >>> raise RetryLater("the rate limit is reached", after=timedelta(seconds=30))
        Traceback (most recent call last):
        ...
        arvo_event_handler._errors.RetryLater: the rate limit is reached
    """

    # Where a subclass does not call `__init__`, the retry policy decides.
    after: timedelta | None = None

    def __init__(self, message: str | None = None, *, after: timedelta) -> None:
        self.after = check_duration(after, name="after")
        super().__init__(f"try again in {after}" if message is None else message)


class InvalidHandlerError(InvalidValueError):
    """A handler's definition does not fit its contract."""


class MachineMemoryError(ArvoError):
    """The backend of a machine memory failed. Raise it `from` the driver's exception.

    It does not end the workflow: the execution raises a `TransactionViolation`, stores nothing,
    and the event can be delivered again. Only an `UnwritableRecordError` ends one.

    Attributes:
        retryable: Whether the same call may succeed later without a change to this program. A
            permission or rule of the database may be fixed meanwhile; a wrong table name stays
            wrong.
        outcome: "failed" when nothing was changed, "unknown" when the change may have happened.
    """

    def __init__(
        self, message: str, *, retryable: bool, outcome: Literal["failed", "unknown"]
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.outcome = outcome


class UnwritableRecordError(MachineMemoryError):
    """A record that this memory can never keep: it is not JSON, too deep, or too large.

    The one failure of a write that ends its workflow: no delivery, however late, could store the
    step. Raise it only for what is wrong with the record itself, before anything was changed.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False, outcome="failed")


class QueryTimeoutError(MachineMemoryError):
    """A query about workflows was ended because it took too long. Narrow it, and try again."""

    def __init__(self) -> None:
        super().__init__(
            "the query took longer than 2 seconds and was ended; narrow it by status, source, key "
            "or the time of the start",
            retryable=True,
            outcome="failed",
        )


class UnreadableRecordError(MachineMemoryError):
    """What a memory holds is not a record: it is damaged, too large, or of a newer version.

    The execution raises a `TransactionViolation` of cause `READ_FAILURE` that is not retryable:
    a person has to look at what is stored. A memory that raises it keeps no lease.

    Attributes:
        newer: Whether a newer version of Arvo may have written it, which can read it.
    """

    def __init__(self, message: str, *, newer: bool = False) -> None:
        super().__init__(message, retryable=False, outcome="failed")
        self.newer = newer


class MemoryInUseError(ArvoError):
    """Another process works on the workflows of a memory that one process alone may have.

    Attributes:
        name: The name under which it holds the memory.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name} runs in another process over this memory; wait for its end, or use another "
            "memory"
        )


class UnknownMemoryError(InvalidValueError):
    """No installed package has a machine memory for a URL. The message shows its scheme only.

    Attributes:
        scheme: The scheme of the URL in lower case; None when it is not a URL.
        installed: The schemes of the machine memories that are installed, sorted.
    """

    def __init__(self, *, scheme: str | None, installed: Iterable[str]) -> None:
        self.scheme = scheme
        self.installed: tuple[str, ...] = tuple(sorted(installed))
        known = ", ".join(f"{name}:" for name in self.installed) or "none"
        why = (
            "a machine memory is named by a URL, such as sqlite:///state.db"
            if scheme is None
            else f"no installed package has a machine memory for {scheme}:"
        )
        super().__init__(f"{why} (installed: {known})")


def retryable_of(error: Exception) -> bool | None:
    """Return whether delivering an event again may help after a memory's failure; None: unknown.

    A write of unknown outcome is worth another delivery, which reads what was stored.
    """
    if isinstance(error, MachineMemoryError) and error.outcome == "failed":
        return error.retryable
    return None


def needs_newer_code(error: BaseException) -> bool:
    """Return whether a worker with newer code might handle the event that this one cannot.

    Its contract has a newer version than the handler knows, or its workflow a record of a newer form.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UnreadableRecordError):
            return cause.newer
        if isinstance(cause, UnknownVersionError):
            return _is_newer(cause.version, than=cause.versions)
        cause = cause.__cause__
    return False


def _is_newer(version: str, *, than: Iterable[str]) -> bool:
    if not is_semantic_version(version):
        return False
    parsed = SemanticVersion.parse(version)
    return all(parsed > SemanticVersion.parse(known) for known in than)


def message_of(error: Exception) -> str:
    """Return an exception's message; its class if that is empty, as for many a TimeoutError."""
    return str(error) or type(error).__name__


class UnroutableError(ArvoError):
    """No handler listens at the address that an event is for.

    Attributes:
        event: The event.
    """

    def __init__(self, event: ArvoEvent) -> None:
        what = f"event {event.id!r} of type {event.type!r}"
        super().__init__(
            f"no handler for {event.to!r}, the address of {what}; register one, "
            "or give the event a domain if it is for another system"
            if event.domain is None
            else f"{what} is for domain {event.domain!r}, outside of this system; "
            "give the broker an on_domained_event that takes it there"
        )
        self.event = event


class UndeliveredError(ArvoError):
    """The task that carried an event was cancelled before it arrived; publish the event again.

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

    A group that holds nothing but violations counts as one, retryable when all of them are. A
    `RetryableFailure` that user code raises is of a handler that it called: its replies are for
    the asker of that handler, so here it is an ordinary exception.

    Raises:
        ViolationError: `error` itself, or one that stands for the group.
    """
    if isinstance(error, RetryableFailure):
        return
    if isinstance(error, ViolationError):
        raise error
    if not isinstance(error, ExceptionGroup):
        return
    violations, rest = error.split(ViolationError)
    if violations is None or rest is not None:
        return
    leaves = list(_leaves(violations))
    if any(isinstance(leaf, RetryableFailure) for leaf in leaves):
        return
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
