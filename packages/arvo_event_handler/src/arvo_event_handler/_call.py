"""What the functions of handlers receive."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from opentelemetry.trace import INVALID_SPAN, Span

from arvo_core import ArvoEvent, VersionedArvoContract

A_co = TypeVar("A_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerDomain:
    """Domains that a handler function may need; None means no domain."""

    self: str | None
    """The domain of the handler's contract."""
    event: str | None
    """The domain of the event."""


class Addressed:
    """What every input of a user's function says about the handler it runs in."""

    __slots__ = ()

    event: ArvoEvent
    contract: VersionedArvoContract[Any]

    @property
    def source(self) -> str:
        """The handler's own address."""
        return self.contract.type

    @property
    def domain(self) -> HandlerDomain:
        """The domains of the handler and the event."""
        return HandlerDomain(self=self.contract.domain, event=self.event.domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerInput(Addressed, Generic[A_co]):
    """What a handler function receives.

    Example:
        A handler function is an ordinary one: a unit test may call it with an input of its own.

        >>> class Add(BaseModel):
        ...     numbers: list[float]
        >>> V1 = SimpleVersion("1.0.0", accepts=Add, emits=Add)
        >>> contract = SimpleArvoContract(uri="#/add", type="math.add", versions=[V1]).version(V1)
        >>> data = Add(numbers=[1, 2])
        >>> event = ArvoEventFactory(contract).accepts(source="com.app.main", data=data)
        >>> HandlerInput(event=event, data=data, contract=contract).source
        'com.math.add'
    """

    event: ArvoEvent
    """The event as received."""
    data: A_co
    """Its data, parsed by the contract: defaults filled in, values converted."""
    contract: VersionedArvoContract[Any]
    """The contract version that applies."""
    span: Span = INVALID_SPAN
    """The execution's span; non-recording when nothing is traced, as in a unit test."""
