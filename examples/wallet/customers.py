"""The customers: open accounts, and ask for transfers at random, the same ones for the same seed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from arvo_event_store import StoreFailure

from .accounts import accounts, opening
from .bank import Bank
from .transfers import Requested, requesting, transfers

DEPOSIT: Final = 500_00
"""What each account begins with, in cents."""
NOBODY: Final = "nobody"
"""An account that was never opened."""
_AT_ONCE: Final = 16
_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the customers do."""

    accounts: Sequence[str]
    """The accounts that they open."""
    transfers: Mapping[str, Requested]
    """The transfers that they ask for, by id."""

    @classmethod
    def of(cls, *, accounts: int, transfers: int, seed: int = 1, name: str = "t") -> "Plan":
        """Make a plan; a few transfers go to nobody, and a few are for more than anybody has.

        Args:
            accounts: How many accounts there are, at least 2.
            transfers: How many transfers.
            seed: Of all random choices.
            name: How the ids of transfers begin.
        """
        random = Random(seed)
        names = [f"a{number:03}" for number in range(accounts)]
        wanted = {}
        for number in range(transfers):
            source, to = random.sample(names, 2)
            amount = random.randint(1, DEPOSIT // 50)
            if random.random() < 0.02:
                to = NOBODY
            elif random.random() < 0.02:
                amount *= 1_000
            wanted[f"{name}{number:05}"] = Requested(source=source, to=to, amount=amount)
        return cls(accounts=names, transfers=wanted)


async def open_accounts(bank: Bank, plan: Plan) -> None:
    """Open all accounts of a plan; those that are open stay as they are."""

    def opened(name: str) -> Awaitable[object]:
        return accounts.act(bank.store, name, partial(opening, f"owner of {name}", DEPOSIT))

    await _each(partial(opened, name) for name in plan.accounts)


async def ask_for_transfers(bank: Bank, plan: Plan) -> None:
    """Ask for all transfers of a plan, again while the database is away. Workers do the rest."""

    def asked(transfer: str, requested: Requested) -> Awaitable[object]:
        return transfers.act(bank.store, transfer, partial(requesting, requested))

    await _each(partial(asked, *each) for each in plan.transfers.items())


async def _each(calls: Iterable[Callable[[], Awaitable[object]]]) -> None:
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await _insisted(call)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())


async def _insisted(call: Callable[[], Awaitable[object]]) -> None:
    """Make a call until it succeeds: each may be made again, whether it was done before or not."""
    while True:
        try:
            await call()
        except StoreFailure as failure:
            if not failure.retryable:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return
