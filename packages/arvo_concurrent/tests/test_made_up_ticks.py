"""Ticks that no memory has claimed."""

from arvo_event_handler import Due, Start, Step, Timer
from arvo_event_handler._timer_event import timer_event
from arvo_time.testing import FakeClock, MetricRecorder

from .reminders import BEGIN, DAY, HOUR, Call, Shop, Waiting


async def test_one_with_the_id_of_another_timer_does_not_keep_that_from_firing(
    clock: FakeClock,
) -> None:
    fired: list[str] = []

    async def several(call: Call) -> Step[Waiting]:
        if isinstance(call, Start):
            return Step(timers=[Timer("a", after=HOUR), Timer("b", after=DAY)])
        assert isinstance(call, Due)
        fired.append(call.name)
        return Step()

    shop = Shop(clock, several)
    await shop.begin()
    first, second = (await shop.record())["timers"]
    tick = timer_event(shop.init.subject, key=first, at=BEGIN, due_by=BEGIN, now=BEGIN)
    made_up = tick.model_copy(update={"data": {**tick.data, "key": second}})
    with MetricRecorder() as metrics:
        assert await shop.handler.execute(made_up) == []
    assert metrics.find(name="arvo.timers.ignored").value == 1
    clock.advance(HOUR)
    await shop.tick()
    assert await shop.due() == BEGIN + DAY
    clock.advance(DAY)
    await shop.tick()
    assert fired == ["a", "b"]
