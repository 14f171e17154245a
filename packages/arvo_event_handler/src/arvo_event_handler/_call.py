"""What the functions of handlers receive."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from opentelemetry.trace import INVALID_SPAN, Span

from arvo_core import ArvoEvent, VersionedArvoContract

A_co = TypeVar("A_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerDomain:
    """Domains a handler function may care about; None for none."""

    self: str | None
    """The handler's contract's."""
    event: str | None
    """The event's."""


class Addressed:
    """What every input of a user's function tells of the handler it runs in."""

    __slots__ = ()

    event: ArvoEvent
    contract: VersionedArvoContract[Any]

    @property
    def source(self) -> str:
        """The handler's own address."""
        return self.contract.type

    @property
    def domain(self) -> HandlerDomain:
        """The domains in play."""
        return HandlerDomain(self=self.contract.domain, event=self.event.domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerInput(Addressed, Generic[A_co]):
    """What a handler function receives.

    Example:
        A handler function is an ordinary one, which a unit test may call with an input of its own.

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
    """The event as it came."""
    data: A_co
    """Its data, parsed by the contract: defaults filled in, values converted."""
    contract: VersionedArvoContract[Any]
    """The contract version that applies."""
    span: Span = INVALID_SPAN
    """The execution's span; non-recording when nothing is traced, as in a unit test."""
