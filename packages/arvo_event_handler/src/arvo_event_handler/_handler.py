"""Stateless handlers: one event in, any number out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoSpanKind,
    DataSchema,
    UnknownVersionError,
    VersionedArvoContract,
    is_wildcard_version,
)

from ._call import HandlerInput
from ._domain import EmissionDomains
from ._emission import Emission, as_emits
from ._emit import Outputs
from ._errors import ConfigViolation, ContractViolation, raise_violation
from ._event_data import parse_data, version_named
from ._handler_functions import check_functions
from ._handler_protocol import IArvoEventHandler
from ._system_error_policy import SystemErrorPolicy
from ._telemetry import ExecutionTelemetry, ExecutionTrace

ArvoEventHandlerFunction: TypeAlias = Callable[[HandlerInput[Any]], Awaitable[Outputs]]
"""An async function of one `HandlerInput` that returns what to emit."""


class ArvoEventHandler(IArvoEventHandler):
    """A stateless service bound to a contract.

    An exception of the function becomes a system error event addressed to the asker. A
    `ViolationError` escapes `execute` instead, and nothing is emitted.

    TypeScript: `createArvoEventHandler`.

    Args:
        contract: What the service accepts and emits.
        handler: One async function per version of the contract; kept in a variable it needs the
            annotation `dict[str, ArvoEventHandlerFunction]`.
        executionunits: The cost of an output that names none, unitless.
        domains: Where outputs and system errors go that name no domain.
        system_errors: What the asker learns of an exception; None for its name and message.

    Raises:
        InvalidHandlerError: `contract` is none, a version has no function, a function no version,
            it is not async or takes more than one argument, or its annotation is not what the
            version accepts.

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
    ) -> None:
        check_functions(contract, handler, kind=ArvoContract, inputs=(HandlerInput,))
        self.contract: ArvoContract = contract
        """What the service accepts and emits."""
        self.executionunits: float = executionunits
        """The cost of an output that names none."""
        self._functions = dict(handler)
        self._domains = domains or EmissionDomains()
        self._system_errors = system_errors or SystemErrorPolicy()
        self._telemetry = ExecutionTelemetry(
            label="Handler", contract=contract, kind=ArvoSpanKind.EVENT_HANDLER
        )

    @property
    @override
    def source(self) -> str:
        return self.contract.type

    @property
    @override
    def stateful(self) -> bool:
        return False

    @property
    def domain(self) -> str | None:
        """The contract's domain; None for none."""
        return self.contract.domain

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
            trace.failed(error, event=event, source=self.source)
            return emission.system_error(
                self._system_errors.describe(error),
                to=event.source,
                parentid=event.id,
                domains=self._domains.system_error,
            )
        return [
            made
            for item in as_emits(returned, where=f"{self.source} {contract.version}")
            for made in emission.answer(item, domains=self._domains.outputs)
        ]

    def _contract_of(self, event: ArvoEvent, trace: ExecutionTrace) -> VersionedArvoContract[Any]:
        """Choose the contract version that the event is written in."""
        contract = self.contract
        if event.type != contract.type:
            raise ConfigViolation(
                f"{contract.type} cannot handle event {event.id!r} of type {event.type!r}; "
                "route events by `to`"
            )
        schema = None if event.dataschema is None else DataSchema.parse(event.dataschema)
        if schema is None:
            trace.warn(
                f"event {event.id!r} has no readable dataschema; taken as the latest version"
            )
            return contract.version("latest")
        if schema.uri != contract.uri:
            raise ContractViolation(
                f"event {event.id!r} of type {event.type!r} is described by "
                f"{event.dataschema!r}, which is not contract {contract.uri!r}"
            )
        if is_wildcard_version(schema.version):
            return contract.version("latest")
        try:
            return version_named(contract, schema.version)
        except UnknownVersionError as error:
            raise ConfigViolation(f"event {event.id!r} of type {event.type!r}: {error}") from error

    @override
    def __repr__(self) -> str:
        return f"ArvoEventHandler({self.contract!r})"
