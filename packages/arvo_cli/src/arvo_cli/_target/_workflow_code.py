"""What the code of a target says about the workflows that a memory has stored."""

from collections.abc import Iterable
from dataclasses import dataclass

from arvo_core import ArvoOrchestrationSubject, InvalidSubjectError
from arvo_event_handler import ArvoOrchestrator, ArvoResumable, ConfigViolation, IArvoEventHandler


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowCode:
    """What the code of one version of a workflow says. The default is that of unknown code."""

    answering: frozenset[str] = frozenset()
    """The types of requests that its services answer, not only by failing."""
    machine_definition: str | None = None
    """Its chart as JSON; None when it is no machine."""


class WorkflowCodes:
    """The code of all workflows of a target.

    Args:
        handlers: The handlers of the target; none knows no code.
    """

    def __init__(self, handlers: Iterable[IArvoEventHandler]) -> None:
        self._handlers = {handler.source: handler for handler in handlers}

    def of(self, subject: str) -> WorkflowCode:
        """Return the code that runs the workflow with this subject."""
        try:
            named = ArvoOrchestrationSubject.parse(subject).orchestrator
        except InvalidSubjectError:
            return WorkflowCode()
        handler = self._handlers.get(named.name)
        if not isinstance(handler, ArvoOrchestrator | ArvoResumable):
            return WorkflowCode()
        try:
            answering = handler.answering(named.version)
        except ConfigViolation:  # this version is no longer among the machines
            return WorkflowCode()
        machine = None
        if isinstance(handler, ArvoOrchestrator):
            machine = handler.registry.machine(named.version).definition
        return WorkflowCode(answering=answering, machine_definition=machine)
