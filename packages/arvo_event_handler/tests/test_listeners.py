"""What the owner of a broker is told, and where the calls of its functions count."""

import asyncio
import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import (
    DeadLetter,
    DeadLetterReason,
    Listeners,
    OwnerFunctions,
    Seats,
    Trial,
)
from arvo_time.testing import FakeClock

SECOND = timedelta(seconds=1)

LOGGER = logging.getLogger("test_listeners")
EVENT = ArvoEvent.create(
    id="e1", source="com.app", type="com.svc.one", subject="order-7", data={}
)  # fmt: skip
LETTER = DeadLetter(
    event=EVENT, error=KeyError("no"), attempts=1, handler=None, reason=DeadLetterReason.THROWN
)


def listeners_of(clock: FakeClock, **functions: Any) -> Listeners:
    return Listeners(OwnerFunctions(**functions), broker=object(), clock=clock, logger=LOGGER)


class Counted(Trial):
    """Is counted together with what stands beside it."""

    def __init__(self, moves: list[str]) -> None:
        super().__init__(EVENT, context=None)
        self.moves = moves

    @override
    def beside(self, event: ArvoEvent) -> Trial:
        return Counted(self.moves)

    @override
    def enter(self, seats: Seats) -> None:
        self.moves.append("enter")

    @override
    def end(self) -> None:
        self.moves.append("end")


async def test_report_of_a_failed_listener_counts_where_its_event_does() -> None:
    async def fail() -> None:
        raise ConnectionError("no")

    async def on_broker_error(event: ArvoEvent, error: Exception) -> None:
        seen.append(str(error))

    clock, moves, seen = FakeClock(), list[str](), list[str]()
    listeners = listeners_of(clock, on_broker_error=on_broker_error)
    listeners.call(Counted(moves), function=fail, name="on_unclaimed")
    await listeners.topic.wait_empty()
    assert seen == ["no"]
    assert moves == ["enter", "enter", "end", "end"], "the report is open before its cause ends"
    await listeners.stop(patience=SECOND)


async def test_failure_of_a_listener_that_was_given_up_is_not_reported_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def on_dead_letter(letter: DeadLetter) -> None:
        while not gone.is_set():
            try:
                await gone.wait()
            except asyncio.CancelledError:
                continue
        raise ConnectionError("late")

    async def on_broker_error(event: ArvoEvent, error: Exception) -> None:
        raise AssertionError("it has been reported")

    clock, gone = FakeClock(), asyncio.Event()
    listeners = listeners_of(clock, on_dead_letter=on_dead_letter, on_broker_error=on_broker_error)
    listeners.keep(LETTER, trial=Trial(EVENT, context=None))
    await clock.settle()
    await clock.run_until_complete(listeners.stop(patience=SECOND))
    gone.set()
    await clock.settle()
    said = partial("event e1 of type com.svc.one {}".format)
    assert [record.getMessage() for record in caplog.records] == [
        said("did not reach on_dead_letter, which was cancelled"),
        said("ended after it had been given up; nothing is published"),
    ]
