"""An output of a stateless handler that leaves later: how its event says so to brokers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from arvo_core import ArvoEvent
from arvo_event_handler._errors import ConfigViolation, ContractViolation

NOT_BEFORE: Final = "notbefore"
"""The extension that says when an output of a stateless handler leaves: an RFC 3339 time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedOutput:
    """An output that is not to be handed out before a time."""

    event: ArvoEvent
    """The event."""
    at: datetime
    """The time, with its zone."""


def is_delayed(event: ArvoEvent) -> bool:
    """Return whether an output says when it leaves."""
    return NOT_BEFORE in (event.model_extra or ())


def set_apart(
    outputs: Iterable[ArvoEvent], *, source: str, longest: timedelta | None, now: datetime
) -> tuple[list[ArvoEvent], list[DelayedOutput]]:
    """Divide outputs into those that leave now, or whose time has come, and those that leave later.

    Args:
        outputs: What a handler has emitted.
        source: The handler.
        longest: How far ahead its broker can publish; None where it cannot.
        now: The present.

    Raises:
        ConfigViolation: The broker cannot publish one later, or so late.
        ContractViolation: One says no time.
    """
    leaving: list[ArvoEvent] = []
    delayed: list[DelayedOutput] = []
    for event in outputs:
        output = _delayed_output(event) if is_delayed(event) else None
        if output is None or output.at <= now:
            leaving.append(event)
        else:
            _check(output, source=source, longest=longest, now=now)
            delayed.append(output)
    return leaving, delayed


def _check(output: DelayedOutput, *, source: str, longest: timedelta | None, now: datetime) -> None:
    event = output.event
    what = f"{source} emits {event.type} for later"
    if longest is None:
        raise ConfigViolation(
            f"{what}, and this broker has nothing that keeps it until then; run the handler on a "
            "DistributedEventBroker whose transport can delay, or emit it from a resumable, whose "
            "record keeps it"
        )
    if event.domain is not None:
        raise ConfigViolation(
            f"{what} with the domain {event.domain!r}, and only events without a domain can leave "
            "later; emit it without one, or without at and after"
        )
    if output.at - now > longest:
        raise ConfigViolation(
            f"{what}, at {output.at.isoformat()}, which is too far ahead; the transport delays by "
            f"at most {longest}"
        )


def _delayed_output(event: ArvoEvent) -> DelayedOutput:
    said = event.extensions.get(NOT_BEFORE)
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ContractViolation(
            f"{event.source} emits {event.type}: its extension {NOT_BEFORE} says when it leaves, and must be "
            f"a time with a zone, such as 2026-12-01T06:00:00Z, got {said!r}; use Emit(at=...)"
        )
    return DelayedOutput(event=event, at=at)
