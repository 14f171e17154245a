"""A dead letter is logged once, on one line; its traceback is logged at debug level."""

import logging
from typing import Any

import pytest
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import SimpleEventBroker
from arvo_event_handler.delivery import DeadLetter, ErrorResponse, HandlerConfig, log_dead_letter
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock

from .stub_handler import StubHandler, event, failing


class Secret(Exception):
    """An error whose message cannot be read."""

    @override
    def __str__(self) -> str:
        raise KeyError("mute")


def config(error: Exception, **settings: Any) -> HandlerConfig:
    return HandlerConfig(failing(99, error), retry=RetryPolicy(retries=0), **settings)


async def ignore(*reported: object) -> None: ...


def one_line(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """Return the only record above debug level; it must be one line without a traceback."""
    [record] = [each for each in caplog.records if each.levelno > logging.DEBUG]
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 8192
    assert record.exc_info is None
    return record


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.exc_info is not None]


class TestConcurrentBroker:
    @pytest.mark.parametrize("listener", [None, "on_dead_letter"])
    async def test_a_dead_letter_is_one_line_with_its_traceback_at_debug_level(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture, listener: str | None
    ) -> None:
        caplog.set_level(logging.DEBUG)
        listeners: dict[str, Any] = {} if listener is None else {listener: ignore}
        async with ConcurrentEventBroker(
            [config(ConnectionError("away"))], clock=clock, **listeners
        ) as broker:
            await broker.publish(event("e1"))
        record = one_line(caplog)
        assert record.levelno == logging.ERROR
        assert record.getMessage() == (
            "event e1 of type com.svc.one for com.svc.one is dead (exhausted, attempts: 1): "
            "ConnectionError: away"
        )
        [traceback] = tracebacks(caplog)
        assert traceback.levelno == logging.DEBUG

    async def test_with_only_on_broker_error_the_letter_is_logged(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ConcurrentEventBroker(
            [config(ConnectionError("away"))], clock=clock, on_broker_error=ignore
        ) as broker:
            await broker.publish(event("e1"))
        assert "is dead (exhausted" in one_line(caplog).getMessage()

    async def test_with_both_listeners_nothing_is_logged(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, logger="arvo_concurrent")
        async with ConcurrentEventBroker(
            [config(ConnectionError("away"))],
            clock=clock,
            on_broker_error=ignore,
            on_dead_letter=ignore,
        ) as broker:
            await broker.publish(event("e1"))
        assert [each for each in caplog.records if each.name == "arvo_concurrent"] == []

    async def test_an_event_that_on_error_drops_is_one_line(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        dropped = config(ConnectionError("no"), on_error=lambda failed: ErrorResponse.SUPPRESS)
        async with ConcurrentEventBroker([dropped], clock=clock) as broker:
            await broker.publish(event("e1"))
        record = one_line(caplog)
        assert record.levelno == logging.WARNING
        assert "(dropped, as on_error said, attempts: 1): ConnectionError: no" in (
            record.getMessage()
        )
        assert len(tracebacks(caplog)) == 1

    @pytest.mark.parametrize(
        ("to", "reason"), [("com.nobody.here", "unroutable"), ("com.svc.one", "unclaimed")]
    )
    async def test_an_unroutable_or_unclaimed_event_is_one_line(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture, to: str, reason: str
    ) -> None:
        async def answer(cause: ArvoEvent) -> list[ArvoEvent]:
            return [
                ArvoEvent.create(
                    id="a1",
                    type="evt.svc.done",
                    source=to,
                    to=cause.source,
                    subject="s",
                    parentid=cause.id,
                    data={},
                )
            ]

        async with ConcurrentEventBroker([StubHandler(answer)], clock=clock) as broker:
            await broker.publish(event("e1", to=to))
        assert f"is dead ({reason}, attempts: 0): UnroutableError: " in (
            one_line(caplog).getMessage()
        )


class TestSimpleBroker:
    async def test_a_dead_letter_is_one_line_with_its_traceback_at_debug_level(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        await SimpleEventBroker([failing(9, ConnectionError("away"))]).publish(event("e1"))
        assert one_line(caplog).getMessage() == (
            "event e1 of type com.svc.one for com.svc.one is dead: ConnectionError: away"
        )
        assert [each.levelno for each in tracebacks(caplog)] == [logging.DEBUG]


class TestLine:
    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (ValueError("two\nlines\r\tand\x1b[31mred"), "two\\nlines\\r\\tand\\x1b[31mred"),
            (ValueError("\u2028\ud800"), "\\u2028\\ud800"),
            (Secret(), "Secret: <the error's text cannot be read>"),
            (ValueError(""), "ValueError: "),
            (ExceptionGroup("two", [KeyError("a"), KeyError("b")]), "two (2 sub-exceptions)"),
        ],
    )
    async def test_any_error_message_becomes_one_line(
        self, caplog: pytest.LogCaptureFixture, error: Exception, said: str
    ) -> None:
        async with ConcurrentEventBroker([config(error)]) as broker:
            await broker.publish(event("e1"))
        assert said in one_line(caplog).getMessage()

    def test_long_names_and_messages_are_cut(self, caplog: pytest.LogCaptureFixture) -> None:
        long = "\n" * 10**6
        wide = event("i" * 10**5).model_copy(update={"type": "t" * 10**6})
        log_dead_letter(
            wide,
            error=type("E" * 10**6, (Exception,), {})(long),
            handler="h" * 10**6,
            reason="exhausted",
            attempts=10**9,
            logger=logging.getLogger("arvo_concurrent"),
        )
        assert "..." in one_line(caplog).getMessage()

    def test_a_disabled_logger_formats_no_error(self) -> None:
        class Loud(Exception):
            @override
            def __str__(self) -> str:
                raise AssertionError

        logger = logging.getLogger("arvo_concurrent.off")
        logger.setLevel(logging.CRITICAL)
        log_dead_letter(event("e1"), error=Loud(), handler=None, logger=logger)


async def test_a_letter_for_a_listener_has_the_error_and_the_attempts(clock: FakeClock) -> None:
    letters: list[DeadLetter] = []

    async def keep(letter: DeadLetter) -> None:
        letters.append(letter)

    async with ConcurrentEventBroker(
        [config(ConnectionError("away"))], clock=clock, on_dead_letter=keep, on_broker_error=ignore
    ) as broker:
        await broker.publish(event("e1"))
    assert [(str(each.error), each.attempts) for each in letters] == [("away", 1)]
