"""Deadlines, and what becomes of timers when a workflow fails and is retried."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import ArvoEvent
from arvo_event_handler import (
    ConfigViolation,
    ContractViolation,
    Due,
    Emit,
    SimpleMachineMemory,
    Start,
    Step,
    Timer,
    WorkflowControl,
)
from arvo_time.testing import FakeClock

from .reminders import (
    ASK_PAY,
    BEGIN,
    DAY,
    HOUR,
    Call,
    Order,
    Shop,
    Waiting,
    claimed,
    paid,
    purchase,
    start,
)

WEEK = timedelta(days=7)


async def waiting(call: Call) -> Step[Waiting]:
    """Ask for the payment, and wait for it and for a day."""
    if isinstance(call, Start):
        return Step(services=[Emit(ASK_PAY, Order())], timers=[Timer("payment", after=DAY)])
    return Step()


def retry(shop: Shop, attempt: int) -> ArvoEvent:
    return WorkflowControl(shop.init.subject, source="com.app.operator").retry(attempt=attempt)


class TestDeadline:
    async def test_a_workflow_that_takes_too_long_fails(self, clock: FakeClock) -> None:
        shop = Shop(clock, waiting, deadline=WEEK)
        [request] = await shop.begin()
        clock.advance(DAY)
        assert await shop.tick() == []
        assert await shop.due() == BEGIN + WEEK
        clock.advance(WEEK)
        [error] = await shop.tick()
        assert error.type == "sys.arvo.orc.purchase.error"
        assert (error.to, error.parentid) == ("com.app.main", shop.init.id)
        assert error.data["errorName"] == "WorkflowDeadlineExceeded"
        assert "2025-01-08T00:00:00.000+00:00" in error.data["errorMessage"]
        assert await shop.due() is None
        assert await shop.handler.execute(paid(request)) == []

    async def test_it_counts_from_the_time_of_the_init_event(self, clock: FakeClock) -> None:
        shop = Shop(clock, waiting, deadline=HOUR)
        clock.advance(timedelta(minutes=20))
        await shop.begin()
        assert await shop.due() == BEGIN + HOUR

    async def test_the_init_event_may_say_another(self, clock: FakeClock) -> None:
        shop = Shop(clock, waiting, deadline=WEEK)
        shop.init = start(clock, extensions={"deadline": "2025-01-01T02:00:00Z"})
        await shop.begin()
        assert await shop.due() == BEGIN + 2 * HOUR

    async def test_the_init_event_may_say_one_where_the_handler_has_none(
        self, clock: FakeClock
    ) -> None:
        shop = Shop(clock, waiting)
        shop.init = start(clock, extensions={"deadline": "2025-01-01T02:00:00Z"})
        await shop.begin()
        assert await shop.due() == BEGIN + 2 * HOUR

    @pytest.mark.parametrize(
        "said", ["tomorrow", "2025-01-01T02:00:00", 7, "2099-01-01T00:00:00Z"],
        ids=["word", "naive", "number", "far"],
    )  # fmt: skip
    async def test_a_deadline_that_cannot_be_is_refused(self, clock: FakeClock, said: Any) -> None:
        shop = Shop(clock, waiting)
        shop.init = start(clock, extensions={"deadline": said})
        with pytest.raises(ContractViolation, match="deadline"):
            await shop.begin()
        assert await shop.memory.read(shop.init.subject) is None

    async def test_an_init_event_from_the_last_year_is_refused(self, clock: FakeClock) -> None:
        shop = Shop(clock, waiting, deadline=WEEK)
        shop.init = start(clock, time="9999-12-30T00:00:00Z")
        with pytest.raises(ContractViolation, match="deadline: after 7 days"):
            await shop.begin()
        assert await shop.memory.read(shop.init.subject) is None

    async def test_a_function_cannot_cancel_it(self, clock: FakeClock) -> None:
        with pytest.raises(ContractViolation, match="reserved"):
            Step(cancel=["arvo.deadline"])

    def test_it_needs_a_memory_with_an_index(self, clock: FakeClock) -> None:
        async def unannotated(call: Any) -> Step[Any]:
            return Step()

        with pytest.raises(ConfigViolation, match="a deadline needs"):
            purchase(SimpleMachineMemory(), clock, unannotated, deadline=WEEK)

    @pytest.mark.parametrize(
        ("deadline", "error"),
        [(timedelta(0), ValueError), (4000 * DAY, ValueError), (7, TypeError)],
        ids=["zero", "long", "number"],
    )
    def test_a_wrong_one_is_refused_at_construction(
        self, clock: FakeClock, deadline: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error, match="deadline"):
            purchase(ConcurrentMachineMemory(clock=clock), clock, deadline=deadline)

    async def test_a_retry_gives_the_whole_time_again(self, clock: FakeClock) -> None:
        shop = Shop(clock, waiting, deadline=WEEK)
        [request] = await shop.begin()
        clock.advance(DAY)
        await shop.tick()
        clock.advance(9 * DAY)
        first = await claimed(shop.memory, clock)
        await shop.handler.execute(first[0])
        assert await shop.handler.execute(retry(shop, 1)) == [request], "what waits is asked again"
        assert await shop.due() == BEGIN + 10 * DAY + WEEK
        clock.advance(WEEK)
        [second] = await claimed(shop.memory, clock)
        assert second.id != first[0].id
        [error] = await shop.handler.execute(second)
        assert error.data["errorName"] == "WorkflowDeadlineExceeded"
        assert await shop.handler.execute(retry(shop, 2)) == [request]
        assert await shop.due() == BEGIN + 10 * DAY + 2 * WEEK

    async def test_a_retry_gives_the_time_of_the_init_event_again(self, clock: FakeClock) -> None:
        shop = Shop(clock, waiting)
        shop.init = start(clock, extensions={"deadline": "2025-01-01T02:00:00Z"})
        await shop.begin()
        clock.advance(5 * HOUR)
        await shop.tick()
        await shop.handler.execute(retry(shop, 1))
        assert await shop.due() == BEGIN + 7 * HOUR


class TestFailure:
    async def test_a_failed_workflow_waits_for_no_time(self, clock: FakeClock) -> None:
        async def failing(call: Call) -> Step[Waiting]:
            if isinstance(call, Due):
                raise LookupError("no")
            return await waiting(call)

        shop = Shop(clock, failing, deadline=WEEK)
        await shop.begin()
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        [error] = await shop.handler.execute(tick)
        assert error.data["errorName"] == "LookupError"
        assert await shop.due() is None
        assert "timers" not in await shop.record()
        assert await shop.handler.execute(tick) == [error]

    async def test_a_retry_runs_the_tick_again_and_restores_the_others(
        self, clock: FakeClock
    ) -> None:
        broken = True
        names: list[str] = []

        async def failing(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                timers = [Timer("a", after=DAY), Timer("b", after=2 * DAY)]
                return Step(services=[Emit(ASK_PAY, Order())], timers=timers)
            if broken:
                raise LookupError("no")
            assert isinstance(call, Due)
            names.append(call.name)
            return Step()

        shop = Shop(clock, failing)
        await shop.begin()
        clock.advance(DAY)
        await shop.tick()
        broken = False
        await shop.handler.execute(retry(shop, 1))
        assert names == ["a"]
        assert await shop.due() == BEGIN + 2 * DAY
        clock.advance(DAY)
        await shop.tick()
        assert names == ["a", "b"]

    async def test_a_step_that_fails_sets_nothing(self, clock: FakeClock) -> None:
        async def failing(call: Call) -> Step[Waiting]:
            raise LookupError("no")

        shop = Shop(clock, failing, deadline=WEEK)
        await shop.begin()
        assert await shop.due() is None

    async def test_a_workflow_whose_start_is_retried_has_the_whole_time(
        self, clock: FakeClock
    ) -> None:
        broken = True

        async def failing(call: Call) -> Step[Waiting]:
            if broken:
                raise LookupError("no")
            return await waiting(call)

        shop = Shop(clock, failing, deadline=HOUR)
        await shop.begin()
        broken = False
        clock.advance(5 * HOUR)
        await shop.handler.execute(retry(shop, 1))
        assert await shop.due() == datetime(2025, 1, 1, 6, tzinfo=UTC)

    async def test_a_cancelled_workflow_waits_for_no_time(self, clock: FakeClock) -> None:
        shop = Shop(clock, waiting)
        await shop.begin()
        control = WorkflowControl(shop.init.subject, source="com.app.operator")
        await shop.handler.execute(control.cancel("ordered twice"))
        assert await shop.due() is None
