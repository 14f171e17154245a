"""`arvo store`, called without a terminal, and a bank whose reactions are in trouble."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from arvo_event_store import (
    PER_EVENT,
    EventConsumer,
    IEventStore,
    NewEvent,
    Postpone,
    Reaction,
    ReactionCall,
    ReactionFailure,
    ReactionWorker,
    Reject,
    connect_event_store,
)
from arvo_time import Backoff, RetryPolicy

from .memory_command import Command, without_terminal

_AT_ONCE = RetryPolicy(retries=1, backoff=Backoff(initial=timedelta(0), maximum=timedelta(0)))
TRANSFERS = [
    ("ann", 5, "bob"),
    ("bob", 13, "nobody"),  # `transfer` blocks wallet-bob, `tell` parks the event
    ("cy", 7, "later"),  # postponed by `transfer`
    ("dora", 13, "ann"),  # parked by `tell`
    ("ann", 2, "nobody"),  # `transfer` blocks wallet-ann
    ("ann", 3, "bob"),
]
"""Who sends how much to whom, at the positions from 1 on."""


@dataclass(frozen=True)
class Sent:
    amount: int
    to: str


class Bank:
    """A store by URL, and what its reactions have handled."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.mended = False
        """Whether nothing fails any more."""
        self.handled: list[tuple[str, int]] = []
        """Which reaction has handled the event at which position."""

    def settle(self) -> None:
        """Let a worker handle what there is."""

        async def settle(store: IEventStore) -> None:
            worker = ReactionWorker(
                store, group="bank", reactions=self._reactions(), on_error=_quiet
            )
            await worker.settle()

        self.run(settle)

    def run(self, work: Callable[[IEventStore], Coroutine[Any, Any, Any]]) -> Any:
        """Run work on the store, and return what it returned."""

        async def run() -> Any:
            async with connect_event_store(self.url) as store:
                return await work(store)

        return asyncio.run(run())

    def fill(self) -> None:
        """Store the transfers, and handle them."""

        async def fill(store: IEventStore) -> None:
            for sender, amount, to in TRANSFERS:
                event = NewEvent("Sent", {"amount": amount, "to": to})
                await store.append(f"wallet-{sender}", [event])

        self.run(fill)
        self.settle()
        self.handled.clear()

    def _reactions(self) -> list[EventConsumer]:
        async def transfer(call: ReactionCall[Sent]) -> None:
            if call.data.to == "nobody" and not self.mended:
                raise Reject("no such wallet\x1b[2J")
            if call.data.to == "later":
                raise Postpone(after=timedelta(days=3))
            self.handled.append(("transfer", call.event.position))

        async def tell(call: ReactionCall[Sent]) -> None:
            if call.data.amount == 13 and not self.mended:
                raise ConnectionError("the mail server is away")
            self.handled.append(("tell", call.event.position))

        return [
            Reaction(name="transfer", on=[Sent], handler=transfer, retry=_AT_ONCE),
            Reaction(name="tell", on=[Sent], handler=tell, to=PER_EVENT, retry=_AT_ONCE),
        ]


async def _quiet(failure: ReactionFailure) -> None:
    pass


@pytest.fixture
def store(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call `arvo store` without a terminal."""
    return without_terminal("store", capsys, monkeypatch)


def objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def lags(store: Command, bank: Bank) -> dict[str, dict[str, Any]]:
    status, out, _ = store("lag", bank.url, "bank", "--json")
    assert status == 0
    return {each["reaction"]: each for each in objects(out)}


def blocked_keys(store: Command, bank: Bank) -> list[str]:
    return [each["key"] for each in objects(store("blocked", bank.url, "bank", "--json")[1])]
