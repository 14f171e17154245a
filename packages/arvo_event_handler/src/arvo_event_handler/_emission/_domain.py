"""Event domains: which of several places outside the system an event goes to, if any."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

from arvo_core import ArvoOrchestrationSubject, InvalidSubjectError

DomainChoice: TypeAlias = str | Sequence[str | None] | None
"""One domain, several (the event is copied to each), or None for the default."""


class ArvoDomain:
    """Domains that are resolved when an event is emitted. Any other string is a literal domain.

    TypeScript: `ArvoDomain`.
    """

    LOCAL: Final = "domain.local"
    """Inside the system: no domain."""
    FROM_SELF_CONTRACT: Final = "domain.contract.self.inherit"
    """The domain of the emitting handler's contract."""
    FROM_EVENT_CONTRACT: Final = "domain.contract.inherit"
    """The domain of the contract that describes the emitted event."""
    FROM_TRIGGERING_EVENT: Final = "domain.event.inherit"
    """The domain of the event being handled."""
    FROM_CURRENT_SUBJECT: Final = "domain.event.current.subject"
    """The domain in the subject of the event being handled."""
    FROM_PARENT_SUBJECT: Final = "domain.parent.subject"
    """The domain in the parent workflow's subject."""
    ORCHESTRATION_CONTEXT: Final = "domain.orchestration.context"
    """The asker's domain, seen from here; no domain when the asker is in the same place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainContext:
    """What a symbolic domain is resolved against; None means no domain or no parent."""

    subject: str
    """The subject of the event being handled."""
    parent_subject: str | None
    """The parent workflow's subject."""
    triggering_domain: str | None
    """The domain of the event being handled."""
    self_domain: str | None
    """The domain of the emitting handler's contract."""
    event_domain: str | None
    """The domain of the contract that describes the emitted event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmissionDomains:
    """Where events go when an output names no domain. TypeScript: `defaultEventEmissionDomains`.

    Raises:
        TypeError: A field is not a tuple of strings and None; a plain string is not one.
        ValueError: A field is empty, so that an event would go nowhere.
    """

    outputs: tuple[str | None, ...] = (ArvoDomain.ORCHESTRATION_CONTEXT,)
    """For the outputs of a stateless handler."""
    services: tuple[str | None, ...] = (ArvoDomain.LOCAL,)
    """For a workflow's requests to its services."""
    complete: tuple[str | None, ...] = (ArvoDomain.ORCHESTRATION_CONTEXT,)
    """For a workflow's completion."""
    system_error: tuple[str | None, ...] = (ArvoDomain.ORCHESTRATION_CONTEXT,)
    """For a handler's system errors."""

    def __post_init__(self) -> None:
        for item in fields(self):
            domains: object = getattr(self, item.name)
            if not isinstance(domains, tuple) or not all(
                each is None or isinstance(each, str) for each in domains
            ):
                raise TypeError(f"{item.name} must be a tuple of domains or None, got {domains!r}")
            if not domains:
                raise ValueError(f"{item.name} must not be empty; (None,) keeps events inside")


def resolve_event_domain(domain: str | None, *, context: DomainContext) -> str | None:
    """Turn a symbolic domain into a real one. TypeScript: `resolveEventDomain`.

    A subject that cannot be parsed counts as one without a domain.

    Args:
        domain: A constant of `ArvoDomain` or a literal domain; None or "" means no domain.
        context: What constants refer to.

    Returns:
        The literal domain; None stays inside.
    """
    match domain:
        case None | "" | ArvoDomain.LOCAL:
            return None
        case ArvoDomain.FROM_SELF_CONTRACT:
            return context.self_domain
        case ArvoDomain.FROM_EVENT_CONTRACT:
            return context.event_domain
        case ArvoDomain.FROM_TRIGGERING_EVENT:
            return context.triggering_domain
        case ArvoDomain.FROM_CURRENT_SUBJECT:
            return _subject_domain(context.subject)
        case ArvoDomain.FROM_PARENT_SUBJECT:
            return _subject_domain(context.parent_subject)
        case ArvoDomain.ORCHESTRATION_CONTEXT:
            return _asker_domain(context)
        case _:
            return domain


def _asker_domain(context: DomainContext) -> str | None:
    if context.parent_subject is not None:
        parent = _subject_domain(context.parent_subject)
        return None if parent == _subject_domain(context.subject) else parent
    if context.triggering_domain is None:
        return None
    current = _subject_domain(context.subject)
    return None if current == context.triggering_domain else current


def _subject_domain(subject: str | None) -> str | None:
    if subject is None:
        return None
    try:
        return ArvoOrchestrationSubject.parse(subject).execution.domain
    except InvalidSubjectError:
        return None
