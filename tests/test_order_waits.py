"""The example's orders that wait for people: their reminders and deadlines, in both flavours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from arvo_cli import main
from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoContract, ArvoEvent
from arvo_event_handler import (
    ConfigViolation,
    ExecutionPolicy,
    IArvoEventHandler,
    SimpleMachineMemory,
)
from arvo_time.testing import FakeClock
from order_fulfilment import on_domained_event, people, workflow_machine, workflow_resumable
from order_fulfilment.contracts import OrderClosed
from order_fulfilment.delays import DAY_SECONDS, Delays, delays_of
from order_fulfilment.ledger import CATALOGUE, Ledger
from order_fulfilment.services import create_services

from .test_order_fulfilment import EXAMPLE, FLAVOURS, SLOW_LINES, Flavour, balances

DAY = timedelta(days=1)
ORDERS = {event.id: event for event in map(ArvoEvent.from_json, SLOW_LINES)}
# Written here, not computed: how each order ends, and after how many days.
ENDS = {
    "slow-1": ("shipped", 0),
    "slow-2": ("shipped", 0),
    "slow-3": ("shipped", 1),
    "slow-4": ("shipped", 1),
    "slow-5": ("declined", 3),
    "slow-6": ("out_of_stock", 0),
    "slow-7": ("refused", 3),
    "slow-8": ("out_of_stock", 0),
}
REASONS = {
    "declined": "the customer did not confirm the payment",
    "refused": "nobody approved it in time",
    "out_of_stock": "2 of tea-first-flush left",
}
CREATE_WORKFLOW = {
    "resumable": workflow_resumable.create_workflow,
    "machine": workflow_machine.create_workflow,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A service that does nothing until it is let go."""

    service: IArvoEventHandler
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def source(self) -> str:
        return self.service.source

    @property
    def stateful(self) -> bool:
        return self.service.stateful

    @property
    def contract(self) -> ArvoContract | None:
        return self.service.contract

    async def execute(self, event: ArvoEvent, *, parent: Any = None) -> list[ArvoEvent]:
        self.is_asked.set()
        await self.may_go_on.wait()
        return await self.service.execute(event, parent=parent)


@dataclass(slots=True, kw_only=True)
class Shop:
    """The example on a clock that the test moves."""

    ledger: Ledger
    clock: FakeClock
    memory: ConcurrentMachineMemory
    broker: ConcurrentEventBroker
    held: Held
    """The service that is held, if one is."""
    asked: list[ArvoEvent] = field(default_factory=list)
    """The requests to people."""
    days: list[tuple[str, float]] = field(default_factory=list)
    """The types of these requests, and on which days they were made."""
    ends: dict[str | None, tuple[OrderClosed, float]] = field(default_factory=dict)
    """How each order was closed, and after how many days."""

    @property
    def day(self) -> float:
        return (self.clock.now() - datetime(2025, 1, 1, tzinfo=UTC)) / DAY

    async def order(self, *order_ids: str) -> None:
        for order_id in order_ids:
            await self.broker.publish(ORDERS[order_id])
        await self.broker.wait_idle()

    async def pass_time(self, delta: timedelta) -> None:
        """Let time pass, but only while nothing else is left to do, as the ledger uses threads."""
        until = self.clock.now() + delta
        while (due := await self.memory.next_due()) is not None and due <= until:
            await self.clock.run_for(due - self.clock.now())
            await self.broker.wait_idle()
        await self.clock.run_for(until - self.clock.now())

    async def answer(self, request: ArvoEvent, *, customer: str = "ada") -> None:
        """Publish what people answer to a request, once they do; `customer` decides what."""
        answerable = request.to_dict() | {"data": {**request.data, "customer": customer}}
        publish = partial(self.broker.publish, answer_to="com.shop.web")
        await on_domained_event(ArvoEvent.from_dict(answerable), publish)
        await self.broker.wait_idle()


