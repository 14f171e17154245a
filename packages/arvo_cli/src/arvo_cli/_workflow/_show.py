"""`arvo workflow show`: all that is known of one workflow."""

import asyncio
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from rich.text import Text

from arvo_cli._backend._stored_workflows import (
    WorkflowMemory,
    details_of,
    looked_into,
    workflow_named,
)
from arvo_cli._errors import one_line
from arvo_cli._terminal._listing import age, console, local_time, print_json, until
from arvo_cli._terminal._printable import printable, say
from arvo_event_handler import UnreadableRecordError
from arvo_event_handler.memory import IStepHistory, StoredDetails, StoredStep, StoredWorkflow
from arvo_time import SYSTEM_CLOCK

from ._refusal import refused_retry
from ._rows import status_of, timer_json, type_of, workflow_json

_WIDTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowShowJob:
    """The options of `arvo workflow show`."""

    workflow: str
    """Its subject or its key."""
    memory: str
    """The memory's URL."""
    steps: int
    """How many of the last steps to show."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print the workflow, and return the exit status.

        Raises:
            CommandError: The memory cannot be used, or has no such workflow.
        """
        found = asyncio.run(self._found())
        if self.json:
            print_json([found.as_json()])
            return 0
        for line in found.shown(now=SYSTEM_CLOCK.now()):
            console().print(line, soft_wrap=True)
        return 0

    async def _found(self) -> "_Found":
        async with looked_into(self.memory) as memory:
            workflow = await workflow_named(memory, self.workflow)
            details = await details_of(memory, workflow)
            return _Found(workflow, details, await self._steps(memory, workflow.subject))

    async def _steps(self, memory: WorkflowMemory, subject: str) -> list[StoredStep]:
        if not (self.steps and isinstance(memory, IStepHistory)):
            return []
        try:
            return await memory.steps(subject, after=-self.steps, limit=self.steps)
        except UnreadableRecordError as error:
            say(f"its steps cannot be read: {one_line(error)}")
            return []


@dataclass(frozen=True, slots=True)
class _Found:
    """One workflow."""

    workflow: StoredWorkflow
    details: StoredDetails
    steps: Sequence[StoredStep]

    @property
    def _remedy(self) -> str | None:
        if self.details.failure is None:
            return None
        refused = refused_retry(self.workflow, self.details, detached=False)
        if refused is not None:
            return f"no retry: {refused}"
        return (
            "mend what has failed, and deploy it if it is code; then: "
            f"arvo workflow retry {shlex.quote(self.workflow.key)}"
        )

    def as_json(self) -> dict[str, object]:
        """Return it as `--json` shows it."""
        failure = self.details.failure
        return {
            **workflow_json(self.workflow),
            "timers": [timer_json(timer) for timer in self.details.timers],
            "failure": None
            if failure is None
            else {
                "error": failure.error,
                "event": failure.event,
                "attempt": failure.attempt,
                "remedy": self._remedy,
            },
            "steps": [_step_json(step) for step in self.steps],
        }

    def shown(self, *, now: datetime) -> Iterator[Text]:
        """Yield it line by line."""
        for name, value in self._facts(now):
            yield _fact(name, value)
        for number, timer in enumerate(self.details.timers):
            due = f"{local_time(timer.at)}, {until(timer.at, now=now)}"
            yield _fact("" if number else "timers", f"{timer.name}  {due}")
        yield from self._shown_failure()
        if self.steps:
            yield Text("last steps", "bold")
        for step in self.steps:
            yield from _shown_step(step)

    def _facts(self, now: datetime) -> Iterator[tuple[str, str]]:
        workflow = self.workflow
        yield "key", workflow.key
        yield "type", type_of(workflow)
        yield "status", status_of(workflow)
        yield "subject", workflow.subject
        yield "asked by", workflow.initiator or "unknown"
        if workflow.parent is not None:
            yield "parent", workflow.parent
            if workflow.root not in {workflow.parent, workflow.subject}:
                yield "root", workflow.root
        yield "started", _ago(workflow.created_at, now)
        yield "last step", _ago(workflow.updated_at, now)
        if workflow.waits_for:
            since = workflow.waits_since
            shown = "" if since is None else f", since {_ago(since, now)}"
            yield "waits for", f"{', '.join(workflow.waits_for)}{shown}"
        if workflow.lease_until is not None and workflow.lease_until > now:
            yield "runs", f"at this moment, under a lease until {local_time(workflow.lease_until)}"
        if workflow.expires_at is not None:
            yield "kept until", local_time(workflow.expires_at)

    def _shown_failure(self) -> Iterator[Text]:
        failure = self.details.failure
        if failure is None:
            return
        error = failure.error if isinstance(failure.error, Mapping) else {}
        yield _fact("error", f"{error.get('name', 'unknown')}: {error.get('message', '')}")
        if failure.event is not None:
            times = "once" if failure.attempt == 1 else f"{failure.attempt} times"
            yield _fact("", f"at {_named(failure.event)}; it has failed {times}")
        yield _fact("remedy", self._remedy or "")
        stack = error.get("stack")
        if isinstance(stack, str):
            yield Text("stack", "bold")
            yield from (Text(f"  {printable(line)}") for line in stack.splitlines())


def _step_json(step: StoredStep) -> dict[str, object]:
    return {
        "number": step.number,
        "at": step.at,
        "took": None if step.took is None else step.took.total_seconds(),
        "consumed": step.consumed,
        "produced": step.produced,
        "state": step.state,
        "context": step.context,
        "error": step.error,
    }


def _shown_step(step: StoredStep) -> Iterator[Text]:
    at = "-" if step.at is None else local_time(step.at)
    took = "" if step.took is None else f"  took {step.took.total_seconds() * 1000:.0f} ms"
    failed = "  FAILED" if step.error is not None else ""
    yield Text(printable(f"{step.number:>4}  {at}  {step.consumed.get('type')}{took}{failed}"))
    yield from (Text(printable(f"        -> {_named(event)}")) for event in step.produced)
    if step.has_state and step.state is not None:
        yield Text(printable(f"        in {to_json(step.state).decode()}"))


def _named(event: Mapping[str, Any]) -> str:
    return f"{event.get('type')} {event.get('id')}"


def _ago(at: datetime, now: datetime) -> str:
    return f"{local_time(at)} ({age(now - at)} ago)"


def _fact(name: str, value: str) -> Text:
    return Text.assemble((f"{name:<{_WIDTH}}", "bold"), printable(value))
