"""Factories: events made according to a contract."""

from collections.abc import Mapping
from datetime import datetime
from types import EllipsisType
from typing import Any, Generic, TypedDict

from typing_extensions import Unpack

from ._contract import VersionedArvoContract
from ._contract_version import A
from ._errors import InvalidDataError
from ._event import ArvoEvent
from ._event_id import EventId
from ._event_limits import EventLimits
from ._orchestrator_contract import PARENT_SUBJECT, ArvoOrchestratorContract, InitPayload
from ._subject import ArvoOrchestrationSubject
from ._system_error import SystemErrorData
from ._telemetry import current_trace_headers


class EventOptions(TypedDict, total=False):
    """Options of every event, besides what its contract determines."""

    id: str | EventId | None
    """The id itself, or a policy. None gives a random UUID."""
    time: str | datetime | None
    """When it happened. None gives now."""
    to: str | None
    """The recipient. None gives the event's type."""
    accesscontrol: str | None
    """Opaque data for the application's own checks, or None."""
    redirectto: str | None
    """Where the reply goes; None means the source."""
    executionunits: float | None
    """Unitless cost; None means not accounted."""
    traceparent: str | None
    """W3C trace context. None takes the current span's, if there is one."""
    tracestate: str | None
    """W3C trace state. None takes the current span's, if there is one."""
    parentid: str | None
    """The id of the event that caused this one; None at the root."""
    domain: str | None
    """Where outside the system the event goes, taken literally; None means that it stays inside."""
    extensions: Mapping[str, str | bool | int | float | None] | None
    """Custom extensions by name."""
    limits: EventLimits
    """How deep the data may be; 128 levels by default."""


class ArvoEventFactory(Generic[A]):
    """Makes the events of one contract version, with validated and normalised data.

    TypeScript: `ArvoEventFactory`, `createArvoEventFactory`.

    Args:
        contract: From `contract.version(...)`; with the version object, `data` is type-checked.

    Example:
        >>> class Add(BaseModel):
        ...     numbers: list[float]
        >>> class Added(BaseModel):
        ...     result: float
        >>> V1 = SimpleVersion("1.0.0", accepts=Add, emits=Added)
        >>> add = SimpleArvoContract(uri="#/org/math/add", type="math.add", versions=[V1])
        >>> factory = ArvoEventFactory(add.version(V1))
        >>> factory.accepts(source="com.app.main", data=Add(numbers=[1, 2])).data
        {'numbers': [1.0, 2.0]}
    """

    def __init__(self, contract: VersionedArvoContract[A]) -> None:
        self.contract = contract
        """The version of the contract whose events are made."""

    def accepts(
        self,
        *,
        source: str,
        data: A | Mapping[str, object],
        subject: str | None = None,
        **options: Unpack[EventOptions],
    ) -> ArvoEvent:
        """Make the event that the contract accepts.

        Args:
            source: The producer. Must be a reverse-DNS name if `subject` is left out.
            data: The accepted model, or a mapping from which it can be parsed.
            subject: None makes a new one, with the domain and `redirectto` of `options`.
            options: See `EventOptions`.

        Raises:
            InvalidDataError: The data does not match the contract.
            InvalidSubjectError: No subject can be made from `source`.
            InvalidEventError: An attribute breaks a rule.
        """
        return self._make(self.contract.type, source, self._wire(data), subject, options)

    def emits(
        self,
        *,
        type: str,
        source: str,
        data: object,
        subject: str | None = None,
        **options: Unpack[EventOptions],
    ) -> ArvoEvent:
        """Make an event that the contract emits.

        Args:
            type: One of the types that the version emits; for system errors use `system_error`.
            source: The producer. Must be a reverse-DNS name if `subject` is left out.
            data: The emitted model, or a mapping from which it can be parsed.
            subject: None makes a new one.
            options: See `EventOptions`.

        Raises:
            InvalidDataError: The version does not emit this type, or the data does not match.
            InvalidSubjectError: No subject can be made from `source`.
            InvalidEventError: An attribute breaks a rule.
        """
        payload = self.contract.emits.get(type)
        if payload is None:
            known = ", ".join(self.contract.emits) or "nothing"
            raise InvalidDataError(
                f"{self.contract.dataschema} does not emit {type!r}; it emits {known}"
            )
        try:
            wire = payload.to_event_data(data)
        except InvalidDataError as error:
            raise self._located(error, type) from None
        return self._make(type, source, wire, subject, options)

    def system_error(
        self,
        *,
        error: BaseException | SystemErrorData,
        source: str,
        subject: str | None = None,
        **options: Unpack[EventOptions],
    ) -> ArvoEvent:
        """Make the event that reports a failure of the service.

        Args:
            error: An exception, whose class name, message and traceback become the data; or the
                data itself.
            source: The service. Must be a reverse-DNS name if `subject` is left out.
            subject: None makes a new one.
            options: See `EventOptions`.

        Raises:
            InvalidSubjectError: No subject can be made from `source`.
            InvalidEventError: An attribute breaks a rule.
        """
        described = (
            error if isinstance(error, SystemErrorData) else SystemErrorData.from_exception(error)
        )
        data = self.contract.system_error.dump(described)
        return self._make(
            self.contract.system_error_type,
            source,
            data,
            subject,
            options,
            dataschema=self.contract.system_error_dataschema,
        )

    def _wire(self, data: object) -> dict[str, Any]:
        try:
            return self.contract.accepts.to_event_data(data)
        except InvalidDataError as error:
            raise self._located(error, self.contract.type) from None

    def _located(self, error: InvalidDataError, event_type: str) -> InvalidDataError:
        return InvalidDataError(
            f"{event_type} of {self.contract.dataschema}: {error.args[0].splitlines()[0]}",
            problems=error.problems,
            unlisted=error.unlisted,
        )

    def _make(
        self,
        type: str,
        source: str,
        data: dict[str, Any],
        subject: str | None,
        options: EventOptions,
        dataschema: str | None = None,
    ) -> ArvoEvent:
        if options.get("traceparent") is None:
            headers = current_trace_headers()
            if headers.traceparent is not None:
                options = {**options, **headers._asdict()}  # type: ignore[typeddict-item]
        return ArvoEvent.create(
            type=type,
            source=source,
            subject=self._new_subject(type, source, options) if subject is None else subject,
            data=data,
            dataschema=dataschema or self.contract.dataschema,
            **options,
        )

    def _new_subject(self, type: str, source: str, options: EventOptions) -> str:
        return ArvoOrchestrationSubject.new(
            orchestrator=type,
            version=self.contract.version,
            initiator=source,
            domain=options.get("domain"),
            meta=_redirect(options.get("redirectto")),
        )


