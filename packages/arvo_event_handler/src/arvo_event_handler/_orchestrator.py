"""Workflows written as statecharts, resumed with every answer."""

from collections.abc import Iterable

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoEvent, ArvoOrchestratorContract, ArvoSpanKind

from ._domain import EmissionDomains
from ._execution import ExecutionPolicy, WorkflowExecution
from ._handler_protocol import IArvoEventHandler
from ._machine import ArvoMachine
from ._machine_engine import MachineExecutionEngine
from ._machine_registry import MachineRegistry
from ._memory import IMachineMemory
from ._orchestrator_workflow import OrchestratorWorkflow
from ._telemetry import ExecutionTelemetry


class ArvoOrchestrator(IArvoEventHandler):
    """A workflow across services, written as a statechart per version.

    The machine starts with the init event as its input and takes each answer as an event. An
    exception in an action or guard ends the workflow: whoever started it gets a system error
    event. A `ViolationError` escapes `execute` and changes nothing. Reaching the final state
    completes the workflow, exactly once; a service runs at least once and must be idempotent by
    (source, id).

    TypeScript: `createArvoOrchestrator`.

    Args:
        machines: One per version; all of one contract.
        memory: Where the workflow's state lives between events.
        executionunits: The cost of an output that names none, unitless.
        requires_resource_locking: Whether to lock a memory that offers only the four calls. None:
            when a machine needs it. A leased memory always leases.
        domains: Where requests, completions and system errors go that name no domain.
        engine: What runs the machines.
        policy: How stored state is treated.

    Raises:
        InvalidHandlerError: There is no machine.
        ConfigViolation: Machines of several contracts, or two of one version.

    Example:
        >>> class Ask(BaseModel):
        ...     n: int
        >>> class Answer(BaseModel):
        ...     total: int
        >>> V1 = OrchestratorVersion("1.0.0", init=Ask, complete=Answer)
        >>> contract = ArvoOrchestratorContract(uri="#/org/twice", name="twice", versions=[V1])
        >>> machine = ArvoMachine(
        ...     contract=contract.version(V1),
        ...     services=[],
        ...     config={
        ...         "context": lambda call: {"n": call.input["data"]["n"]},
        ...         "initial": "done",
        ...         "states": {"done": {"type": "final"}},
        ...         "output": lambda call: {"total": 2 * call.context["n"]},
        ...     },
        ... )
        >>> twice = ArvoOrchestrator(machines=[machine], memory=SimpleMachineMemory())
        >>> factory = ArvoOrchestratorEventFactory(contract.version(V1))
        >>> [done] = asyncio.run(twice.execute(factory.init(source="com.app.main", data=Ask(n=4))))
        >>> done.type, done.data
        ('arvo.orc.twice.done', {'total': 8})
    """

    def __init__(
        self,
        *,
        machines: Iterable[ArvoMachine],
        memory: IMachineMemory,
        executionunits: float = 0,
        requires_resource_locking: bool | None = None,
        domains: EmissionDomains | None = None,
        engine: MachineExecutionEngine | None = None,
        policy: ExecutionPolicy | None = None,
    ) -> None:
        self.registry: MachineRegistry = MachineRegistry(machines)
        """The machines by version."""
        self.contract: ArvoOrchestratorContract = self.registry.contract
        """What starts the workflow and what it completes with."""
        self.memory: IMachineMemory = memory
        """Where the workflow's state lives."""
        self.executionunits: float = executionunits
        """The cost of an output that names none."""
        self.requires_resource_locking: bool = (
            any(machine.requires_resource_locking for machine in self.registry.machines)
            if requires_resource_locking is None
            else requires_resource_locking
        )
        """Whether a memory that offers only the four calls is locked."""
        self._telemetry = ExecutionTelemetry(
            label="Orchestrator", contract=self.contract, kind=ArvoSpanKind.ORCHESTRATOR
        )
        workflow = OrchestratorWorkflow(
            registry=self.registry,
            engine=engine or MachineExecutionEngine(),
            executionunits=executionunits,
            domains=domains or EmissionDomains(),
        )
        self._execution = WorkflowExecution(
            workflow,
            memory=memory,
            locking=self.requires_resource_locking,
            policy=policy or ExecutionPolicy(),
        )

    @property
    @override
    def source(self) -> str:
        return self.contract.type

    @property
    @override
    def stateful(self) -> bool:
        return True

    @property
    def domain(self) -> str | None:
        """The contract's domain; None for none."""
        return self.contract.domain

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        """Advance the workflow by one event and return the events to publish, in order.

        An event seen before changes nothing and returns what it made the workflow emit, as far as
        nobody has answered it yet; the init event returns all of that, so that starting a
        workflow again resumes it. A finished workflow ignores events.

        Args:
            event: An init event, or a service's answer.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Raises:
            ExecutionViolation: The subject, or a parent's, is not an orchestration subject.
            ContractViolation: The event or an output does not match its contract.
            ConfigViolation: The event's version or type is unknown, or an output is wired wrongly.
            TransactionViolation: The state could not be had or stored; its cause says why.
            ViolationError: An action or a guard raised one.
        """
        return await self._telemetry.watch(event, self._execution.run, parent=parent)

    @override
    def __repr__(self) -> str:
        return f"ArvoOrchestrator({self.contract!r})"
