"""Requests of resumables that leave later, and are cancelled before."""

from dataclasses import replace
from datetime import timedelta

import pytest

from arvo_event_handler import (
    Complete,
    ContractViolation,
    Due,
    Emit,
    Start,
    Step,
    Timer,
    WorkflowControl,
)
from arvo_time.testing import FakeClock

from .reminders import (
    ASK_PAY,
    DAY,
    HOUR,
    PAY_V1,
    Call,
    Ended,
    Order,
    Shop,
    Waiting,
    paid,
)


@pytest.mark.parametrize("warm_bytes", [1024 * 1024, 0], ids=["warm", "cold"])
@pytest.mark.parametrize("by", ["answer", "timer"])
@pytest.mark.parametrize("after", [None, 2 * DAY], ids=["now", "later"])
async def test_one_that_is_sent_anew_with_its_id_is_awaited(
    clock: FakeClock, warm_bytes: int, by: str, after: timedelta | None
) -> None:
    seen: list[int] = []

    async def moving(call: Call) -> Step[Waiting]:
        delayed = Emit(ASK_PAY, Order(), id="late", after=DAY)
        if isinstance(call, Start):
            asked = [Emit(ASK_PAY, Order())] if by == "answer" else []
            timers = [Timer("soon", after=HOUR)] if by == "timer" else []
            return Step(services=[*asked, delayed], timers=timers)
        if isinstance(call, Due) or call.event.parentid != "late":
            return Step(services=[replace(delayed, after=after)], cancel=["late"])
        seen.append(len(call.replies(PAY_V1)))
        return Step()

    shop = Shop(clock, moving, warm_bytes=warm_bytes)
    begun = await shop.begin()
    clock.advance(HOUR)
    sent = await (shop.handler.execute(paid(begun[0])) if begun else shop.tick())
    if after is not None:
        assert sent == []
        clock.advance(3 * DAY)
        sent = await shop.tick()
    [request] = sent
    wake = WorkflowControl(shop.init.subject, source="com.app.operator").wake()
    assert await shop.handler.execute(wake) == [request]
    await shop.handler.execute(paid(request))
    assert seen == [1]


def test_none_can_be_asked_for_by_the_step_that_ends() -> None:
    """It would never leave: what is pending ends with its workflow."""
    with pytest.raises(ContractViolation, match=f"{ASK_PAY} is to leave later"):
        Step(services=[Emit(ASK_PAY, Order(), after=HOUR)], output=Complete(Ended()))
