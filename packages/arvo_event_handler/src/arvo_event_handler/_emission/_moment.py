"""When a timer fires or a delayed request leaves: checked where user code says it."""

from datetime import UTC, datetime, timedelta
from typing import Final

from arvo_event_handler._errors import ContractViolation

LONGEST_DELAY: Final = timedelta(days=3653)
"""How far ahead a timer may be: 10 years."""
_ZERO: Final = timedelta(0)


def check_moment(what: str, *, at: object, after: object) -> None:
    """Check that exactly one of a moment and a delay is given, and that it can be.

    Args:
        what: What an error calls it.
        at: The moment; None for a delay.
        after: The delay; None for a moment.

    Raises:
        ContractViolation: Both or neither is given, the moment has no time zone, or the delay is
            negative or too long.
    """
    if (at is None) == (after is None):
        raise ContractViolation(f"{what}: pass either at= or after=, one of the two")
    if after is not None:
        _check_delay(what, after)
    elif not isinstance(at, datetime):
        raise ContractViolation(f"{what}: at must be a datetime, got {type(at).__name__}")
    elif at.utcoffset() is None:
        raise ContractViolation(
            f"{what}: at must have a time zone, got {at.isoformat()}; "
            "write at=datetime(..., tzinfo=UTC)"
        )


def moment(what: str, *, at: datetime | None, after: timedelta | None, now: datetime) -> datetime:
    """Return a checked moment in UTC, rounded up to whole milliseconds.

    Args:
        what: What an error calls it.
        at: The moment; None for a delay.
        after: The delay, from `now`, which may be negative; None for a moment.
        now: The time of the step.

    Raises:
        ContractViolation: It is too far ahead.
    """
    try:
        due = (now + (after or _ZERO) if at is None else at).astimezone(UTC)
        if due - now > LONGEST_DELAY:
            raise _too_far(what, due.isoformat())
        return due + timedelta(microseconds=-due.microsecond % 1000)
    except OverflowError as error:
        raise _too_far(what, f"after {after}" if at is None else str(at)) from error


def _check_delay(what: str, after: object) -> None:
    if not isinstance(after, timedelta):
        raise ContractViolation(f"{what}: after must be a timedelta, got {type(after).__name__}")
    if after < _ZERO:
        raise ContractViolation(f"{what}: after must not be negative, got {after}")
    if after > LONGEST_DELAY:
        raise _too_far(what, f"after {after}")


def _too_far(what: str, when: str) -> ContractViolation:
    return ContractViolation(
        f"{what}: {when} is too far ahead; the limit is 10 years ({LONGEST_DELAY.days} days)"
    )
