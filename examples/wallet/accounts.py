"""Accounts: what happens to them, and what they refuse."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from arvo_event_store import Aggregate


@dataclass(frozen=True)
class Opened:
    """The account can be used from now on."""

    owner: str


@dataclass(frozen=True)
class Deposited:
    """Money came from outside."""

    amount: int


@dataclass(frozen=True)
class Withdrawn:
    """Money went outside."""

    amount: int


@dataclass(frozen=True)
class Reserved:
    """Money was put aside for a transfer to another account."""

    transfer: str
    to: str
    amount: int


@dataclass(frozen=True)
class Paid:
    """Money that was put aside went to the other account."""

    transfer: str
    amount: int


@dataclass(frozen=True)
class Released:
    """Money that was put aside is available again."""

    transfer: str
    amount: int


@dataclass(frozen=True)
class Received:
    """Money came from another account."""

    transfer: str
    amount: int


AccountEvent: TypeAlias = Opened | Deposited | Withdrawn | Reserved | Paid | Released | Received
ACCOUNT_EVENTS: Final[Sequence[type[AccountEvent]]] = (
    *(Opened, Deposited, Withdrawn, Reserved, Paid, Released, Received),
)


@dataclass(frozen=True)
class Account:
    """What the events of an account come to."""

    is_open: bool = False
    available: int = 0
    """What can be withdrawn or sent, in cents."""
    reserved: int = 0
    """What is put aside for transfers, in cents."""


class RefusalError(Exception):
    """An account refuses what it is asked for; the message says why."""


def evolve(account: Account, event: AccountEvent) -> Account:
    """Return an account after an event."""
    available, reserved = account.available, account.reserved
    match event:
        case Opened():
            return replace(account, is_open=True)
        case Deposited(amount) | Received(amount=amount):
            return replace(account, available=available + amount)
        case Withdrawn(amount):
            return replace(account, available=available - amount)
        case Reserved(amount=amount):
            return replace(account, available=available - amount, reserved=reserved + amount)
        case Paid(amount=amount):
            return replace(account, reserved=reserved - amount)
        case Released(amount=amount):
            return replace(account, available=available + amount, reserved=reserved - amount)


accounts: Final = Aggregate(
    category="account",
    events=ACCOUNT_EVENTS,
    initial=Account,
    evolve=evolve,
    cache=1_000,  # accounts live long: a load reads only what is new
)


# --- decisions: pure functions, which run again when somebody was faster ---------------


def opening(owner: str, deposit: int, account: Account) -> Sequence[AccountEvent]:
    """Open an account with a first deposit; nothing if it is open already."""
    return [] if account.is_open else [Opened(owner), Deposited(deposit)]


def depositing(amount: int, account: Account) -> Sequence[AccountEvent]:
    """Pay money in."""
    check_open(account)
    return [Deposited(amount)]


def withdrawing(amount: int, account: Account) -> Sequence[AccountEvent]:
    """Pay money out."""
    check_available(account, amount)
    return [Withdrawn(amount)]


def reserving(reserved: Reserved, account: Account) -> Sequence[AccountEvent]:
    """Put the money of a transfer aside."""
    check_available(account, reserved.amount)
    return [reserved]


def check_open(account: Account) -> None:
    """Check that an account can be used.

    Raises:
        RefusalError: It was never opened.
    """
    if not account.is_open:
        raise RefusalError("no such account")


def check_available(account: Account, amount: int) -> None:
    """Check that an account has so much.

    Raises:
        RefusalError: It has less, or was never opened.
    """
    check_open(account)
    if account.available < amount:
        raise RefusalError("not enough money")
