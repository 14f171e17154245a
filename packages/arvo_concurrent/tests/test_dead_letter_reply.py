"""The reply to a dead request follows its dead letter, unless the broker is closing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoContract, ArvoEvent
from arvo_event_handler import RetryableFailure
from arvo_event_handler.delivery import (
    Bulk,
    DeadLetter,
    DeadLetterReason,
    ErrorResponse,
    HandlerConfig,
    Middleware,
)
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, Gate, Owner, broker_of
from .expenses import pricing
from .stub_handler import StubHandler, event

PRICING = pricing().contract


class Bound(StubHandler):
    """A handler with the contract of the pricing service."""

    def __init__(self, act: Callable[[ArvoEvent], Awaitable[list[ArvoEvent]]]) -> None:
        super().__init__(act, source=PRICING.type)

    @property
    @override
    def contract(self) -> ArvoContract:
        return PRICING


async def ask_itself(_: ArvoEvent) -> list[ArvoEvent]:
    return [event("out-1", to=PRICING.type), event("out-2", to=PRICING.type)]


async def test_each_dead_output_has_its_letter_and_then_its_reply(clock: FakeClock) -> None:
    reported: list[object] = []

    async def on_dead_letter(letter: DeadLetter) -> None:
        reported.append((letter.event.id, letter.replied))

    async def on_broker_error(failed: ArvoEvent, error: Exception) -> None:
        reported.append((failed.id, error))

    async def on_unclaimed(reply: ArvoEvent) -> None:
        reported.append(reply.parentid)

    error = ConnectionError("no")

    def leave(outputs: list[ArvoEvent], cause: ArvoEvent) -> None:
        raise error

    config = HandlerConfig(
        Bound(ask_itself), middleware=Middleware(output=Bulk(leave)), dead_letter_reply=True
    )
    async with ConcurrentEventBroker(
        [config],
        on_dead_letter=on_dead_letter,
        on_broker_error=on_broker_error,
        on_unclaimed=on_unclaimed,
        clock=clock,
    ) as broker:
        await broker.publish(event("e1", to=PRICING.type))
    first: list[object] = [("out-1", True), ("out-1", error), "out-1"]
    assert reported == [*first, ("out-2", True), ("out-2", error), "out-2"]


async def test_dead_outputs_of_a_closing_broker_get_no_reply(
    owner: Owner, clock: FakeClock
) -> None:
    gate = Gate()

    async def leave(outputs: list[ArvoEvent], cause: ArvoEvent) -> list[ArvoEvent]:
        await gate.opened()
        raise ConnectionError("no")

    config = HandlerConfig(
        Bound(ask_itself), middleware=Middleware(output=Bulk(leave)), dead_letter_reply=True
    )
    async with broker_of(owner, clock, config) as broker:
        await broker.publish(event("e1", to=PRICING.type))
        await clock.settle()
        closing = asyncio.create_task(broker.aclose(grace=SECOND))
        await clock.settle()
        gate.open()
        await closing
    reason = DeadLetterReason.OUTPUT_MIDDLEWARE
    assert owner.reasons == [("out-1", reason), ("out-2", reason)]
    assert [letter.replied for letter in owner.letters] == [False, False]


@pytest.mark.parametrize("closes", [False, True])
async def test_a_reply_that_cannot_be_made_is_reported_after_the_letter(
    owner: Owner, clock: FakeClock, closes: bool
) -> None:
    """A closing broker sends no reply, so it reports nothing about one."""
    gate = Gate()

    async def fail(cause: ArvoEvent) -> list[ArvoEvent]:
        await gate.opened()
        failure: Any = RetryableFailure("no", replies=())
        failure.replies = 7
        raise failure

    config = HandlerConfig(
        Bound(fail), on_error=lambda _: ErrorResponse.THROW, dead_letter_reply=True
    )
    async with broker_of(owner, clock, config) as broker:
        await broker.publish(event("e1", to=PRICING.type))
        await clock.settle()
        ending = asyncio.create_task(broker.aclose(grace=SECOND) if closes else broker.drain())
        await clock.settle()
        gate.open()
        await ending
    [letter] = owner.letters
    assert (letter.reason, letter.replied) == (DeadLetterReason.THROWN, False)
    no, *rest = [error for _, error in owner.errors]
    assert no == "no"
    assert [("iterable" in error) for error in rest] == ([] if closes else [True])