@asynccontextmanager
async def open_shop(
    path: Path, flavour: Flavour, *, holds: str | None = None
) -> AsyncIterator[Shop]:
    """Open the example's shop.

    Args:
        path: The folder of its ledger.
        flavour: The kind of workflow.
        holds: The source of a service that is to be held; None for none.
    """
    ledger = Ledger(path / f"{flavour}.db")
    clock = FakeClock()
    memory = ConcurrentMachineMemory(clock=clock)
    services = {service.source: service for service in create_services(ledger)}
    held = Held(service=services["com.order.ship" if holds is None else holds])
    if holds is not None:
        services[holds] = held
    workflow = CREATE_WORKFLOW[flavour](
        memory, delays=Delays(), policy=ExecutionPolicy(clock=clock)
    )

    async def ask(event: ArvoEvent, publish: Any) -> None:
        shop.asked.append(event)
        shop.days.append((event.type, shop.day))
        await on_domained_event(event, publish)

    async def close(answer: ArvoEvent) -> None:
        shop.ends[answer.parentid] = (OrderClosed.model_validate(answer.data), shop.day)

    async with ConcurrentEventBroker(
        [*services.values(), workflow],
        on_domained_event=ask,
        on_unclaimed=close,
        clock=clock,
    ) as broker:
        shop = Shop(ledger=ledger, clock=clock, memory=memory, broker=broker, held=held)
        try:
            yield shop
        finally:
            held.may_go_on.set()  # or the broker would wait for it
    ledger.close()


async def test_both_flavours_close_slow_orders_alike_and_on_the_same_days(tmp_path: Path) -> None:
    ends = []
    for flavour in FLAVOURS:
        async with open_shop(tmp_path, flavour) as shop:
            await shop.order(*ORDERS)
            await shop.pass_time(30 * DAY)
            assert await shop.memory.next_due() is None
            ends.append(shop.ends)
            check_slow_books(shop.ledger)
    assert ends[0] == ends[1]
    assert {order: (closed.status, day) for order, (closed, day) in ends[0].items()} == ENDS
    for closed, _ in ends[0].values():
        assert closed.reason == REASONS.get(closed.status)


def check_slow_books(ledger: Ledger) -> None:
    """Check that every order that was shipped is paid once, and that the others cost nothing."""
    shipped = {order for order, (status, _) in ENDS.items() if status == "shipped"}
    assert sorted(order for order, _ in ledger.shipments()) == sorted(shipped)
    assert balances(ledger) == {
        order: sum(
            CATALOGUE[line["sku"]][0] * line["quantity"] for line in ORDERS[order].data["lines"]
        )
        for order in shipped
    }
    stock = ledger.stock()
    assert stock["tea-first-flush"] == 2
    assert stock["cup-set"] == CATALOGUE["cup-set"][1]
    assert stock["samovar"] == CATALOGUE["samovar"][1] - 1


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    found: Flavour = request.param
    return found


async def test_a_customer_is_reminded_each_day_until_the_shop_gives_up(
    tmp_path: Path, flavour: Flavour
) -> None:
    async with open_shop(tmp_path, flavour) as shop:
        await shop.order("slow-5")
        await shop.pass_time(30 * DAY)
        assert shop.days == [("com.payment.confirm", day) for day in (0, 1, 2)]
        assert [event.data["reminder"] for event in shop.asked] == [0, 1, 2]
        assert shop.ledger.payments() == []


async def test_a_customer_who_has_confirmed_is_not_reminded_again(
    tmp_path: Path, flavour: Flavour
) -> None:
    """Even if the carrier takes a long time."""
    async with open_shop(tmp_path, flavour, holds="com.order.ship") as shop:
        await shop.order("slow-4")
        await shop.clock.run_for(DAY)
        await shop.held.is_asked.wait()
        await shop.clock.run_for(30 * DAY)
        assert shop.days == [
            ("com.order.approve", 0),
            ("com.payment.confirm", 0),
            ("com.payment.confirm", 1),
        ]
        shop.held.may_go_on.set()
        await shop.broker.wait_idle()
        assert shop.ends["slow-4"][0].status == "shipped"


