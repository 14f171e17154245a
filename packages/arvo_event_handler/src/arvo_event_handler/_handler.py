"""The interface of all handlers, and stateless handlers: one event in, any number out."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    EventLimits,
    SystemErrorData,
    UnknownVersionError,
    VersionedArvoContract,
    ViolationError,
)
from arvo_core.telemetry import ArvoSpanKind
from arvo_time import SYSTEM_CLOCK, Clock, RetryPolicy
from arvo_time.settings import check_clock, check_instance, check_number, given_or

from ._call import HandlerInput
from ._construction_checks import check_functions
from ._emission._domain import EmissionDomains
from ._emission._emission import Emission, as_emits
from ._emission._emit import Outputs
from ._errors import (
    ConfigViolation,
    RetryableFailure,
    RetryLater,
    raise_violation,
)
from ._incoming import event_schema, parse_data, version_describing
from ._system_error_policy import SystemErrorPolicy
from ._telemetry import ExecutionTelemetry, ExecutionTrace, log_failure
from .memory._memory import IMachineMemory

ArvoEventHandlerFunction: TypeAlias = Callable[[HandlerInput[Any]], Awaitable[Outputs]]
"""An async function of one `HandlerInput` that returns what to emit."""
RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...]
"""What `except` accepts: an exception class, or a tuple of such classes."""


class IArvoEventHandler(Protocol):
    """Handles the events that a broker carries to it."""

    @property
    def source(self) -> str:
        """The topic it listens to, and the `source` of what it emits."""
        ...

    @property
    def stateful(self) -> bool:
        """Whether events of one subject must be handled one after another."""
        ...

    @property
    def contract(self) -> ArvoContract | None:
        """The contract of its requests and answers; None for a handler without one."""
        return None

    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        """Handle one event and return the events to publish, in order.

        Args:
            event: The event.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Raises:
            ViolationError: The event cannot be handled; nothing may be published.
            RetryableFailure: Handling it failed and is worth another try; when there is none,
                its `replies` may be published.
        """
        ...


@runtime_checkable
class IRetriedEventHandler(IArvoEventHandler, Protocol):
    """A handler with a retry policy of its own for brokers to follow."""

    @property
    def retry(self) -> RetryPolicy | None:
        """How often and when; None leaves it to the broker."""
        ...


@runtime_checkable
class IWorkflowHandler(IArvoEventHandler, Protocol):
    """A stateful handler whose workflows a broker can go on with: an orchestrator or a resumable.

    Brokers tell it whether they deliver an event anew, and ask it for what was interrupted.
    """

    memory: IMachineMemory
    """Where the state of its workflows lives."""

    @property
    def asked_services(self) -> Collection[VersionedArvoContract[Any]]:
        """The services that its workflows may ask, in whatever version of theirs.

        A worker makes room for requests to them, also before the services are deployed.
        """
        return ()

    @override
    async def execute(
        self, event: ArvoEvent, *, redelivered: bool = True, parent: Context | None = None
    ) -> list[ArvoEvent]:
        """Handle one event, as `IArvoEventHandler.execute`.

        Args:
            event: The event.
            redelivered: Whether an earlier delivery of the event may have been lost on its way. An
                init event that was seen resumes its workflow only then; if it is merely published
                again, somebody works on the workflow already, and it leads to nothing.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Raises:
            ViolationError: As `IArvoEventHandler.execute`.
            RetryableFailure: As `IArvoEventHandler.execute`.
        """
        ...

    async def owed(self, subject: str) -> list[ArvoEvent]:
        """Return what a workflow has emitted and may not have arrived, oldest first.

        Args:
            subject: The workflow's subject.

        Raises:
            ViolationError: What is stored cannot be read at this moment.
        """
        ...


class SelfStarting(ABC):
    """A handler that begins by itself, without an event: a schedule.

    Not a protocol, which would take any handler for one that has a method of that name.
    """

    @abstractmethod
    async def begin(self) -> None:
        """Begin; idempotent, also where several workers do so at the same time.

        Brokers await it when they begin to fire timers, and again if it fails.

        Raises:
            Exception: It could not begin at this moment.
        """


def check_handler(value: object, *, name: str = "handler") -> None:
    """Check that an object can handle events.

    Raises:
        TypeError: It lacks a part of `IArvoEventHandler`, or is a class instead of an object.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be a handler, got the class {value.__name__}; "
            f"did you mean {value.__name__}(...)?"
        )
    if not callable(getattr(value, "execute", None)):
        raise TypeError(f"{name} must be a handler, got {value!r}: it lacks execute()")
    if not isinstance(getattr(value, "source", None), str):
        raise TypeError(f"{name} must be a handler, got {value!r}: its source is not a str")
    if not isinstance(getattr(value, "stateful", None), bool):
        raise TypeError(f"{name} must be a handler, got {value!r}: its stateful is not a bool")
    if not hasattr(value, "contract"):
        raise TypeError(
            f"{name} must be a handler, got {value!r}: it lacks contract, which may be None"
        )
    if not isinstance(value.contract, ArvoContract | None):
        raise TypeError(
            f"{name} must be a handler, got {value!r}: its contract is neither an ArvoContract "
            "nor None"
        )


