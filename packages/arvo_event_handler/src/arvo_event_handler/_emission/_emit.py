"""What user code returns: the events to make."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from pydantic import BaseModel

from arvo_core.event_id import EventId
from arvo_event_handler._errors import ContractViolation

from ._domain import DomainChoice
from ._moment import check_moment

PARTITION_KEY: Final = "partitionkey"
"""The CloudEvents extension that names what events are ordered by, with `order="key"`."""


@dataclass(frozen=True, slots=True)
class Emit:
    """An event to emit; the handler fills in what is left out.

    Example:
        >>> Emit("evt.user.create.success", {"id": "7"}, to="com.audit").to
        'com.audit'
    """

    type: str
    """A type that the handler's contract emits; for a request, the type that a service accepts."""
    data: BaseModel | Mapping[str, object]
    """The payload: the contract's model, or a mapping it can be parsed from."""
    _: KW_ONLY
    to: str | None = None
    """The event's address. None: a service's answer goes where the asker wants it, a workflow's
    request to the event's type."""
    domain: DomainChoice = None
    """One domain, several (a copy to each), or a constant of `ArvoDomain`. None: the default."""
    id: str | EventId | None = None
    """The id itself, or a policy. None derives one that a repeated run yields again."""
    time: str | datetime | None = None
    """None: the current time."""
    dataschema: str | None = None
    """Set it only to emit a type that no contract knows; the data is then not validated."""
    executionunits: float | None = None
    """Unitless cost. None: the handler's default."""
    accesscontrol: str | None = None
    """None: that of the event being handled."""
    redirectto: str | None = None
    """Where the answer to this event goes; a system error comes back to the sender all the same. None: a
    workflow's own address; not set by a service."""
    partitionkey: str | None = None
    """What the event is ordered by where its handler has `order="key"`, such as a tenant: the CloudEvents
    extension `partitionkey`. None: its subject."""
    extensions: Mapping[str, str | bool | int | float | None] | None = None
    """Custom extensions by name."""
    at: datetime | None = None
    """When the event leaves, with a time zone. None: now. A resumable's record keeps it until then; a
    stateless handler's leaves by the delay of a transport, and is refused where there is none. It then
    carries the time as the extension `notbefore`."""
    after: timedelta | None = None
    """The same as a delay, in place of `at`; not negative. Zero leaves as soon as a broker looks."""

    def __post_init__(self) -> None:
        if not isinstance(self.type, str):
            raise ContractViolation(
                f"Emit: expected the event type as a string, got {_kind(self.type)}; "
                "write Emit(type, data)"
            )
        _check_data(self.data, f"of {self.type}")
        if self.at is not None or self.after is not None:
            check_moment(f"Emit of {self.type}", at=self.at, after=self.after)

    @property
    def is_delayed(self) -> bool:
        """Whether it leaves later, by `at` or `after`."""
        return self.at is not None or self.after is not None


@dataclass(frozen=True, slots=True)
class Complete:
    """A workflow's result: it ends with this, exactly once.

    Example:
        >>> Complete({"total": 3}, domain="reporting").domain
        'reporting'
    """

    data: BaseModel | Mapping[str, object]
    """The payload: the contract's model, or a mapping it can be parsed from."""
    _: KW_ONLY
    id: str | EventId | None = None
    """The id itself, or a policy. None derives one that a repeated run yields again."""
    domain: DomainChoice = None
    """One domain, several (a copy to each), or a constant of `ArvoDomain`. None: the default."""
    executionunits: float | None = None
    """Unitless cost. None: the workflow's default."""

    def __post_init__(self) -> None:
        _check_data(self.data, "of the completion")


Outputs: TypeAlias = Emit | list[Emit] | tuple[Emit, ...] | None
"""What a handler function returns. None and an empty list emit nothing."""


# Made once: a union made at every call costs more than the check. The fastest checks come first.
_DATA = (dict, BaseModel, Mapping)


def _check_data(data: object, whose: str) -> None:
    if not isinstance(data, _DATA):
        raise ContractViolation(
            f"the data {whose}: expected a pydantic model or a mapping, got {_kind(data)}"
        )


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
