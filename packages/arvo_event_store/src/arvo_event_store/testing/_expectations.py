"""What the suites say when a store does something else than it must."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from arvo_event_store._event import Event, NewEvent
from arvo_event_store._log import IEventLog
from arvo_event_store._target import TargetState

E = TypeVar("E", bound=Exception)


class WakingLog(IEventLog, Protocol):
    """What `EventLogSuite` tests: a log whose appends wake targets."""

    def targets(self, group: str, *, reaction: str | None = None) -> AsyncIterator[TargetState]:
        """See `IReactionStore.targets`."""
        ...


def added(amount: int) -> NewEvent:
    """Return a new event with an amount."""
    return NewEvent("Added", {"amount": amount})


def some(count: int) -> list[NewEvent]:
    """Return events with the amounts from 0."""
    return [added(amount) for amount in range(count)]


async def listed(events: AsyncIterable[Event]) -> list[Event]:
    """Return all events of an iterator."""
    return [event async for event in events]


async def only(events: AsyncIterable[Event]) -> Event:
    """Return the event of an iterator that must have exactly one."""
    found = await listed(events)
    assert len(found) == 1, f"one event must be read, not {len(found)}"
    return found[0]


async def versions(events: AsyncIterable[Event]) -> list[int]:
    """Return the versions of all events of an iterator."""
    return [event.version async for event in events]


async def refused(call: Awaitable[object], error: type[E]) -> E:
    """Return the error of a call that must raise it."""
    try:
        result = await call
    except error as refusal:
        return refusal
    except Exception as other:
        raise AssertionError(
            f"{error.__name__} must be raised, not {type(other).__name__}: {other}"
        ) from other
    raise AssertionError(f"{error.__name__} must be raised, but the call returned {result!r}")


def refused_now(call: Callable[[], object], *errors: type[Exception]) -> None:
    """Fail unless a call raises one of the errors, before anything is awaited."""
    wanted = " or ".join(error.__name__ for error in errors)
    try:
        result = call()
    except errors:
        return
    except Exception as other:
        raise AssertionError(
            f"{wanted} must be raised, not {type(other).__name__}: {other}"
        ) from other
    raise AssertionError(f"{wanted} must be raised at the call, but it returned {result!r}")
