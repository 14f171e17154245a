"""What the memory suites expect of calls that must be refused."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from arvo_event_handler import IMachineMemory, TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import Record


@contextmanager
def refuses(cause: TransactionViolationCause, *, by: str) -> Iterator[None]:
    """Fail unless the block ends in a violation of that cause; `by` names the call."""
    wanted = f"{by} must raise TransactionViolation with cause {cause.name}"
    try:
        yield
    except TransactionViolation as violation:
        if violation.cause is not cause:
            raise AssertionError(f"{wanted}, not {violation.cause.name}") from violation
    except Exception as error:
        raise AssertionError(f"{wanted}, not {type(error).__name__}: {error}") from error
    else:
        raise AssertionError(f"{wanted}, but returned")


async def wins(memory: IMachineMemory, record: Record, previous: Record | None) -> bool:
    """Write the record of "order-7"; return False when another writer was faster."""
    try:
        await memory.write("order-7", record, previous)
    except TransactionViolation as violation:
        if violation.cause is not TransactionViolationCause.VERSION_MOVED:
            raise
        return False
    return True


async def refused_with(call: Awaitable[object], name: str, *, error: type[Exception]) -> None:
    """Fail unless a call raises an error of that kind whose message has a name in it."""
    wanted = f"{error.__name__} that names {name} must be raised"
    try:
        await call
    except error as refusal:
        if name not in str(refusal):
            raise AssertionError(f"{wanted}, got: {refusal}") from refusal
    except Exception as other:
        raise AssertionError(f"{wanted}, not {type(other).__name__}: {other}") from other
    else:
        raise AssertionError(wanted)
