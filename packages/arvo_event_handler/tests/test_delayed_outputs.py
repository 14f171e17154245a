"""What a stateless handler emits for later, and brokers that have nothing to keep it in."""

import logging
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel

from arvo_core import ArvoEvent, ArvoEventFactory, SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    ConfigViolation,
    ContractViolation,
    Emit,
    HandlerInput,
    ResolveError,
    SimpleEventBroker,
)
from arvo_event_handler.delivery import (
    DeadLetterReason,
    GiveUp,
    Handled,
    HandlerConfig,
    HandlerDefaults,
    HandlerRunner,
    Middleware,
    Trial,
    Verdict,
)
from arvo_time.testing import FakeClock

HOUR = timedelta(hours=1)
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


class Text(BaseModel):
    text: str = "hello"


V1 = SimpleVersion("1.0.0", accepts=Text, emits=Text)
ECHO = SimpleArvoContract(uri="#/org/echo", type="net.echo", versions=[V1])
ECHOED = "evt.net.echo.success"
REQUEST = ArvoEventFactory(ECHO.version(V1)).accepts(source="com.app.main", data=Text())


def echo(clock: FakeClock, *outputs: Emit) -> ArvoEventHandler:
    async def echo_v1(call: HandlerInput[Text]) -> list[Emit]:
        return [*outputs]

    return ArvoEventHandler(contract=ECHO, handler={"1.0.0": echo_v1}, clock=clock)


def later(**attributes: Any) -> Emit:
    return Emit(ECHOED, Text(), **({"after": HOUR} | attributes))


async def verdict(
    handler: ArvoEventHandler, clock: FakeClock, *, longest: timedelta | None, **settings: Any
) -> Verdict:
    runner = HandlerRunner(
        handler,
        settings=HandlerConfig(handler, **settings).settled(HandlerDefaults()),
        contention_timeout=HOUR,
        clock=clock,
        random=Random(0),
        logger=logging.getLogger("test_delayed_outputs"),
        longest_delay=longest,
    )
    return await runner.run(Trial(REQUEST, context=None))


class TestEvent:
    @pytest.mark.parametrize(
        ("item", "at"),
        [
            (later(), "2025-01-01T01:00:00.000+00:00"),
            (later(after=timedelta(0)), "2025-01-01T00:00:00.000+00:00"),
            (later(after=timedelta(microseconds=1)), "2025-01-01T00:00:00.001+00:00"),
            (later(after=None, at=BEGIN + 24 * HOUR), "2025-01-02T00:00:00.000+00:00"),
        ],
        ids=["after", "zero", "rounded up", "at"],
    )
    async def test_it_says_when_it_leaves(self, item: Emit, at: str) -> None:
        [event] = await echo(FakeClock(), item).execute(REQUEST)
        assert event.extensions == {"notbefore": at}

    async def test_another_extension_stays(self) -> None:
        item = later(extensions={"tenant": "seven"})
        [event] = await echo(FakeClock(), item).execute(REQUEST)
        assert event.extensions["tenant"] == "seven"

    async def test_one_that_leaves_now_says_nothing(self) -> None:
        [event] = await echo(FakeClock(), Emit(ECHOED, Text())).execute(REQUEST)
        assert event.extensions == {}

    async def test_a_run_that_is_repeated_gives_the_same_id(self) -> None:
        clock = FakeClock()
        handler = echo(clock, later())
        [first] = await handler.execute(REQUEST)
        clock.advance(HOUR)
        [second] = await handler.execute(REQUEST)
        assert first.id == second.id

    @pytest.mark.parametrize(
        "moment",
        [BEGIN + timedelta(days=3654), datetime.max.replace(tzinfo=UTC)],
        ids=["far", "last"],
    )
    async def test_more_than_ten_years_are_refused(self, moment: datetime) -> None:
        handler = echo(FakeClock(), later(after=None, at=moment))
        with pytest.raises(ContractViolation, match=rf"Emit of {ECHOED}: .* 10 years"):
            await handler.execute(REQUEST)


class TestRunner:
    async def test_it_sets_apart_what_leaves_later(self) -> None:
        clock = FakeClock()
        handler = echo(clock, later(), Emit(ECHOED, Text(text="now")))
        found = await verdict(handler, clock, longest=HOUR)
        assert isinstance(found, Handled)
        [output] = found.outputs
        [late] = found.delayed
        assert (output.data, late.event.data, late.at) == (
            {"text": "now"},
            {"text": "hello"},
            BEGIN + HOUR,
        )

    async def test_output_middleware_sees_it(self) -> None:
        seen: list[ArvoEvent] = []
        clock = FakeClock()
        middleware = Middleware(output=lambda event, cause: seen.append(event))
        found = await verdict(echo(clock, later()), clock, longest=HOUR, middleware=middleware)
        assert isinstance(found, Handled)
        assert [each.event for each in found.delayed] == seen

    @pytest.mark.parametrize(
        "item",
        [later(after=timedelta(0)), later(after=None, at=BEGIN - HOUR)],
        ids=["zero", "passed"],
    )
    async def test_what_is_due_already_leaves_now_on_any_broker(self, item: Emit) -> None:
        clock = FakeClock()
        found = await verdict(echo(clock, item), clock, longest=None)
        assert isinstance(found, Handled)
        assert (len(found.outputs), found.delayed) == (1, [])

    @pytest.mark.parametrize(
        ("item", "longest", "said"),
        [
            (later(), None, "this broker has nothing that keeps it until then; run the handler on"),
            (
                later(),
                HOUR - timedelta(seconds=1),
                "too far ahead; the transport delays by at most 0",
            ),
            (later(domain="human"), HOUR, "with the domain 'human'"),
            (Emit(ECHOED, Text(), extensions={"notbefore": "noon"}), HOUR, "got 'noon'"),
            (Emit(ECHOED, Text(), extensions={"notbefore": "2025-01-01"}), HOUR, "with a zone"),
        ],
        ids=["no delay", "too long", "domain", "no time", "no zone"],
    )
    async def test_what_cannot_be_ends_the_try_and_nothing_leaves(
        self, item: Emit, longest: timedelta | None, said: str
    ) -> None:
        clock = FakeClock()
        handler = echo(clock, Emit(ECHOED, Text()), item)
        found = await verdict(handler, clock, longest=longest)
        assert isinstance(found, GiveUp)
        assert found.letter.reason is DeadLetterReason.NOT_RETRYABLE
        assert found.letter.event is REQUEST
        assert ECHOED in str(found.letter.error)
        assert said in str(found.letter.error)


async def test_a_simple_broker_refuses_it_and_publishes_nothing() -> None:
    failed: list[str] = []

    async def note(event: ArvoEvent, error: Exception) -> None:
        failed.append(event.id)

    clock = FakeClock()
    broker = SimpleEventBroker([echo(clock, later())], on_error=note, clock=clock)
    with pytest.raises(ResolveError) as caught:
        await broker.resolve(REQUEST)
    assert isinstance(caught.value.__cause__, ConfigViolation)
    assert "DistributedEventBroker" in str(caught.value.__cause__)
    assert failed == [REQUEST.id]


def test_a_clock_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="clock"):
        echo("noon")  # type: ignore[arg-type]
