"""What makes transfers happen, and keeps the table of balances."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from arvo_event_store import (
    Batch,
    Event,
    EventConsumer,
    Projection,
    Reaction,
    ReactionCall,
)
from arvo_time import Backoff, RetryPolicy

from .accounts import (
    ACCOUNT_EVENTS,
    Account,
    AccountEvent,
    Paid,
    Received,
    RefusalError,
    Released,
    Reserved,
    accounts,
    check_open,
    evolve,
    reserving,
)
from .balances import Balances
from .transfers import Completed, Refused, Requested, transfers

GROUP: Final = "wallet"
"""The reactions are deployed together under this name."""

# A worker that dies with an event in hand has used up one of its tries; here workers die on purpose.
_PAUSES: Final = Backoff(initial=timedelta(milliseconds=100), maximum=timedelta(seconds=1))
_PATIENT: Final = RetryPolicy(retries=10_000, backoff=_PAUSES)


def create_reactions(balances: Balances) -> Sequence[EventConsumer]:
    """Return all reactions of the bank.

    Args:
        balances: The table.
    """

    async def tabulate(batch: Batch[AccountEvent]) -> None:
        """Add the changes of a batch to the table, once, as they are stored with its acknowledgement."""
        changes: dict[str, Account] = {}
        for item in batch:
            account = item.event.stream.removeprefix(f"{accounts.category}-")
            changes[account] = evolve(changes.get(account, Account()), item.data)
        balances.add(batch, changes)

    return [
        Reaction(name="reserve", on=[Requested], handler=reserve, to=source_of, retry=_PATIENT),
        Reaction(name="pay", on=[Reserved], handler=pay, retry=_PATIENT),
        Projection(name="balances", on=ACCOUNT_EVENTS, handler=tabulate, retry=_PATIENT),
    ]


def source_of(event: Event) -> str:
    """Return the account that sends: its transfers are handled in order, those of others meanwhile."""
    data: Any = event.data
    source: str = data["source"]
    return source


async def reserve(call: ReactionCall[Requested]) -> None:
    """Put the money of a transfer aside, or refuse the transfer.

    `act` stages an append that expects the account to be as it was read. If it is not any more, nothing
    of this is stored, and the event is handled again: no account is ever overdrawn.
    """
    requested = call.data
    transfer = call.event.stream.removeprefix(f"{transfers.category}-")
    reserved = Reserved(transfer=transfer, to=requested.to, amount=requested.amount)
    try:
        await accounts.act(call, requested.source, partial(reserving, reserved))
    except RefusalError as refusal:
        call.emit(call.event.stream, Refused(reason=str(refusal)))


async def pay(call: ReactionCall[Reserved]) -> None:
    """Give the money to the other account, or back: all three streams change together.

    Nothing is expected of them, as nothing that may happen meanwhile makes this wrong: the money is put
    aside, an open account stays open, and nobody else ends this transfer.
    """
    reserved = call.data
    transfer, amount = reserved.transfer, reserved.amount
    receiver = await accounts.load(call, reserved.to)
    try:
        check_open(receiver.state)
    except RefusalError as refusal:
        call.emit(call.event.stream, Released(transfer=transfer, amount=amount))
        call.emit(transfers.stream(transfer), Refused(reason=str(refusal)))
        return
    call.emit(call.event.stream, Paid(transfer=transfer, amount=amount))
    call.emit(accounts.stream(reserved.to), Received(transfer=transfer, amount=amount))
    call.emit(transfers.stream(transfer), Completed())