class ArvoOrchestratorEventFactory(ArvoEventFactory[A]):
    """Makes the events of one version of an orchestrator contract.

    TypeScript: `ArvoOrchestratorEventFactory`, `createArvoOrchestratorEventFactory`.

    Args:
        contract: From `contract.version(...)` of an `ArvoOrchestratorContract`.

    Raises:
        ValueError: The contract is not an `ArvoOrchestratorContract`.

    Example:
        >>> class Order(BaseModel):
        ...     item: str
        >>> class Ordered(BaseModel):
        ...     tracking: str
        >>> V1 = OrchestratorVersion("1.0.0", init=Order, complete=Ordered)
        >>> order = ArvoOrchestratorContract(uri="#/org/order", name="order", versions=[V1])
        >>> factory = ArvoOrchestratorEventFactory(order.version(V1))
        >>> factory.init(source="com.app.main", data=Order(item="tea")).data
        {'parentSubject$$': None, 'item': 'tea'}
    """

    def __init__(self, contract: VersionedArvoContract[A]) -> None:
        owner, payload = contract.contract, contract.accepts
        if not isinstance(owner, ArvoOrchestratorContract) or not isinstance(payload, InitPayload):
            raise ValueError(
                f"{contract.dataschema} is not an orchestrator contract; use ArvoEventFactory"
            )
        super().__init__(contract)
        self._complete_type = owner.complete_type
        self._init_payload: InitPayload[A] = payload

    def init(
        self,
        *,
        source: str,
        data: A | Mapping[str, object],
        parent_subject: str | EllipsisType | None = ...,
        subject: str | None = None,
        **options: Unpack[EventOptions],
    ) -> ArvoEvent:
        """Make the event that starts the workflow.

        Args:
            source: The producer. Must be a reverse-DNS name if `subject` and the parent are left
                out.
            data: The init model, or a mapping such as a `TypedDict`. A mapping must contain
                `parentSubject$$` if `parent_subject` is left out, and takes precedence over it.
            parent_subject: The subject of the parent workflow; None for a root workflow. If left
                out, a model starts a root workflow.
            subject: None makes a new one, as a child of the parent's if there is a parent.
            options: See `EventOptions`.

        Raises:
            InvalidDataError: The data does not match the contract.
            InvalidSubjectError: The parent's subject is not an orchestration subject, or no
                subject can be made from `source`.
            InvalidEventError: An attribute breaks a rule.
        """
        if parent_subject is ...:
            parent_subject = None
        elif isinstance(data, Mapping):
            data = {PARENT_SUBJECT: parent_subject, **data}
        try:
            wire = self._init_payload.to_wire(data, parent_subject=parent_subject)
        except InvalidDataError as error:
            raise self._located(error, self.contract.type) from None
        parent = wire[PARENT_SUBJECT]
        if subject is None and parent is not None:
            subject = self._child_subject(parent, options)
        return self._make(self.contract.type, source, wire, subject, options)

    def complete(
        self,
        *,
        source: str,
        data: object,
        subject: str | None = None,
        **options: Unpack[EventOptions],
    ) -> ArvoEvent:
        """Make the event that reports the workflow's result.

        Args:
            source: The workflow. Must be a reverse-DNS name if `subject` is left out.
            data: The completion model, or a mapping from which it can be parsed.
            subject: None makes a new one.
            options: See `EventOptions`.

        Raises:
            InvalidDataError: The data does not match the contract.
            InvalidSubjectError: No subject can be made from `source`.
            InvalidEventError: An attribute breaks a rule.
        """
        return self.emits(
            type=self._complete_type, source=source, data=data, subject=subject, **options
        )

    def _child_subject(self, parent: str, options: EventOptions) -> str:
        redirectto = options.get("redirectto")
        initiator = ArvoOrchestrationSubject.parse(parent).execution.initiator
        return ArvoOrchestrationSubject.from_parent(
            orchestrator=self.contract.type,
            version=self.contract.version,
            subject=parent,
            domain=options.get("domain"),
            meta=_redirect(redirectto or initiator),
        )


def _redirect(redirectto: str | None) -> dict[str, str]:
    return {} if redirectto is None else {"redirectto": redirectto}
