"""Runs the handlers of a target until an event for one workflow is done."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from arvo_cli._backend._next_due import NextTimers
from arvo_cli._errors import one_line
from arvo_cli._target._domains import refuse_domain
from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent, ArvoOrchestrationSubject
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.delivery import DeadLetter, DomainedEventListener
from arvo_event_handler.memory import StoredWorkflow
from arvo_time import SYSTEM_CLOCK

_BETWEEN_LOOKS: Final = timedelta(milliseconds=100)
_LATENESS: Final = timedelta(seconds=5)
"""How long to stay for a timer that is due."""


@dataclass(slots=True)
class Outcome:
    """What has come of the event."""

    answers: list[ArvoEvent] = field(default_factory=list)
    """The events that left the handlers: answers to those who have started the workflows."""
    failures: list[str] = field(default_factory=list)
    """What went wrong."""


async def run_here(
    event: ArvoEvent,
    workflow: StoredWorkflow,
    handlers: Iterable[IArvoEventHandler],
    *,
    listener: DomainedEventListener | None,
) -> Outcome:
    """Handle an event and all that comes of it, until nothing is left to do.

    Args:
        event: The event.
        workflow: The workflow that it is for.
        handlers: Those of the workflow, and of all that it asks.
        listener: Takes events with a domain; None where the target has none.
    """
    outcome = Outcome()
    handlers = [*handlers]
    timers, until = NextTimers(handlers), SYSTEM_CLOCK.now() + _LATENESS

    async def fail(failed: ArvoEvent, error: Exception) -> None:
        outcome.failures.append(
            f"{type(error).__name__} at {failed.type} {failed.id}: {one_line(error)}"
        )

    async def keep(answer: ArvoEvent) -> None:
        outcome.answers.append(answer)

    async with ConcurrentEventBroker(
        handlers,
        on_domained_event=listener or refuse_domain,
        on_broker_error=fail,
        on_dead_letter=_ignore,
        on_unclaimed=keep,
    ) as broker:
        await broker.publish(event, answer_to=_asker(workflow))
        await broker.wait_idle()
        while not outcome.failures and await _is_due(event, timers, until=until):
            await SYSTEM_CLOCK.sleep(_BETWEEN_LOOKS)
            await broker.wait_idle()
    return outcome


async def _is_due(event: ArvoEvent, timers: NextTimers, *, until: datetime) -> bool:
    """Return whether the workflow waits for a timer that is due, and so about to fire."""
    due = await timers.of(event)
    now = SYSTEM_CLOCK.now()
    return due is not None and due.at <= now <= until


def _asker(workflow: StoredWorkflow) -> str:
    """Return who gets the completion of the topmost workflow, which none of the handlers is."""
    subject = (
        workflow.root if ArvoOrchestrationSubject.is_valid(workflow.root) else workflow.subject
    )
    content = ArvoOrchestrationSubject.parse(subject)
    return content.meta.get("redirectto") or content.execution.initiator


async def _ignore(letter: DeadLetter) -> None:
    """Do nothing: the reason is among the failures."""
