"""Transfers: from the request to its end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from arvo_event_store import Aggregate


@dataclass(frozen=True)
class Requested:
    """Somebody wants to send money."""

    source: str
    to: str
    amount: int


@dataclass(frozen=True)
class Refused:
    """The money stays where it was."""

    reason: str


@dataclass(frozen=True)
class Completed:
    """The money was received."""


TransferEvent: TypeAlias = Requested | Refused | Completed
TRANSFER_EVENTS: Final[Sequence[type[TransferEvent]]] = (Requested, Refused, Completed)


@dataclass(frozen=True)
class Transfer:
    """What the events of a transfer come to."""

    is_requested: bool = False
    ends: tuple[str, ...] = ()
    """How it ended: "completed", or why it was refused. Exactly one, in the end."""


def evolve(transfer: Transfer, event: TransferEvent) -> Transfer:
    """Return a transfer after an event."""
    match event:
        case Requested():
            return replace(transfer, is_requested=True)
        case Refused(reason):
            return replace(transfer, ends=(*transfer.ends, reason))
        case Completed():
            return replace(transfer, ends=(*transfer.ends, "completed"))


transfers: Final = Aggregate(
    category="transfer", events=TRANSFER_EVENTS, initial=Transfer, evolve=evolve
)


def requesting(requested: Requested, transfer: Transfer) -> Sequence[TransferEvent]:
    """Begin a transfer; nothing if it has begun, so that it may be asked for again."""
    return [] if transfer.is_requested else [requested]
