"""What the memory suites expect of calls that must be refused."""

from collections.abc import Iterator
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