async def test_an_approval_in_time_takes_the_deadline_away(
    tmp_path: Path, flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the customer then takes longer than the deadline to confirm the payment."""
    monkeypatch.setattr(people, "OVERLOOKED", {"finn"})
    async with open_shop(tmp_path, flavour) as shop:
        await shop.order("slow-4")
        await shop.pass_time(2.5 * DAY)
        [request] = shop.asked
        await shop.answer(request)
        await shop.pass_time(30 * DAY)
        closed, day = shop.ends["slow-4"]
        assert (closed.status, day) == ("shipped", 3.5)


async def test_a_refusal_in_time_takes_the_deadline_away(tmp_path: Path, flavour: Flavour) -> None:
    """Even if the goods take longer than the deadline to go back."""
    async with open_shop(tmp_path, flavour, holds="com.stock.release") as shop:
        await shop.order("slow-7")
        await shop.clock.run_for(2.5 * DAY)
        answering = asyncio.create_task(shop.answer(shop.asked[0], customer="mallory"))
        await shop.held.is_asked.wait()
        await shop.clock.run_for(30 * DAY)
        shop.held.may_go_on.set()
        await answering
        assert shop.ends["slow-7"][0].reason == "refused by the approval desk"
        assert shop.ledger.stock() == {sku: pieces for sku, (_, pieces) in CATALOGUE.items()}


async def test_an_approval_after_the_order_was_closed_charges_nothing(
    tmp_path: Path, flavour: Flavour
) -> None:
    async with open_shop(tmp_path, flavour) as shop:
        await shop.order("slow-7")
        await shop.pass_time(4 * DAY)
        [request] = shop.asked
        await shop.answer(request)
        assert shop.ledger.payments() == []
        assert shop.ends["slow-7"][0].status == "refused"


async def test_an_approval_while_the_goods_go_back_charges_nothing(
    tmp_path: Path, flavour: Flavour
) -> None:
    """The request for it is still open then."""
    async with open_shop(tmp_path, flavour, holds="com.stock.release") as shop:
        await shop.order("slow-7")
        await shop.clock.run_for(3 * DAY)
        await shop.held.is_asked.wait()
        answering = asyncio.create_task(shop.answer(shop.asked[0]))
        await shop.clock.settle()
        assert shop.ends == {}
        shop.held.may_go_on.set()
        await answering
        assert shop.ledger.payments() == []
        assert shop.ends["slow-7"][0].status == "refused"


async def test_a_payment_that_is_confirmed_twice_is_charged_once(
    tmp_path: Path, flavour: Flavour
) -> None:
    async with open_shop(tmp_path, flavour) as shop:
        await shop.order("slow-5")
        await shop.pass_time(1.5 * DAY)
        first, second = shop.asked
        await asyncio.gather(shop.answer(first), shop.answer(second))
        await shop.pass_time(30 * DAY)
        assert [amount for _, amount in shop.ledger.payments()] == [CATALOGUE["cup-set"][0]]
        assert shop.ends["slow-5"][0].status == "shipped"
        assert len(shop.asked) == 2


def test_a_memory_without_an_index_of_timers_is_refused(flavour: Flavour) -> None:
    with pytest.raises(ConfigViolation, match="ConcurrentMachineMemory"):
        CREATE_WORKFLOW[flavour](SimpleMachineMemory(), delays=Delays())


def test_days_are_as_long_as_the_environment_says() -> None:
    assert delays_of({}) == Delays(reminder=DAY, approval=3 * DAY)
    seconds = timedelta(seconds=1)
    assert delays_of({DAY_SECONDS: "2"}) == Delays(reminder=2 * seconds, approval=6 * seconds)
    assert delays_of({DAY_SECONDS: "0.5"}).reminder == 0.5 * seconds


@pytest.mark.parametrize("text", ["", "2s", "0", "-1", "nan", "inf", "86401"])
def test_a_length_of_days_that_makes_no_sense_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(DAY_SECONDS, text)
    assert main(["run", str(EXAMPLE), "--events", str(EXAMPLE / "slow_orders.jsonl")]) == 2
    assert "ORDER_DAY_SECONDS must be a number of seconds" in capsys.readouterr().err


class TestCommand:
    """The command of the README, with shorter days."""

    @pytest.fixture(autouse=True)
    def short_days(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(DAY_SECONDS, "0.5")

    def test_with_wait_it_stays_until_every_order_is_closed(
        self, flavour: Flavour, capsys: pytest.CaptureFixture[str]
    ) -> None:
        events = EXAMPLE / "slow_orders.jsonl"
        words = ["run", EXAMPLE, "--flavour", flavour, "--events", events, "--wait", "1m"]
        assert main([*map(str, words)]) == 0
        answers = [ArvoEvent.from_json(line) for line in capsys.readouterr().out.splitlines()]
        assert {answer.parentid: answer.data["status"] for answer in answers} == {
            order: status for order, (status, _) in ENDS.items()
        }
        assert len(answers) == len(ENDS)
