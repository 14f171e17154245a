"""What a resumable's function receives and returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Generic, TypeVar, overload

from opentelemetry.trace import INVALID_SPAN, Span
from pydantic import JsonValue

from arvo_core import (
    ArvoEvent,
    ContractVersion,
    OrchestratorVersion,
    SimpleVersion,
    SystemErrorData,
    VersionDefinition,
    VersionedArvoContract,
    ViolationError,
)
from arvo_event_handler._call import Addressed
from arvo_event_handler._emission._emit import Complete, Emit
from arvo_event_handler._emission._moment import check_moment
from arvo_event_handler._errors import ConfigViolation, ContractViolation
from arvo_event_handler.memory._memory import Record

from ._collected_answers import CollectedAnswers, ReadWhenLookedAt, contract_uri
from ._stored_record import parse_stored
from ._timers import DEADLINE

A_co = TypeVar("A_co", covariant=True)
C_co = TypeVar("C_co", covariant=True)
E = TypeVar("E")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Addressed, Generic[A_co]):
    """The workflow begins."""

    event: ArvoEvent
    """The init event as received."""
    data: A_co
    """Its data, parsed by the contract."""
    contract: VersionedArvoContract[Any]
    """The workflow's contract in the version that applies."""
    span: Span = INVALID_SPAN
    """The execution's span; non-recording when nothing is traced, as in a unit test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resumed(Addressed, Generic[C_co]):
    """What both later calls have: the context, and the answers so far."""

    context: C_co
    """The context of the last `Step` that had one; the function's own copy."""
    event: ArvoEvent
    """The event as received."""
    collected: Mapping[str, Sequence[ArvoEvent]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """Answers to the latest requests by event type, in request order; includes the event."""
    contract: VersionedArvoContract[Any]
    """The workflow's contract in the version that applies."""
    span: Span = INVALID_SPAN
    """The execution's span; non-recording when nothing is traced, as in a unit test."""
    services: Mapping[str, VersionedArvoContract[Any]] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    """The workflow's services, by the event type they accept."""
    _read_metadata: Callable[[], Record] = field(default=dict, repr=False, compare=False)
    _report_unreadable: Callable[[ViolationError], object] = field(
        default=lambda violation: None, repr=False, compare=False
    )

    @property
    def metadata(self) -> Mapping[str, JsonValue]:
        """The workflow's record before this event, without the context; a copy, made when read.

        Raises:
            TransactionViolation: The record is damaged. The step is then discarded, even if the
                function catches this.
            RuntimeError: The function has returned.
        """
        try:
            return self._read_metadata()
        except ViolationError as violation:
            self._report_unreadable(violation)
            raise

    @overload
    def replies(self, version: SimpleVersion[Any, E]) -> Sequence[E]: ...
    @overload
    def replies(self, version: OrchestratorVersion[Any, E]) -> Sequence[E]: ...
    @overload
    def replies(self, version: ContractVersion[Any], *, type: str) -> Sequence[Any]: ...
    @overload
    def replies(
        self, version: VersionedArvoContract[Any], *, type: str | None = None
    ) -> Sequence[Any]: ...
    def replies(
        self,
        version: VersionDefinition[Any] | VersionedArvoContract[Any],
        *,
        type: str | None = None,
    ) -> Sequence[Any]:
        """Return the parsed successful answers of one service among the collected ones.

        Args:
            version: The version object of the service's contract, which gives typed items, or
                `contract.version(...)`.
            type: Which of its events; needed only when the version emits several types.

        Returns:
            One item per answer; empty if there is none yet. System errors are left out. An item is
            read when it is looked at, and anew each time; to count them reads none.

        Raises:
            ConfigViolation: The workflow has no such service, or the service emits no such event.
                Or an item that is looked at does not fit the deployed model, such as one that has gained a
                required member: nothing is stored then, even if the function catches this, and
                the event can be delivered again to a version that can read the answer.
            TransactionViolation: A stored answer is damaged; the same holds.
        """
        service = next((item for item in self.services.values() if _is(item, version)), None)
        if service is None:
            raise ConfigViolation(
                f"{self.source} has no service of {version!r}; list its contract in `services`"
            )
        types = list(service.emits) if type is None else [type]
        if len(types) != 1 or types[0] not in service.emits:
            known = ", ".join(service.emits) or "nothing"
            raise ConfigViolation(f"{service.dataschema}: name one of the types it emits: {known}")
        payload = service.emits[types[0]]

        def read(answer: ArvoEvent) -> Any:
            try:
                return parse_stored(payload, answer.data, what=self._named(answer))
            except ViolationError as violation:
                self._report_unreadable(violation)
                raise

        return ReadWhenLookedAt(self._answers(service, types[0]), read)

    def _answers(self, service: VersionedArvoContract[Any], event_type: str) -> Sequence[ArvoEvent]:
        answers = self.collected.get(event_type, ())
        if sum(event_type in each.emits for each in self.services.values()) == 1:
            return answers
        if isinstance(self.collected, CollectedAnswers):
            return self.collected.described_by(service.uri, event_type)
        return [each for each in answers if contract_uri(each.dataschema) == service.uri]

    def _named(self, answer: ArvoEvent) -> str:
        return (
            f"{self.source} {self.contract.version}: "
            f"the stored answer {answer.id!r} of type {answer.type!r}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(_Resumed[C_co]):
    """A service answered."""

    data: Any
    """The answer's data, parsed by the contract."""
    error: SystemErrorData | None = None
    """The data when the answer is a service's system error; None when the service succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due(_Resumed[C_co]):
    """A timer is due. The requests that wait, and the answers so far, stay as they are."""

    name: str
    """The timer's name."""
    at: datetime
    """When it was due, in UTC, which may be long ago after a stop; `event.time` says about when this is."""


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer to set: the function is called with a `Due` when it is due, late rather than never.

    Setting a name that is pending replaces its timer. A workflow that ends has no timers.

    Raises:
        ContractViolation: The name is not a printable string, or is reserved; not exactly one of
            `at` and `after` is given; or it is a moment without a time zone, or a delay that is
            negative or above 10 years.

    Example:
        >>> Timer("remind", after=timedelta(hours=48)).after
        datetime.timedelta(days=2)
    """

    name: str
    """Identifies it within its workflow."""
    _: KW_ONLY
    after: timedelta | None = None
    """How long from the step on. Zero fires it as soon as a broker looks."""
    at: datetime | None = None
    """When, with a time zone, in place of `after`; a moment that has passed counts as zero."""

    def __post_init__(self) -> None:
        _check_timer_name(self.name, "Timer")
        check_moment(f"Timer {self.name!r}", at=self.at, after=self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[C_co]):
    """What happens next. `Step()` waits for more answers, or for its timers."""

    context: C_co | None = None
    """The context to store: a pydantic model or a JSON mapping. None keeps the stored one."""
    services: Sequence[Emit] = ()
    """Requests to services and child workflows. Any request clears the collected answers, except in a
    call with a `Due`, whose requests are further ones. None that leaves later goes with an `output`."""
    output: Complete | None = None
    """The result, which ends the workflow; None continues it."""
    timers: Sequence[Timer] = ()
    """Timers to set, each with another name."""
    cancel: Sequence[str] = ()
    """Names of timers that are to fire no more, and ids of requests that are not to leave later after
    all; one that is not pending is ignored. They are taken out before `timers` are set."""

    def __post_init__(self) -> None:
        services: object = self.services
        if not isinstance(services, list | tuple):
            raise ContractViolation(
                f"services: expected a list or tuple, got {type(services).__name__}; "
                "write services=[Emit(...), ...]"
            )
        for item in services:
            if not isinstance(item, Emit):
                raise ContractViolation(
                    f"services: expected Emit items, got {type(item).__name__}; "
                    "write each request as Emit(type, data)"
                )
        output: object = self.output
        if output is not None and not isinstance(output, Complete):
            name = type(output).__name__
            raise ContractViolation(
                f"output: expected Complete, got {name}; write output=Complete({name}(...))"
            )
        if output is not None:
            _check_no_request_is_left(services)
        if self.timers != () or self.cancel != ():
            _check_timers(self.timers, self.cancel)


def _check_no_request_is_left(services: Sequence[Emit]) -> None:
    for item in services:
        if item.is_delayed:
            raise ContractViolation(
                f"services: the request {item.type} is to leave later, and the step has an output, "
                "which ends the workflow and all that it waits for; send the request without at= "
                "and after=, or end the workflow in a later step"
            )


def _check_timers(timers: object, cancel: object) -> None:
    if not isinstance(timers, list | tuple) or not all(isinstance(each, Timer) for each in timers):
        raise ContractViolation(
            f"timers: expected a list or tuple of Timer items, got {timers!r:.80}; "
            'write timers=[Timer("name", after=...)]'
        )
    names = [timer.name for timer in timers]
    for name in names:
        if names.count(name) > 1:
            raise ContractViolation(
                f"timers: the name {name!r} is given twice; each timer of a step needs another"
            )
    if not isinstance(cancel, list | tuple):
        raise ContractViolation(
            f'cancel: expected a list or tuple of names, got {cancel!r:.80}; write cancel=["name"]'
        )
    for name in cancel:
        _check_timer_name(name, "cancel")


def _check_timer_name(name: object, where: str) -> None:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ContractViolation(f"{where}: a name must be a printable string, got {name!r:.80}")
    if name == DEADLINE:
        raise ContractViolation(
            f"{where}: the name {DEADLINE!r} is reserved for the deadline of the workflow; "
            "choose another"
        )


def _is(
    service: VersionedArvoContract[Any],
    version: VersionDefinition[Any] | VersionedArvoContract[Any],
) -> bool:
    if isinstance(version, VersionedArvoContract):
        return service.dataschema == version.dataschema
    return service.definition is version
