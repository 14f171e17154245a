"""`arvo workflow cancel`, `retry`, `wake` and `fire`: an event for one workflow."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from uuid import uuid4

import typer

from arvo_cli._backend._memory_url import memory_for
from arvo_cli._backend._sole_run import sole_run
from arvo_cli._backend._stored_workflows import (
    WorkflowMemory,
    check_shared,
    details_of,
    listed,
    looked_into,
    workflow_named,
)
from arvo_cli._backend._transport_url import transport_for
from arvo_cli._errors import CommandError, RefusedError, one_line
from arvo_cli._options._values import LogLevel
from arvo_cli._target._target import Target, load_target
from arvo_cli._terminal._interrupt import woken_by_signals
from arvo_cli._terminal._listing import print_json
from arvo_cli._terminal._log import shown_logs
from arvo_cli._terminal._output import short_line
from arvo_cli._terminal._printable import printable, say
from arvo_core import ArvoEvent, ArvoOrchestrationSubject
from arvo_event_handler import IArvoEventHandler, UnroutableError, WorkflowControl
from arvo_event_handler.delivery import timer_event
from arvo_event_handler.memory import StoredDetails, StoredTimer, StoredWorkflow
from arvo_time import SYSTEM_CLOCK
from arvo_transport import UnknownTopicError, address_of

from ._here import Outcome, run_here
from ._refusal import refused_cancel, refused_retry
from ._rows import status_of, type_of

Action: TypeAlias = Literal["cancel", "retry", "wake", "fire"]
"""What is done to the workflow."""

_SOURCE: Final = "com.arvo.cli"
"""The sender of events from this command."""
_WIDE: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowChangeJob:
    """The options of the commands that send a workflow an event."""

    action: Action
    """Which command it is."""
    workflow: str
    """The workflow's subject or its key."""
    memory: str
    """The memory's URL."""
    target: str | None
    """A folder, or `module:factory`, whose handlers run here; None for those of workers."""
    flavour: str | None
    """Which handlers the factory makes; None for its default."""
    transport: str | None
    """The URL of the transport of the workers; None where the handlers run here."""
    reason: str = ""
    """Why it is cancelled."""
    detached: bool = False
    """Whether a child workflow may be retried alone."""
    timer: str = ""
    """The name of the timer that is fired."""
    json: bool
    """Whether to print JSON."""
    log_level: LogLevel
    """The lowest level of log records that are shown."""

    def run(self) -> int:
        """Send the event or handle it here, and return the exit status.

        Raises:
            CommandError: There is no such workflow, it does not allow this, or an engine fails.
        """
        check_shared(self.memory)
        if self.target is not None and self.transport is not None:
            raise CommandError(
                "a TARGET's handlers run here, --transport (or ARVO_TRANSPORT) leaves it to the "
                "workers; give one of them"
            )
        if self.transport is not None:
            if self.flavour is not None:
                raise CommandError("--flavour chooses among the handlers of a TARGET; give one")
            return asyncio.run(self._send(self.transport))
        if self.target is None:
            raise CommandError(
                f"who is to {self.action} it? Give --transport URL, so that a worker does, or a "
                "TARGET, whose handlers then run here"
            )
        target = load_target(self.target)
        with shown_logs(self.log_level, say=say):
            return asyncio.run(self._run_here(target))

    # --- by a worker --------------------------------------------------------

    async def _send(self, url: str) -> int:
        async with looked_into(self.memory) as memory:
            workflow, event = await self._event(memory)
        # Each is a new request, though the tick of a timer always has the same id.
        again = f"fire:{uuid4()}" if self.action == "fire" else ""
        async with transport_for("use", url) as transport:
            try:
                await transport.publish([event], again=again)
            except UnroutableError as error:
                raise CommandError(one_line(UnknownTopicError(address_of(event)))) from error
        if self.json:
            print_json([{**_named(workflow), "event": event.id, "sent_to": address_of(event)}])
        else:
            say(
                f"sent {event.type} to {address_of(event)}: the next worker that is free will "
                f"{self.action} {workflow.key}; `arvo workflow show` has what came of it"
            )
        return 0

    # --- here ---------------------------------------------------------------

    async def _run_here(self, target: Target) -> int:
        async with woken_by_signals(), memory_for("use", self.memory) as opened:
            memory = listed(opened)
            handlers = target.create_handlers(memory, flavour=self.flavour)
            # First without a lease: most mistakes need no waiting for it.
            _check_handled(await workflow_named(memory, self.workflow), handlers, target=target)
            async with sole_run(memory, handlers, target=target.name, say=say):
                workflow, event = await self._event(memory)
                outcome = await run_here(event, workflow, handlers, listener=target.listener)
            after = await memory.workflow(workflow.subject)
            details = None if after is None else await details_of(memory, after)
        self._show(workflow, after, outcome)
        for failure in outcome.failures:
            say(failure)
        if self.action == "retry" and after is not None and after.status == "failure":
            say(f"it has failed again: {_error(details)}")
            return 1
        return 1 if outcome.failures else 0

    def _show(
        self, workflow: StoredWorkflow, after: StoredWorkflow | None, outcome: Outcome
    ) -> None:
        if self.json:
            status = None if after is None else status_of(after)
            answers = [answer.to_dict() for answer in outcome.answers]
            print_json([{**_named(workflow), "status": status, "answers": answers}])
            return
        typer.echo(printable(f"{workflow.key}  {type_of(workflow)}  {_stands(after)}"))
        for answer in outcome.answers:
            typer.echo(printable(f"  to {answer.to}: {short_line(answer, width=_WIDE)}"))

    # --- the event ----------------------------------------------------------

    async def _event(self, memory: WorkflowMemory) -> tuple[StoredWorkflow, ArvoEvent]:
        """Return the workflow, and the event that it is to get.

        Raises:
            RefusedError: There is no such workflow, or it does not allow this.
        """
        workflow = await workflow_named(memory, self.workflow)
        if not ArvoOrchestrationSubject.is_valid(workflow.subject):
            raise RefusedError(
                f"{workflow.key} is no workflow of Arvo: its subject says no address to send to"
            )
        details = await details_of(memory, workflow)
        control = WorkflowControl(workflow.subject, source=_SOURCE)
        make: dict[Action, Callable[[], ArvoEvent]] = {
            "cancel": lambda: self._cancel(control, workflow),
            "retry": lambda: self._retry(control, workflow, details),
            "wake": control.wake,
            "fire": lambda: self._fire(workflow, details),
        }
        return workflow, make[self.action]()

    def _cancel(self, control: WorkflowControl, workflow: StoredWorkflow) -> ArvoEvent:
        _check("cancel", workflow, refused_cancel(workflow))
        return control.cancel(self.reason)

    def _retry(
        self, control: WorkflowControl, workflow: StoredWorkflow, details: StoredDetails
    ) -> ArvoEvent:
        _check("retry", workflow, refused_retry(workflow, details, detached=self.detached))
        attempt = 0 if details.failure is None else details.failure.attempt
        return control.retry(attempt=attempt, detached=self.detached)

    def _fire(self, workflow: StoredWorkflow, details: StoredDetails) -> ArvoEvent:
        timer = _timer_named(self.timer, workflow, details)
        now = SYSTEM_CLOCK.now()
        return timer_event(workflow.subject, key=timer.key, at=timer.at, due_by=now, now=now)


