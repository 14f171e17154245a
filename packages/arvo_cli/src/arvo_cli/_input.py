"""Makes events to run of the lines of the input."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NoReturn, Protocol

from arvo_core import (
    PARENT_SUBJECT,
    ArvoContract,
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    EventLimits,
    InvalidValueError,
    VersionedArvoContract,
    json_problems,
)
from arvo_core.event_id import derive_id
from arvo_event_handler import ContractViolation, IArvoEventHandler, version_describing

from ._cloud_event import is_cloud_event, missing_attributes
from ._errors import CommandError, PlainPayloadError, RejectedLineError, one_line
from ._lines import Line
from ._report import counted

SOURCE: Final = "com.arvo.cli"
"""The source of events made of plain payloads. Part of their identity, so it never changes."""
_MARKER_ATTRIBUTES: Final = frozenset({"specversion", "type"})
"""A line with neither of these may be a plain payload."""
_REMEDY_IN_CODE: Final = ", or raise max_depth of EventLimits"
"""The part of messages that a user of the command cannot follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An event to run, made of one line."""

    event: ArvoEvent
    answer_to: str
    """The address that its answer will have."""
    repeated: bool
    """Whether an earlier line held the same event."""


class Decoder(Protocol):
    """Makes requests of lines."""

    def decode(self, line: Line) -> Request:
        """Make a request of a line.

        Raises:
            RejectedLineError: The line cannot be run; the message says why.
        """
        ...


class EventDecoder:
    """Reads lines that are CloudEvents.

    Args:
        handlers: The handlers of the target.
        limits: Maximum size and depth of an event.
    """

    def __init__(self, handlers: Iterable[IArvoEventHandler], *, limits: EventLimits) -> None:
        self._limits = limits
        self._handlers = {handler.source: handler for handler in handlers}
        self._seen = _Occurrences()

    def decode(self, line: Line) -> Request:
        """Read a line; see `Decoder`."""
        _check_length(line)
        try:
            event = ArvoEvent.from_json(line.content, limits=self._limits)
        except InvalidValueError as error:
            raise _not_an_event(_load(line, self._limits), error) from error
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


class PayloadDecoder:
    """Makes events of lines that are plain payloads of one contract version.

    The event's id follows from the contract, the line and how often that line occurred before,
    and its subject from the id. So the same input gives the same events in every run.

    Args:
        contract: The contract version that the lines are payloads of.
        limits: Maximum depth of a payload.
    """

    def __init__(self, contract: VersionedArvoContract[Any], *, limits: EventLimits) -> None:
        self._limits = limits
        self._contract = contract
        self._factory = ArvoEventFactory(contract)
        self._is_workflow = isinstance(contract.contract, ArvoOrchestratorContract)
        self._seen = _Occurrences()

    def decode(self, line: Line) -> Request:
        """Read a line; see `Decoder`."""
        _check_length(line)
        payload = _load(line, self._limits)
        if not isinstance(payload, dict):
            raise RejectedLineError(
                f"a payload must be a JSON object, not {type(payload).__name__}"
            )
        problems = json_problems(payload, max_depth=self._limits.max_depth)
        if problems:
            problem = _for_users(str(problems[0]))
            raise RejectedLineError(f"not JSON that every language reads: {problem}")
        text = line.text
        event_id = derive_id(
            self._contract.dataschema, text, self._seen.add(self._contract.dataschema, text)
        )
        try:
            event = self._factory.accepts(
                source=SOURCE,
                data={PARENT_SUBJECT: None, **payload} if self._is_workflow else payload,
                id=event_id,
                subject=ArvoOrchestrationSubject.new(
                    orchestrator=self._contract.type,
                    version=self._contract.version,
                    initiator=SOURCE,
                    execution_id=derive_id(event_id, "execution"),
                ),
                limits=self._limits,
            )
        except InvalidValueError as error:
            raise RejectedLineError(_for_users(one_line(error))) from error
        return Request(event=event, answer_to=SOURCE, repeated=False)


def decoder_for(
    handlers: Iterable[IArvoEventHandler], contract: str | None, *, limits: EventLimits
) -> Decoder:
    """Return the decoder for the input's lines.

    Args:
        handlers: The handlers of the target.
        contract: URI and version of plain payloads; None for CloudEvents.
        limits: Maximum size and depth of a line.

    Raises:
        CommandError: No handler has a contract of that URI and version.
    """
    if contract is None:
        return EventDecoder(handlers, limits=limits)
    versions = contract_versions(handlers)
    if contract in versions:
        return PayloadDecoder(versions[contract], limits=limits)
    own = [name for name, known in versions.items() if known.contract.uri == contract.rstrip("/")]
    if own:
        raise CommandError(f"--contract {contract} lacks the version; write {' or '.join(own)}")
    raise CommandError(
        f"no handler has a contract {contract!r}; choose one of: {', '.join(sorted(versions))}"
    )


def contract_versions(
    handlers: Iterable[IArvoEventHandler],
) -> dict[str, VersionedArvoContract[Any]]:
    """Return what `--contract` accepts: each version of the handlers' contracts by its URI."""
    return {
        known.dataschema: known
        for handler in handlers
        if (own := handler.contract) is not None
        for known in map(own.version, own.versions)
    }


class _Occurrences:
    """Counts how often each item occurred; keeps a digest of each, not the item itself."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()

    def add(self, *parts: str) -> int:
        """Count an item and return how often it has occurred, this time included."""
        digest = blake2b(repr(parts).encode(), digest_size=12).digest()
        self._counts[digest] += 1
        return self._counts[digest]


def _check_length(line: Line) -> None:
    """Check that the line is complete.

    Raises:
        RejectedLineError: It is longer than a line may be.
    """
    if line.excess:
        raise RejectedLineError(
            f"the line is too long by {counted(line.excess, 'byte')}; --max-line-bytes raises the limit"
        )


def _load(line: Line, limits: EventLimits) -> Any:
    """Read a line as JSON (RFC 8259).

    Args:
        line: The line.
        limits: Named in the message about a line that is nested too deeply. They are not checked
            here: only Python's parser, which goes deeper than any limit, refuses depth.

    Raises:
        RejectedLineError: It is not JSON, or nested too deeply for Python's parser.
    """
    try:
        return json.loads(str(line.content, "utf-8"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
        raise RejectedLineError(f"not JSON: {problem} at column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise RejectedLineError(f"not UTF-8 at byte {error.start + 1}") from error
    except RecursionError as error:
        problem = f"nested more than {limits.max_depth} levels deep; flatten the data"
        raise RejectedLineError(problem) from error
    except ValueError as error:  # an integer of too many digits
        raise RejectedLineError(f"not JSON: {one_line(error)}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise RejectedLineError(f"not JSON: {name} is not a JSON number; use null or leave it out")


def _for_users(reason: str) -> str:
    """Return a reason without the remedy that needs a change of code."""
    return reason.replace(_REMEDY_IN_CODE, "")


def _not_an_event(loaded: Any, error: InvalidValueError) -> RejectedLineError:
    """Return the error for a line that is not an event that Arvo can run.

    Args:
        loaded: The line as JSON.
        error: Why it is not such an event.
    """
    reason = _for_users(one_line(error).removeprefix("not an event: "))
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