def own_retry_policy(handler: IArvoEventHandler) -> RetryPolicy | None:
    """Return a handler's own retry policy; None when it leaves retries to the broker.

    Raises:
        TypeError: Its `retry` is neither a `RetryPolicy` nor None.
    """
    if not isinstance(handler, IRetriedEventHandler) or handler.retry is None:
        return None
    return check_instance(handler.retry, kind=RetryPolicy, name=f"{handler.source}: retry")


class ArvoEventHandler(IRetriedEventHandler):
    """A stateless service bound to a contract.

    An exception of the function becomes a system error event addressed to the asker; one of
    `retry_on` does so only when the tries of the broker are used up. A `ViolationError` escapes
    `execute` instead, and nothing is emitted.

    TypeScript: `createArvoEventHandler`.

    Args:
        contract: What the service accepts and emits.
        handler: One async function per version of the contract. A mapping kept in a variable needs
            the annotation `dict[str, ArvoEventHandlerFunction]`.
        executionunits: The default cost of an output, unitless.
        domains: Where outputs and system errors go by default.
        system_errors: What the asker learns of an exception; None for its name and message.
        retry_on: Exceptions of the function after which the event is worth another try. They are
            matched as by `except`, so an `ExceptionGroup` has to be named itself. Violations have
            their own `retryable` for this.
        retry: How often and when a broker tries a failed event again, whatever the reason, unless
            its `HandlerConfig` sets a policy. None: as the broker's defaults say.
        limits: How deep the data of its outputs may be; None for the defaults of `EventLimits`.
            Their readers need limits as large, and are the ones who check the size.
        clock: From when the `after` of an `Emit` counts.

    Raises:
        TypeError: `retry_on` is not what `except` accepts, `retry` not a `RetryPolicy`, `domains`
            not an `EmissionDomains`, `limits` not `EventLimits`, `executionunits` not a number, or
            `clock` not a `Clock`.
        ValueError: `retry_on` names a violation, or `executionunits` is not finite.
        InvalidHandlerError: `contract` is not an `ArvoContract`; a version lacks a function, or a
            function is for an unknown version; or a function is not async, takes more than one
            argument, or is annotated with another type than the version accepts.

    Example:
        >>> class Add(BaseModel):
        ...     numbers: list[float]
        >>> class Added(BaseModel):
        ...     result: float
        >>> V1 = SimpleVersion("1.0.0", accepts=Add, emits=Added)
        >>> contract = SimpleArvoContract(uri="#/org/math/add", type="math.add", versions=[V1])
        >>> async def add_v1(call: HandlerInput[Add]) -> Emit:
        ...     return Emit("evt.math.add.success", Added(result=sum(call.data.numbers)))
        >>> add = ArvoEventHandler(contract=contract, handler={"1.0.0": add_v1})
        >>> factory = ArvoEventFactory(contract.version(V1))
        >>> event = factory.accepts(source="com.app.main", data=Add(numbers=[1, 2]))
        >>> [answer] = asyncio.run(add.execute(event))
        >>> answer.type, answer.data
        ('evt.math.add.success', {'result': 3.0})
    """

    def __init__(
        self,
        *,
        contract: ArvoContract,
        handler: Mapping[str, ArvoEventHandlerFunction],
        executionunits: float = 0,
        domains: EmissionDomains | None = None,
        system_errors: SystemErrorPolicy | None = None,
        retry_on: RetryOn = (),
        retry: RetryPolicy | None = None,
        limits: EventLimits | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_functions(contract, handler, kind=ArvoContract, inputs=(HandlerInput,))
        where = contract.type
        check_number(executionunits, name=f"{where}: executionunits")
        if retry is not None:
            check_instance(retry, kind=RetryPolicy, name=f"{where}: retry")
        self._contract = contract
        self.executionunits: float = executionunits
        """The default cost of an output."""
        self._functions = dict(handler)
        self._domains = given_or(domains, default=EmissionDomains(), name=f"{where}: domains")
        self._system_errors = given_or(
            system_errors, default=SystemErrorPolicy(), name=f"{where}: system_errors"
        )
        self._retry_on = (RetryLater, RetryableFailure, *_checked_retry_on(retry_on, where))
        self._retry = retry
        self._limits = given_or(limits, default=EventLimits(), name=f"{where}: limits")
        self._clock = check_clock(clock)
        self._telemetry = ExecutionTelemetry(
            label="Handler", contract=contract, kind=ArvoSpanKind.EVENT_HANDLER
        )

    @property
    @override
    def contract(self) -> ArvoContract:
        """What the service accepts and emits."""
        return self._contract

    @property
    @override
    def source(self) -> str:
        return self._contract.type

    @property
    @override
    def stateful(self) -> bool:
        return False

    @property
    @override
    def retry(self) -> RetryPolicy | None:
        return self._retry

    @property
    def domain(self) -> str | None:
        """The contract's domain; None means no domain."""
        return self._contract.domain

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        """Run the function for one event and return the events to publish, in order.

        Args:
            event: Its `type` must be the contract's.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Returns:
            Events that carry `event.id` as `parentid` and `event.subject` as `subject`.

        Raises:
            ConfigViolation: The event is of another type, its version is not in the contract, or
                an output is wired up wrongly.
            ContractViolation: The data, the data schema or an output does not match the contract.
            RetryableFailure: The function raised an exception of `retry_on`, or `RetryLater`; its
                `replies` are the system errors to publish when there is no further try.
            ViolationError: The function raised one.
        """
        return await self._telemetry.watch(event, self._execute, parent=parent)

    async def _execute(self, event: ArvoEvent, trace: ExecutionTrace) -> list[ArvoEvent]:
        contract = self._contract_of(event, trace)
        trace.applies(contract)
        data = parse_data(event, contract, contract.accepts)
        emission = Emission(
            source=self.source,
            contract=contract,
            executionunits=self.executionunits,
            event=event,
            headers=trace.headers,
            limits=self._limits,
        )
        call = HandlerInput(
            event=event,
            data=data,
            contract=contract,
            span=trace.span,
        )
        try:
            returned = await self._functions[contract.version](call)
        except Exception as error:
            raise_violation(error)
            replies = emission.system_error(
                self._system_errors.describe(error),
                to=event.source,
                parentid=event.id,
                domains=self._domains.system_error,
            )
            if isinstance(error, self._retry_on):
                log_failure(error, event=event, source=self.source)
                raise _retryable(error, event, replies) from error
            trace.failed(error, event=event, source=self.source)
            return replies
        return [
            made
            for item in as_emits(returned, where=f"{self.source} {contract.version}")
            for made in emission.answer(item, domains=self._domains.outputs, clock=self._clock)
        ]

    def _contract_of(self, event: ArvoEvent, trace: ExecutionTrace) -> VersionedArvoContract[Any]:
        """Choose the contract version that the event is written in."""
        contract = self._contract
        if event.type != contract.type:
            raise ConfigViolation(
                f"{contract.type} cannot handle event {event.id!r} of type {event.type!r}; "
                "route events by `to`"
            )
        try:
            version = version_describing(event, contract=contract)
        except UnknownVersionError as error:
            raise ConfigViolation(f"event {event.id!r} of type {event.type!r}: {error}") from error
        if event.dataschema != version.dataschema and event_schema(event) is None:
            trace.warn(
                f"event {event.id!r} has no readable dataschema; taken as the latest version"
            )
        return version

    @override
    def __repr__(self) -> str:
        return f"ArvoEventHandler({self._contract!r})"


def _checked_retry_on(retry_on: object, where: str) -> tuple[type[Exception], ...]:
    kinds = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            raise TypeError(
                f"{where}: retry_on must be an exception class or a tuple of them, derived from "
                f"Exception, got {kind!r}"
            )
        if issubclass(kind, ViolationError):
            raise ValueError(
                f"{where}: retry_on must not name {kind.__name__}: violations are never data; "
                "raise it with retryable=True"
            )
    return kinds


def _retryable(error: Exception, event: ArvoEvent, replies: list[ArvoEvent]) -> RetryableFailure:
    after = error.after if isinstance(error, RetryLater | RetryableFailure) else None
    # Bounded in length, and safe for an exception whose own `__str__` fails.
    described = SystemErrorData.from_exception(error)
    return RetryableFailure(
        f"event {event.id!r} of type {event.type!r} may be tried again: "
        f"{described.error_name}: {described.error_message}",
        replies=replies,
        after=after,
    )
