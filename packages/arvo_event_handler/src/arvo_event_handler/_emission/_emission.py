"""Turns what user code returned into events: the one place where outgoing events are made."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from arvo_core import (
    PARENT_SUBJECT,
    ArvoEvent,
    EventLimits,
    InitPayload,
    Payload,
    SubjectContent,
    SystemErrorData,
    VersionedArvoContract,
    ViolationError,
)
from arvo_core.event_id import EventId, derive_id
from arvo_core.telemetry import TraceHeaders
from arvo_event_handler._errors import ConfigViolation, ContractViolation
from arvo_event_handler._stored_event import fit_string
from arvo_time import Clock

from ._child_subject import child_subject
from ._delayed_output import NOT_BEFORE
from ._domain import ArvoDomain, DomainContext, resolve_event_domain
from ._emit import PARTITION_KEY, Complete, Emit
from ._moment import moment

_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class _Envelope:
    """How the events of one output are addressed."""

    contract: VersionedArvoContract[Any] | None  # describes the data; None: no contract does
    domains: Sequence[str | None]  # unless the output names its own
    to: str
    redirectto: str | None
    parentid: str
    subject: str | Callable[[str, str | None], str]  # or made from an event's id and domain


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
        source: The `source` of the events.
        contract: The emitter's own contract version.
        executionunits: The default cost of an output.
        event: The event being handled.
        headers: The trace context that outgoing events carry.
        limits: How deep the data of outgoing events may be.
        parent_subject: The parent workflow's subject; None for a root workflow or a service.
        awaited: Ids of earlier outputs that replies are still expected to. That of the one which
            the event answers may be among them.
        attempt: How often the workflow had failed when it was last retried, which enters the ids;
            None before the first retry.
    """

    __slots__ = (
        "_attempt",
        "_awaited",
        "_contract",
        "_event",
        "_executionunits",
        "_headers",
        "_ids",
        "_index",
        "_limits",
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
        limits: EventLimits,
        parent_subject: str | None = None,
        awaited: Collection[str] = (),
        attempt: int | None = None,
    ) -> None:
        self._source = source
        self._contract = contract
        self._executionunits = executionunits
        self._event = event
        self._headers = headers
        self._limits = limits
        self._parent_subject = parent_subject
        self._awaited = awaited
        self._attempt = attempt
        self._ids: set[str] = set()
        self._index = 0

    def answer(self, item: Emit, *, domains: Sequence[str | None], clock: Clock) -> list[ArvoEvent]:
        """Make a stateless handler's output: an answer to the event being handled.

        One that leaves later says so in an extension, as there is no record to keep it in.

        Raises:
            ContractViolation: The contract emits no such type, the event cannot be built, or it is
                to leave in more than 10 years.
            ConfigViolation: No domain is left, or two outputs have one id.
        """
        event = self._event
        if item.is_delayed:
            what = f"{self._source}: Emit of {item.type}"
            at = moment(what, at=item.at, after=item.after, now=clock.now())
            extensions = {
                **(item.extensions or {}),
                NOT_BEFORE: at.isoformat(timespec="milliseconds"),
            }
            item = replace(item, extensions=extensions, at=None, after=None)
        payload = self._contract.emits.get(item.type)
        envelope = _Envelope(
            contract=None if payload is None else self._contract,
            domains=domains,
            to=item.to or event.redirectto or event.source,
            redirectto=item.redirectto,
            parentid=event.id,
            subject=event.subject,
        )
        return self._build(item, payload, envelope, known=(self._contract,))

    def request(
        self,
        item: Emit,
        *,
        services: Mapping[str, VersionedArvoContract[Any]],
        domains: Sequence[str | None],
        roots: bool = False,
    ) -> list[ArvoEvent]:
        """Make a workflow's request to one of its services or child workflows.

        Args:
            item: The request.
            services: What the workflow may ask, by the event type they accept.
            domains: Where it goes unless it says so itself.
            roots: Whether a workflow that it starts belongs to no other, instead of to this one.

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
        envelope = _Envelope(
            contract=contract,
            domains=domains,
            to=item.to or item.type,
            redirectto=_else(item.redirectto, self._source),
            parentid=self._event.id,
            subject=self._event.subject,
        )
        if contract is not None and isinstance(contract.accepts, InitPayload):
            return self._request_child(item, contract, contract.accepts, envelope, roots=roots)
        payload = None if contract is None else contract.accepts
        return self._build(item, payload, envelope, known=tuple(services.values()))

    def release(self, awaited: Collection[str]) -> None:
        """Let ids be used again, as nothing answers those requests any more."""
        self._awaited = [each for each in self._awaited if each not in awaited]

    def completion(
        self,
        result: Complete,
        *,
        content: SubjectContent,
        init_event_id: str,
        domains: Sequence[str | None],
    ) -> list[ArvoEvent]:
        """Make the event that reports a workflow's result to its asker.

        Raises:
            ContractViolation: The data does not match, or the event cannot be built.
            ConfigViolation: No domain is left, two outputs have one id, or it is awaited already.
        """
        ((event_type, payload),) = self._contract.emits.items()
        item = Emit(
            event_type,
            result.data,
            id=result.id,
            domain=result.domain,
            executionunits=result.executionunits,
        )
        envelope = _Envelope(
            contract=self._contract,
            domains=domains,
            to=content.meta.get("redirectto") or content.execution.initiator,
            redirectto=self._source,
            parentid=fit_string(init_event_id),
            subject=self._parent_subject or self._event.subject,
        )
        events = self._build(item, payload, envelope, known=(self._contract,))
        return _answering(events, init_event_id)

    def system_error(
        self,
        error: SystemErrorData,
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
        self._awaited = ()
        self._ids.clear()
        envelope = _Envelope(
            contract=contract,
            domains=domains,
            to=to,
            redirectto=None,
            parentid=fit_string(parentid),
            subject=self._parent_subject or self._event.subject,
        )
        data = contract.system_error.dump(error)
        item = Emit(contract.system_error_type, data)
        events = self._copies(item, data, contract.system_error_dataschema, envelope)
        return _answering(events, parentid)

    def _request_child(
        self,
        item: Emit,
        contract: VersionedArvoContract[Any],
        payload: InitPayload[Any],
        envelope: _Envelope,
        *,
        roots: bool,
    ) -> list[ArvoEvent]:
        """Make the event that starts a child workflow; it gets a subject of its own."""
        given = item.data
        if roots and isinstance(given, Mapping):
            given = {PARENT_SUBJECT: None, **given}
        parent = None if roots else self._event.subject
        try:
            # A mapping may name another parent, or None for a workflow of its own.
            data = payload.to_wire(given, parent_subject=parent)
        except Exception as error:
            raise self._refusal(item, contract, error) from error
        envelope.subject = partial(
            child_subject,
            contract,
            parent=data[PARENT_SUBJECT],
            initiator=self._source,
            redirectto=envelope.redirectto,
        )
        return self._copies(item, data, contract.dataschema, envelope)

    def _build(
        self,
        item: Emit,
        payload: Payload[Any] | None,
        envelope: _Envelope,
        *,
        known: Sequence[VersionedArvoContract[Any]],
    ) -> list[ArvoEvent]:
        """Make events of data that `payload` describes, or whose schema the user names."""
        contract = envelope.contract
        if payload is None or contract is None:
            return self._copies(item, *self._unvalidated(item, known), envelope)
        try:
            data = payload.to_event_data(item.data)
        except Exception as error:
            # A validator of the user's may raise anything.
            raise self._refusal(item, contract, error) from error
        return self._copies(item, data, contract.dataschema, envelope)

    def _unvalidated(
        self, item: Emit, known: Sequence[VersionedArvoContract[Any]]
    ) -> tuple[dict[str, Any], str]:
        """Accept a type that no contract knows, if the user names its data schema."""
        if item.dataschema is None or not isinstance(item.data, Mapping):
            searched = ", ".join(contract.dataschema for contract in known) or "none"
            raise self._refusal(
                item,
                None,
                f"no contract knows the event type {item.type!r}; searched: {searched}. Correct "
                "the type, or pass a mapping as data together with its dataschema",
            )
        return dict(item.data), item.dataschema

    def _copies(
        self, item: Emit, data: dict[str, Any], dataschema: str, envelope: _Envelope
    ) -> list[ArvoEvent]:
        """Make one event per resolved domain."""
        index, self._index = self._index, self._index + 1
        subject = envelope.subject
        events: list[ArvoEvent] = []
        try:
            own_id = _own_id(item)
            for domain in self._resolved(item, envelope):
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
                        subject=(
                            subject if isinstance(subject, str) else subject(event_id, domain)
                        ),
                        data=data,
                        dataschema=dataschema,
                        time=item.time,
                        to=envelope.to,
                        accesscontrol=_else(item.accesscontrol, self._event.accesscontrol),
                        redirectto=envelope.redirectto,
                        executionunits=_else(item.executionunits, self._executionunits),
                        traceparent=self._headers.traceparent,
                        tracestate=self._headers.tracestate,
                        parentid=envelope.parentid,
                        domain=domain,
                        extensions=_extensions(item),
                        limits=self._limits,
                    )
                )
                data = dict(data)  # each event has its own; the first may have taken this over
        except ViolationError:
            raise
        except Exception as error:
            # An attribute of a wrong type ends here as well.
            raise self._refusal(item, envelope.contract, error) from error
        return events

    def _resolved(self, item: Emit, envelope: _Envelope) -> Sequence[str | None]:
        chosen = envelope.domains if item.domain is None else item.domain
        if isinstance(chosen, str):
            chosen = (chosen,)
        if not chosen:
            raise ConfigViolation(
                f"{item.type} of {self._source}: an empty list of domains would drop the event; "
                "use ArvoDomain.LOCAL to keep it inside"
            )
        if len(chosen) == 1 and (chosen[0] is None or chosen[0] == ArvoDomain.LOCAL):
            return (None,)
        context = DomainContext(
            subject=self._event.subject,
            parent_subject=self._parent_subject,
            triggering_domain=self._event.domain,
            self_domain=self._contract.domain,
            event_domain=None if envelope.contract is None else envelope.contract.domain,
        )
        resolved = [resolve_event_domain(domain, context=context) for domain in chosen]
        return list(dict.fromkeys(resolved)) if len(resolved) > 1 else resolved

    def _derived_id(self, index: int, domain: str | None) -> str:
        event = self._event
        # Those of a step that is run again must not be taken for those of the run that failed.
        again = () if self._attempt is None else (self._attempt,)
        return derive_id(event.source, event.id, event.subject, self._source, index, domain, *again)

    def _claim(self, event_id: str, item: Emit) -> None:
        # The request that the event answers is awaited no longer.
        awaited = event_id in self._awaited and event_id != self._event.parentid
        if awaited or event_id in self._ids:
            raise ConfigViolation(
                f"{item.type} of {self._source}: id {event_id!r} is taken by another output of "
                "this step or by a request still awaited; leave the id out or choose another"
            )
        self._ids.add(event_id)

    def _refusal(
        self,
        item: Emit,
        contract: VersionedArvoContract[Any] | None,
        why: object,
    ) -> ContractViolation:
        schema = "no contract" if contract is None else contract.dataschema
        return ContractViolation(
            f"{self._source} cannot emit {item.type} ({schema}) "
            f"while handling event {self._event.id!r} of type {self._event.type!r}: {why}"
        )


def _else(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _answering(events: list[ArvoEvent], parentid: str) -> list[ArvoEvent]:
    """Set `parentid` as the record has it, even to an id that a new event could not have."""
    return [
        event if event.parentid == parentid else event.model_copy(update={"parentid": parentid})
        for event in events
    ]


def _own_id(item: Emit) -> str | None:
    """Return the id that the user wants; None to derive one."""
    wish = EventId.developer_managed(item.id) if isinstance(item.id, str) else item.id
    return None if wish is None or wish.is_blank else wish.text()


def _extensions(item: Emit) -> Mapping[str, str | bool | int | float | None] | None:
    if item.partitionkey is None:
        return item.extensions
    return {**(item.extensions or {}), PARTITION_KEY: item.partitionkey}
