"""Turns what user code returned into events: the one place where outgoing events are made."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from arvo_core import (
    PARENT_SUBJECT,
    ArvoEvent,
    ArvoOrchestrationSubject,
    EventId,
    InitPayload,
    InvalidSubjectError,
    Payload,
    SubjectContent,
    SystemErrorData,
    TraceHeaders,
    VersionedArvoContract,
    ViolationError,
    derive_id,
)

from ._domain import DomainContext, resolve_event_domain
from ._emit import Complete, Emit
from ._errors import ConfigViolation, ContractViolation, ExecutionViolation

_T = TypeVar("_T")
_SubjectFor = Callable[[str, str | None], str]


def as_emits(returned: object, *, where: str) -> list[Emit]:
    """Normalise what a handler function returned.

    Raises:
        ContractViolation: It is neither an `Emit`, a list of them, nor None.
    """
    if returned is None:
        return []
    emits: list[Emit] = []
    for item in returned if isinstance(returned, list | tuple) else [returned]:
        if not isinstance(item, Emit):
            raise ContractViolation(
                f"{where} returned {type(item).__name__}; return Emit(...), a list of them, or None"
            )
        emits.append(item)
    return emits


class Emission:
    """The outputs of one step, on their way to becoming events.

    Ids are derived from the event being handled and the position of the output, so that running
    the same event again yields the same ids.

    Args:
        source: Who emits.
        contract: The emitter's own contract version.
        executionunits: For outputs that name none.
        event: The event being handled.
        headers: The trace context that outgoing events carry.
        parent_subject: The parent workflow's subject; None for none, and for services.
        awaited: Ids of earlier outputs that replies are still expected to.
    """

    __slots__ = (
        "_contract",
        "_event",
        "_executionunits",
        "_headers",
        "_ids",
        "_index",
        "_parent_subject",
        "_source",
    )

    def __init__(
        self,
        *,
        source: str,
        contract: VersionedArvoContract[Any],
        executionunits: float,
        event: ArvoEvent,
        headers: TraceHeaders,
        parent_subject: str | None = None,
        awaited: Sequence[str] = (),
    ) -> None:
        self._source = source
        self._contract = contract
        self._executionunits = executionunits
        self._event = event
        self._headers = headers
        self._parent_subject = parent_subject
        self._ids = set(awaited)
        self._index = 0

    def answer(self, item: Emit, *, domains: Sequence[str | None]) -> list[ArvoEvent]:
        """Make a stateless handler's output: an answer to the event being handled.

        Raises:
            ContractViolation: The contract emits no such type, or the event cannot be built.
            ConfigViolation: No domain is left, or two outputs have one id.
        """
        event = self._event
        payload = self._contract.emits.get(item.type)
        return self._build(
            item,
            payload=payload,
            contract=None if payload is None else self._contract,
            known=[self._contract],
            domains=domains,
            to=item.to or event.redirectto or event.source,
            redirectto=item.redirectto,
            parentid=event.id,
            subject=event.subject,
        )

    def request(
        self,
        item: Emit,
        *,
        services: Mapping[str, VersionedArvoContract[Any]],
        domains: Sequence[str | None],
    ) -> list[ArvoEvent]:
        """Make a workflow's request to one of its services or child workflows.

        Raises:
            ContractViolation: No service accepts such a type, or the event cannot be built.
            ConfigViolation: No domain is left, two outputs have one id, or it is awaited already.
            ExecutionViolation: `parentSubject$$` is not a subject.
        """
        if item.type in self._contract.emits:
            raise ContractViolation(
                f"{item.type} completes {self._source}; return it as output=Complete(...)"
            )
        contract = services.get(item.type)
        if contract is not None and isinstance(contract.accepts, InitPayload):
            return self._request_child(item, contract, contract.accepts, domains)
        return self._build(
            item,
            payload=None if contract is None else contract.accepts,
            contract=contract,
            known=list(services.values()),
            domains=domains,
            to=item.to or item.type,
            redirectto=_else(item.redirectto, self._source),
            parentid=self._event.id,
            subject=self._event.subject,
        )

    def completion(
        self,
        result: Complete,
        *,
        content: SubjectContent,
        init_event_id: str,
        domains: Sequence[str | None],
    ) -> list[ArvoEvent]:
        """Make the event that reports a workflow's result to whoever asked for it.

        Raises:
            ContractViolation: The data does not match, or the event cannot be built.
            ConfigViolation: No domain is left, two outputs have one id, or it is awaited already.
        """
        ((event_type, payload),) = self._contract.emits.items()
        return self._build(
            Emit(
                event_type,
                result.data,
                id=result.id,
                domain=result.domain,
                executionunits=result.executionunits,
            ),
            payload=payload,
            contract=self._contract,
            known=[self._contract],
            domains=domains,
            to=content.meta.get("redirectto") or content.execution.initiator,
            redirectto=self._source,
            parentid=init_event_id,
            subject=self._parent_subject or self._event.subject,
        )

    def system_error(
        self,
        error: Exception,
        *,
        to: str,
        parentid: str,
        domains: Sequence[str | None],
    ) -> list[ArvoEvent]:
        """Make the event that reports a failure, in place of all other outputs.

        Raises:
            ConfigViolation: No domain is left.
        """
        contract = self._contract
        self._index = 0
        self._ids.clear()
        return self._copies(
            Emit(contract.system_error_type, {}),
            data=contract.system_error.dump(SystemErrorData.from_exception(error)),
            dataschema=contract.system_error_dataschema,
            contract=contract,
            domains=domains,
            to=to,
            redirectto=None,
            parentid=parentid,
            subject=self._parent_subject or self._event.subject,
        )

    def _request_child(
        self,
        item: Emit,
        contract: VersionedArvoContract[Any],
        payload: InitPayload[Any],
        domains: Sequence[str | None],
    ) -> list[ArvoEvent]:
        """Make the event that starts a child workflow; it gets a subject of its own."""
        redirectto = _else(item.redirectto, self._source)
        try:
            # A mapping says itself whose child it starts; a model cannot.
            own = None if isinstance(item.data, Mapping) else self._event.subject
            data = payload.to_wire(item.data, parent_subject=own)
        except Exception as error:
            raise self._refusal(item, contract, error) from error
        parent = data[PARENT_SUBJECT]

        def child_subject(event_id: str, domain: str | None) -> str:
            # Derived, so that a repeated run starts the same child.
            execution_id = derive_id(event_id, "execution")
            meta = {"redirectto": redirectto}
            try:
                if parent is None:
                    return ArvoOrchestrationSubject.new(
                        orchestrator=contract.type,
                        version=contract.version,
                        initiator=self._source,
                        domain=domain,
                        meta=meta,
                        execution_id=execution_id,
                    )
                return ArvoOrchestrationSubject.from_parent(
                    orchestrator=contract.type,
                    version=contract.version,
                    subject=parent,
                    domain=domain,
                    meta=meta,
                    execution_id=execution_id,
                )
            except InvalidSubjectError as error:
                raise ExecutionViolation(
                    f"{item.type}: cannot make the child's subject from {PARENT_SUBJECT}; "
                    f"pass this workflow's own subject or None. {error}"
                ) from error

        return self._copies(
            item,
            data=data,
            dataschema=contract.dataschema,
            contract=contract,
            domains=domains,
            to=item.to or item.type,
            redirectto=redirectto,
            parentid=self._event.id,
            subject=child_subject,
        )

    def _build(
        self,
        item: Emit,
        *,
        payload: Payload[Any] | None,
        contract: VersionedArvoContract[Any] | None,
        known: Sequence[VersionedArvoContract[Any]],
        domains: Sequence[str | None],
        to: str,
        redirectto: str | None,
        parentid: str,
        subject: str,
    ) -> list[ArvoEvent]:
        if payload is None or contract is None:
            data, dataschema = _unvalidated(item, known)
        else:
            try:
                data = payload.to_wire(item.data)
            except Exception as error:
                # A validator of the user's may raise anything.
                raise self._refusal(item, contract, error) from error
            dataschema = contract.dataschema
        return self._copies(
            item,
            data=data,
            dataschema=dataschema,
            contract=contract,
            domains=domains,
            to=to,
            redirectto=redirectto,
            parentid=parentid,
            subject=subject,
        )

    def _copies(
        self,
        item: Emit,
        *,
        data: dict[str, Any],
        dataschema: str,
        contract: VersionedArvoContract[Any] | None,
        domains: Sequence[str | None],
        to: str,
        redirectto: str | None,
        parentid: str,
        subject: str | _SubjectFor,
    ) -> list[ArvoEvent]:
        """Make one event per resolved domain."""
        index, self._index = self._index, self._index + 1
        events: list[ArvoEvent] = []
        try:
            own_id = _own_id(item)
            for domain in self._resolved(item, contract, domains):
                if own_id is None:
                    event_id = self._derived_id(index, domain)
                else:
                    event_id = derive_id(own_id, domain) if events else own_id
                self._claim(event_id, item)
                events.append(
                    ArvoEvent.create(
                        id=event_id,
                        source=self._source,
                        type=item.type,
                        subject=subject if isinstance(subject, str) else subject(event_id, domain),
                        data=data,
                        dataschema=dataschema,
                        time=item.time,
                        to=to,
                        accesscontrol=_else(item.accesscontrol, self._event.accesscontrol),
                        redirectto=redirectto,
                        executionunits=_else(item.executionunits, self._executionunits),
                        traceparent=self._headers.traceparent,
                        tracestate=self._headers.tracestate,
                        parentid=parentid,
                        domain=domain,
                        extensions=item.extensions,
                    )
                )
        except ViolationError:
            raise
        except Exception as error:
            # Whatever an attribute was given that is not of its type ends here as well.
            raise self._refusal(item, contract, error) from error
        return events

    def _resolved(
        self,
        item: Emit,
        contract: VersionedArvoContract[Any] | None,
        defaults: Sequence[str | None],
    ) -> Sequence[str | None]:
        chosen = defaults if item.domain is None else item.domain
        if isinstance(chosen, str):
            chosen = (chosen,)
        if not chosen:
            raise ConfigViolation(
                f"{item.type} of {self._source}: an empty list of domains would drop the event; "
                "use [None] to keep it inside"
            )
        if len(chosen) == 1 and chosen[0] is None:
            return chosen
        context = DomainContext(
            subject=self._event.subject,
            parent_subject=self._parent_subject,
            triggering_domain=self._event.domain,
            self_domain=self._contract.domain,
            event_domain=None if contract is None else contract.domain,
        )
        return list(
            dict.fromkeys(resolve_event_domain(domain, context=context) for domain in chosen)
        )

    def _derived_id(self, index: int, domain: str | None) -> str:
        event = self._event
        return derive_id(event.source, event.id, event.subject, self._source, index, domain)

    def _claim(self, event_id: str, item: Emit) -> None:
        if event_id in self._ids:
            raise ConfigViolation(
                f"{item.type} of {self._source}: id {event_id!r} is taken by another output of "
                "this step or by a request still awaited; leave the id out or choose another"
            )
        self._ids.add(event_id)

    def _refusal(
        self,
        item: Emit,
        contract: VersionedArvoContract[Any] | None,
        error: Exception,
    ) -> ContractViolation:
        schema = "no contract" if contract is None else contract.dataschema
        return ContractViolation(
            f"{self._source} cannot emit {item.type} ({schema}) "
            f"while handling event {self._event.id!r} of type {self._event.type!r}: {error}"
        )


def _else(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _own_id(item: Emit) -> str | None:
    """Return the id the user wants, or None when it is left to us."""
    wish = EventId.developer_managed(item.id) if isinstance(item.id, str) else item.id
    return wish.text() if wish is not None and wish.value.strip() else None


def _unvalidated(
    item: Emit, known: Sequence[VersionedArvoContract[Any]]
) -> tuple[dict[str, Any], str]:
    """Accept a type no contract knows, if the user says what describes it."""
    if item.dataschema is None or not isinstance(item.data, Mapping):
        searched = ", ".join(contract.dataschema for contract in known) or "none"
        raise ContractViolation(
            f"no contract knows the event type {item.type!r}; searched: {searched}. Correct the "
            "type, or give a mapping as data together with its dataschema"
        )
    return dict(item.data), item.dataschema
