"""What workflows have asked for and wait for: sent again, or woken by time."""

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Final

from arvo_core import ArvoEvent, ArvoOrchestrationSubject
from arvo_event_handler.memory import DueMachine, IWorkflowQueries, StoredWorkflow
from arvo_time.logs import bounded_logger

from ._admission import Admission
from ._router import Router

_logger = bounded_logger("arvo_concurrent")

_MOST_FOREIGN: Final = 100
"""Of how many types of workflows to say that their timers are due without a handler."""


class OwedOutputs:
    """Sends events on behalf of workflows, when there is a place for them.

    Args:
        router: Takes them.
        admission: The places.
        check_open: Raises once the broker takes nothing more.
    """

    def __init__(
        self, router: Router, admission: Admission, *, check_open: Callable[[], None]
    ) -> None:
        self._router = router
        self._admission = admission
        self._check_open = check_open
        self._foreign: set[str] = set()

    async def go_on(self, workflow: StoredWorkflow, outputs: list[ArvoEvent]) -> None:
        """Send again what a workflow has asked for without an answer."""
        await self._send(workflow.subject, outputs, root=workflow.root)

    async def take_tick(self, due: DueMachine, tick: ArvoEvent) -> None:
        """Take the tick of a timer, as part of the work on the topmost workflow above its own."""
        handler = self._router.workflow_handler(tick.to or tick.type)
        if handler is None:
            self._warn_foreign(due, type=tick.to or tick.type)
            return
        memory, root = handler.memory, due.machine_id
        if isinstance(memory, IWorkflowQueries):
            workflow = await memory.workflow(due.machine_id)
            root = due.machine_id if workflow is None else workflow.root
        await self._send(due.machine_id, [tick], root=root)
        self._router.count_tick(tick)

    async def _send(self, workflow: str, outputs: list[ArvoEvent], *, root: str) -> None:
        # Its own completion goes to its parent, so the answer is that of the topmost workflow.
        subject = root if ArvoOrchestrationSubject.is_valid(root) else workflow
        content = ArvoOrchestrationSubject.parse(subject)
        send = partial(
            self._router.send_again,
            outputs,
            key=(content.orchestrator.name, subject),
            answer_to=content.meta.get("redirectto") or content.execution.initiator,
            context=copy_context(),
        )
        self._check_open()
        await self._admission.admit(outputs[0], send, check_open=self._check_open)

    def _warn_foreign(self, due: DueMachine, *, type: str) -> None:
        """Say once of each type that its timers are due, and that nobody here handles them."""
        if type in self._foreign or len(self._foreign) >= _MOST_FOREIGN:
            return
        self._foreign.add(type)
        _logger.warning(
            "a timer of %s is due, and this broker has no handler for %s: it waits for another program "
            "until the claim of this one ends, 30 seconds the first time and longer each time; give each "
            "program a memory of its own, or a part of one, so that its timers are not late",
            due.machine_id,
            type,
        )
