"""Makes requests of lines that are CloudEvents."""

from collections.abc import Iterable
from typing import Any, Final

from arvo_cli._errors import PlainPayloadError, RejectedLineError, one_line
from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoOrchestrationSubject,
    EventLimits,
    InvalidValueError,
    VersionedArvoContract,
)
from arvo_event_handler import ContractViolation, IArvoEventHandler, version_describing

from ._cloud_event import is_cloud_event, missing_attributes
from ._lines import Line
from ._request import Occurrences, Request, check_length, for_users, load_json

_MARKER_ATTRIBUTES: Final = frozenset({"specversion", "type"})
"""A line with neither of these may be a plain payload."""


class EventDecoder:
    """Reads lines that are CloudEvents.

    Args:
        handlers: The handlers of the target.
        limits: Maximum size and depth of an event.
    """

    def __init__(self, handlers: Iterable[IArvoEventHandler], *, limits: EventLimits) -> None:
        self._limits = limits
        self._handlers = {handler.source: handler for handler in handlers}
        self._seen = Occurrences()

    def decode(self, line: Line) -> Request:
        """Read a line; see `Decoder`."""
        event = _read_event(line, self._limits)
        handler = self._handlers.get(event.to or event.type)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            raise RejectedLineError(
                f"no handler for {event.to or event.type!r}; there are handlers for {known}"
            )
        _check_contract(event, handler)
        address = _answer_address(event, handler)
        if address in self._handlers:
            raise RejectedLineError(
                f"the answer would go to {address!r}, which is one of the handlers; "
                "give the event another source"
            )
        repeated = self._seen.add(event.source, event.id) > 1
        return Request(event=event, answer_to=address, repeated=repeated)


class EnvelopeDecoder:
    """Reads lines that are CloudEvents for handlers that are not here.

    Args:
        limits: Maximum size and depth of an event.
    """

    def __init__(self, *, limits: EventLimits) -> None:
        self._limits = limits
        self._seen = Occurrences()

    def decode(self, line: Line) -> Request:
        """Read a line; see `Decoder`. Its data is not checked."""
        event = _read_event(line, self._limits)
        repeated = self._seen.add(event.source, event.id) > 1
        return Request(event=event, answer_to=_address_by_subject(event), repeated=repeated)


def _read_event(line: Line, limits: EventLimits) -> ArvoEvent:
    check_length(line)
    try:
        return ArvoEvent.from_json(line.content, limits=limits)
    except InvalidValueError as error:
        raise _not_an_event(load_json(line, limits), error) from error


def _not_an_event(loaded: Any, error: InvalidValueError) -> RejectedLineError:
    """Return the error for a line that is not an event that Arvo can run.

    Args:
        loaded: The line as JSON.
        error: Why it is not such an event.
    """
    reason = for_users(one_line(error).removeprefix("not an event: "))
    if not isinstance(loaded, dict):
        return RejectedLineError(f"not a CloudEvent: {reason}")
    if loaded.keys().isdisjoint(_MARKER_ATTRIBUTES):
        return PlainPayloadError(
            "not a CloudEvent: it has no specversion and no type; plain payloads need --contract"
        )
    if not is_cloud_event(loaded):
        return RejectedLineError(f"not a CloudEvent: {reason}")
    missing = missing_attributes(loaded)
    if missing:
        reason = f"it is a CloudEvent without {', '.join(missing)}, which Arvo requires"
    return RejectedLineError(f"not an Arvo event: {reason}")


def _check_contract(event: ArvoEvent, handler: IArvoEventHandler) -> None:
    """Check the data of a request. Answers to a workflow are checked by its handler.

    Raises:
        RejectedLineError: The event names a contract that the handler does not have, or its data
            does not match.
    """
    contract = handler.contract
    if contract is None or event.type != contract.type:
        return
    try:
        _version_describing(event, handler, contract).accepts.parse(event.data)
    except InvalidValueError as error:
        raise RejectedLineError(one_line(error)) from error


def _version_describing(
    event: ArvoEvent, handler: IArvoEventHandler, contract: ArvoContract
) -> VersionedArvoContract[Any]:
    otherwise = _orchestrator_version(event) if handler.stateful else "latest"
    try:
        return version_describing(
            event, contract=contract, otherwise=otherwise, required=handler.stateful
        )
    except ContractViolation as violation:
        raise RejectedLineError(
            f"unknown contract {event.dataschema!r}; {contract.type} is described by "
            f"{', '.join(contract.version(version).dataschema for version in contract.versions)}"
        ) from violation


def _orchestrator_version(event: ArvoEvent) -> str:
    orchestrator = ArvoOrchestrationSubject.parse(event.subject).orchestrator
    if orchestrator.name != event.type:
        raise RejectedLineError(
            f"the subject belongs to {orchestrator.name!r}, not to {event.type!r}"
        )
    return orchestrator.version


def _answer_address(event: ArvoEvent, handler: IArvoEventHandler) -> str:
    """Return the address to which a handler sends its answer."""
    if not handler.stateful:
        return event.redirectto or event.source
    try:
        content = ArvoOrchestrationSubject.parse(event.subject)
    except InvalidValueError as error:
        raise RejectedLineError(one_line(error)) from error
    return content.meta.get("redirectto") or content.execution.initiator


def _address_by_subject(event: ArvoEvent) -> str:
    """Return the address of the answer, from the event alone: one to a workflow has its subject."""
    try:
        content = ArvoOrchestrationSubject.parse(event.subject)
    except InvalidValueError:
        return event.redirectto or event.source
    if content.orchestrator.name != (event.to or event.type):
        return event.redirectto or event.source
    return content.meta.get("redirectto") or content.execution.initiator