def _check(action: Action, workflow: StoredWorkflow, refused: str | None) -> None:
    if refused is not None:
        raise RefusedError(f"cannot {action} {workflow.key}: {refused}")


def _timer_named(name: str, workflow: StoredWorkflow, details: StoredDetails) -> StoredTimer:
    for timer in details.timers:
        if timer.name == name:
            return timer
    names = ", ".join(dict.fromkeys(timer.name for timer in details.timers))
    pending = f"those that are pending: {names}" if names else "none is pending"
    raise RefusedError(f"{workflow.key} has no timer {name!r}; {pending}")


def _check_handled(
    workflow: StoredWorkflow, handlers: Iterable[IArvoEventHandler], *, target: Target
) -> None:
    sources = [handler.source for handler in handlers]
    if workflow.source not in sources:
        raise CommandError(
            f"{target.name} has no handler for {workflow.source}, the type of {workflow.key}; "
            f"it has {', '.join(sources)}"
        )


def _named(workflow: StoredWorkflow) -> dict[str, object]:
    return {"subject": workflow.subject, "key": workflow.key, "type": workflow.source}


def _stands(workflow: StoredWorkflow | None) -> str:
    """Return how a workflow stands now."""
    if workflow is None:
        return "forgotten"
    if workflow.error is not None:
        return f"failed: {workflow.error}"
    waits = f", waits for {', '.join(workflow.waits_for)}" if workflow.waits_for else ""
    return f"{status_of(workflow)}{waits}"


def _error(details: StoredDetails | None) -> str:
    error = None if details is None or details.failure is None else details.failure.error
    if not isinstance(error, dict):
        return "unknown"
    return f"{error.get('name')}: {error.get('message')}"
