"""What orchestrators and resumables share: an address, a memory, and how they handle an event."""

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    EventLimits,
    VersionedArvoContract,
)
from arvo_core.telemetry import ArvoSpanKind
from arvo_event_handler._emission._moment import LONGEST_DELAY
from arvo_event_handler._errors import ConfigViolation
from arvo_event_handler._handler import IWorkflowHandler
from arvo_event_handler._system_error_policy import SystemErrorPolicy
from arvo_event_handler._telemetry import ExecutionTelemetry
from arvo_event_handler.memory._memory import IMachineMemory, check_memory
from arvo_time import Clock
from arvo_time.settings import check_duration, check_flag, check_number, given_or

from ._execution import WorkflowExecution
from ._execution_policy import ExecutionPolicy
from ._open_requests import Answers, check_answers
from ._timers import check_indexed
from ._workflow import Workflow


class WorkflowHandler(IWorkflowHandler):
    """A stateful handler: takes events through a workflow over a machine memory.

    Args:
        workflow: What an event leads to.
        label: The handler's name in spans.
        kind: The kind of its spans.
        memory: Where the workflow's state lives between events.
        requires_resource_locking: Whether to lock a memory that offers only the four calls.
        answers: Which answers are accepted.
        system_errors: How a failure is described to the workflow's initiator; None for the
            defaults.
        policy: How stored state is treated; None for the defaults.
        limits: How deep the data of its outputs may be; None for the defaults.
        deadline: How long a workflow may take; None for any time.

    Raises:
        ConfigViolation: `memory` is not a machine memory, or there is a deadline and it has no index
            of what is due.
        TypeError: A setting is of another type than its parameter.
        ValueError: `answers` is neither "any" nor "awaited", `executionunits` not finite, or
            `deadline` not above zero or above 10 years.
    """

    def __init__(
        self,
        workflow: Workflow,
        *,
        label: str,
        kind: ArvoSpanKind,
        memory: IMachineMemory,
        requires_resource_locking: bool,
        answers: Answers,
        system_errors: SystemErrorPolicy | None,
        policy: ExecutionPolicy | None,
        limits: EventLimits | None,
        deadline: timedelta | None = None,
    ) -> None:
        where = workflow.contract.type
        check_memory(memory, where=where)
        if deadline is not None:
            name = f"{where}: deadline"
            check_duration(deadline, name=name, above_zero=True, most=LONGEST_DELAY)
            check_indexed(memory, where=where, what="a deadline")
        check_number(workflow.executionunits, name=f"{where}: executionunits")
        check_flag(requires_resource_locking, name=f"{where}: requires_resource_locking")
        self._contract = workflow.contract
        self._asked_services = _asked_services(workflow)
        self.memory: IMachineMemory = memory
        """Where the workflow's state lives."""
        policy = given_or(policy, default=ExecutionPolicy(), name=f"{where}: policy")
        self.clock: Clock = policy.clock
        """Says what time it is to its workflows; that of its policy."""
        self.executionunits: float = workflow.executionunits
        """The default cost of an output."""
        self.requires_resource_locking: bool = requires_resource_locking
        """Whether a memory that offers only the four calls is locked."""
        self._telemetry = ExecutionTelemetry(label=label, contract=self._contract, kind=kind)
        self._execution = WorkflowExecution(
            workflow,
            memory=memory,
            locking=requires_resource_locking,
            answers=check_answers(answers),
            system_errors=given_or(
                system_errors, default=SystemErrorPolicy(), name=f"{where}: system_errors"
            ),
            policy=policy,
            limits=given_or(limits, default=EventLimits(), name=f"{where}: limits"),
            deadline=deadline,
        )

    @property
    @override
    def contract(self) -> ArvoOrchestratorContract:
        """What starts the workflow and what it completes with."""
        return self._contract

    @property
    @override
    def source(self) -> str:
        return self._contract.type

    @property
    @override
    def stateful(self) -> bool:
        return True

    @property
    @override
    def asked_services(self) -> Collection[VersionedArvoContract[Any]]:
        """The services that its workflows may ask, in whatever version of theirs."""
        return self._asked_services

    @property
    def domain(self) -> str | None:
        """The contract's domain; None means no domain."""
        return self._contract.domain

    @override
    async def execute(
        self, event: ArvoEvent, *, redelivered: bool = True, parent: Context | None = None
    ) -> list[ArvoEvent]:
        """Advance the workflow by one event and return the events to publish, in order.

        An event seen before changes nothing and returns those of its outputs that are still
        unanswered. The init event returns all unanswered outputs, so that delivering it again
        resumes the workflow; of a workflow that has ended, what its end emitted. A finished
        workflow ignores other events. `WorkflowControl` makes the events that retry, cancel or wake
        a workflow.

        Args:
            event: An init event, a service's answer, one that `WorkflowControl` makes, or the one that
                fires a timer, which a broker makes. Of a timer that is not pending it does nothing.
            redelivered: Whether an earlier delivery of the event may have been lost, with what came
                of it. False when the event was published anew: then a seen init event of a workflow
                that has not ended returns nothing, since somebody works on it already.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Raises:
            ExecutionViolation: The subject, or a parent's, is not an orchestration subject; or,
                with `answers="awaited"`, the event does not answer an open request. Or a workflow
                cannot be retried, as it has not failed, was cancelled, is a child, or has failed
                another number of times; or nothing is stored of one to retry, cancel or wake.
            ContractViolation: The event or an output does not match its contract.
            ConfigViolation: The event's version or type is unknown, an output is wired up wrongly,
                or the deployed code cannot read a stored context, answer, machine state, or the
                event at which a workflow that is retried has failed.
            TransactionViolation: The state could not be loaded or stored; `cause` says why.
            ViolationError: The function, an action or a guard raised one.
        """
        run = partial(self._execution.run, redelivered=redelivered)
        return await self._telemetry.watch(event, run, parent=parent)

    @override
    async def owed(self, subject: str) -> list[ArvoEvent]:
        """Return what a workflow has emitted and may not have arrived, oldest first.

        These are the requests without an answer and the notifications of its latest steps; of a
        workflow that has ended, what its end emitted. Nothing runs and nothing is written, but no
        event of the workflow is handled meanwhile. Publish them to go on with a workflow whose
        process died; `ConcurrentEventBroker.recover` does so for all workflows of a memory.

        Args:
            subject: The workflow's subject.

        Returns:
            The events, with the ids that they had before; none for a workflow that was never
            started, or is another handler's.

        Raises:
            ExecutionViolation: `subject` is not an orchestration subject.
            TransactionViolation: What is stored cannot be read, or an event of the workflow is
                being handled; `cause` says which.
        """
        return await self._execution.owed(subject)

    def watch_timers(self, watcher: Callable[[datetime], None]) -> Callable[[], None]:
        """Call a function whenever a step has set a timer that is the earliest of its workflow.

        For brokers, which look for what is due; see `arvo_event_handler.delivery.TimerPump`.

        Args:
            watcher: Called with the time at which the timer is due. It must not raise.

        Returns:
            What ends it.
        """
        watchers = self._execution.timers.watchers
        watchers.append(watcher)
        return partial(watchers.remove, watcher)

    def answering(self, version: str) -> frozenset[str]:
        """Return the types of requests that the services of a version answer, not only by failing.

        `to_typescript` needs them for what that version has stored.

        Args:
            version: A version of the contract; a resumable has the same services in all versions.

        Raises:
            ConfigViolation: No machine implements the version.
        """
        return self._execution.answering(version)

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._contract!r})"


def _asked_services(workflow: Workflow) -> tuple[VersionedArvoContract[Any], ...]:
    services: dict[str, VersionedArvoContract[Any]] = {}
    for version in workflow.contract.versions:
        with suppress(ConfigViolation):  # a version that others implement
            asked = workflow.services(version).values()
            services.update({service.dataschema: service for service in asked})
    return tuple(services.values())
