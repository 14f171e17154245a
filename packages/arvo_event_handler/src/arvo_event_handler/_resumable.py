"""Workflows written as code: a function that is called again with every answer."""

from collections.abc import Iterable, Mapping
from typing import Any

from arvo_core import ArvoOrchestratorContract, ArvoSpanKind, EventLimits, VersionedArvoContract
from arvo_time.settings import given_or

from ._domain import EmissionDomains
from ._execution import ExecutionPolicy
from ._handler_functions import check_functions, check_versions
from ._memory import IMachineMemory
from ._open_requests import Answers
from ._resumable_call import Reply, Start
from ._resumable_workflow import ArvoResumableFunction, ContextType, ResumableWorkflow
from ._services import check_distinct_versions, services_by_type
from ._system_error_policy import SystemErrorPolicy
from ._workflow_handler import WorkflowHandler


class ArvoResumable(WorkflowHandler):
    """A workflow across services, written as an async function and resumed with every answer.

    The function is called with a `Start` and then with a `Reply` for each answer. Its state is the
    context it returns, stored between calls. An exception ends the workflow: whoever started it
    gets a system error event. A `ViolationError` escapes `execute` and changes nothing.
    The workflow's state and completion happen once; a service runs at least once and must be
    idempotent by (source, id).

    TypeScript: `createArvoResumable`.

    Args:
        contract: What starts the workflow and what it completes with.
        services: The contract versions it may ask, each contract once.
        memory: Where its state lives between events.
        handler: One async function per version of the contract; kept in a variable it needs the
            annotation `dict[str, ArvoResumableFunction]`.
        executionunits: The cost of an output that names none, unitless.
        requires_resource_locking: Whether to lock a memory that offers only the four calls. None:
            when there is more than one service. A leased memory always leases.
        domains: Where requests, completions and system errors go that name no domain.
        contexts: The context's type by version, for functions whose annotation cannot be resolved.
        answers: "awaited" takes an answer only if it answers a request that this workflow sent and
            that has no answer yet, is of a type that the asked service emits, and has that
            service as its source (unless the request left for a domain). "any" takes whatever the
            services can emit, as the TypeScript version does.
        system_errors: What whoever started the workflow learns of its failure; None for the
            exception's name and message.
        policy: How stored state is treated.
        limits: How deep the data of its outputs may be; None for the defaults of `EventLimits`.
            Whoever reads them needs limits as large. The size is theirs to measure, too.

    Raises:
        InvalidHandlerError: `contract` is no orchestrator's, a version has no function, a function
            or a context no version, a function is not async or takes more than one argument, or
            its annotation does not fit or cannot be resolved, or a context's type cannot be stored
            as it is; see `arvo_core.Payload`.
        ConfigViolation: A service is not a contract in one of its versions, two share a URI or a
            type or a version object, the workflow is its own service, or `memory` is not a machine
            memory.
        TypeError: A setting is of another type than its parameter.
        ValueError: `answers` is neither "any" nor "awaited", or `executionunits` not finite.

    Example:
        >>> class Ask(BaseModel):
        ...     n: int
        >>> class Answer(BaseModel):
        ...     total: int
        >>> V1 = OrchestratorVersion("1.0.0", init=Ask, complete=Answer)
        >>> contract = ArvoOrchestratorContract(uri="#/org/twice", name="twice", versions=[V1])
        >>> async def twice_v1(call: Start[Ask] | Reply[dict[str, Any]]) -> Step[dict[str, Any]]:
        ...     assert isinstance(call, Start)
        ...     return Step(output=Complete(Answer(total=2 * call.data.n)))
        >>> twice = ArvoResumable(
        ...     contract=contract,
        ...     services=[],
        ...     memory=SimpleMachineMemory(),
        ...     handler={"1.0.0": twice_v1},
        ... )
        >>> factory = ArvoOrchestratorEventFactory(contract.version(V1))
        >>> [done] = asyncio.run(twice.execute(factory.init(source="com.app.main", data=Ask(n=4))))
        >>> done.type, done.data
        ('arvo.orc.twice.done', {'total': 8})
    """

    def __init__(
        self,
        *,
        contract: ArvoOrchestratorContract,
        services: Iterable[VersionedArvoContract[Any]],
        memory: IMachineMemory,
        handler: Mapping[str, ArvoResumableFunction],
        executionunits: float = 0,
        requires_resource_locking: bool | None = None,
        domains: EmissionDomains | None = None,
        contexts: Mapping[str, ContextType] | None = None,
        answers: Answers = "any",
        system_errors: SystemErrorPolicy | None = None,
        policy: ExecutionPolicy | None = None,
        limits: EventLimits | None = None,
    ) -> None:
        check_functions(contract, handler, kind=ArvoOrchestratorContract, inputs=(Start, Reply))
        check_versions(contract, contexts or {})
        self.services: Mapping[str, VersionedArvoContract[Any]] = services_by_type(
            contract, services
        )
        """The services it may ask, by the event type they accept."""
        check_distinct_versions(contract, self.services.values())
        workflow = ResumableWorkflow(
            contract=contract,
            services=self.services,
            functions=handler,
            executionunits=executionunits,
            domains=given_or(domains, default=EmissionDomains(), name=f"{contract.type}: domains"),
            contexts=contexts or {},
        )
        if requires_resource_locking is None:
            requires_resource_locking = len(self.services) > 1
        super().__init__(
            workflow,
            label="Resumable",
            kind=ArvoSpanKind.RESUMABLE,
            memory=memory,
            requires_resource_locking=requires_resource_locking,
            answers=answers,
            system_errors=system_errors,
            policy=policy,
            limits=limits,
        )
