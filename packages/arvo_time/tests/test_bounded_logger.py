import io
import logging
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st
from typing_extensions import override

from arvo_time.logs import bounded_logger


class TestBoundedLogger:
    @pytest.fixture
    def log(self) -> logging.Logger:
        return bounded_logger("arvo_time.tests")

    @pytest.fixture
    def shown(self, log: logging.Logger, caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
        caplog.set_level("DEBUG", logger=log.name)
        formatter = logging.Formatter("%(message)s")
        return lambda: formatter.format(caplog.records[-1])

    def test_a_bounded_logger_is_the_logger_of_that_name(self, log: logging.Logger) -> None:
        assert log is logging.getLogger("arvo_time.tests")
        assert bounded_logger(log.name).filters == log.filters[:1]

    def test_a_short_record_stays_as_it_is(
        self, log: logging.Logger, shown: Callable[[], str], caplog: pytest.LogCaptureFixture
    ) -> None:
        log.warning("event %s of type %s", "é", "b")
        assert shown() == "event é of type b"
        assert caplog.records[-1].args == ("é", "b")

    @given(st.text(st.characters(), min_size=1), st.integers(1, 20_000), st.booleans())
    @settings(max_examples=30, suppress_health_check=[])
    def test_no_record_takes_more_than_8_kib(self, text: str, times: int, raised: bool) -> None:
        log = bounded_logger("arvo_time.tests.any")
        log.propagate = False
        lines = io.StringIO()
        handler = logging.StreamHandler(lines)
        log.addHandler(handler)
        error = ValueError(text * times)
        error.__cause__ = ValueError(text * times)
        log.error("event %s failed: %s", text * times, text, exc_info=error if raised else None)
        log.removeHandler(handler)
        assert len(lines.getvalue().removesuffix("\n").encode()) <= 8192
        assert lines.getvalue().startswith("event ")

    def test_a_short_traceback_is_left_to_the_formatter(
        self, log: logging.Logger, shown: Callable[[], str], caplog: pytest.LogCaptureFixture
    ) -> None:
        log.error("no", exc_info=ValueError("short"))
        assert caplog.records[-1].exc_text is None or "short" in caplog.records[-1].exc_text
        assert shown() == "no\nValueError: short"

    def test_exc_info_without_an_exception_changes_nothing(
        self, log: logging.Logger, shown: Callable[[], str]
    ) -> None:
        log.error("no", exc_info=True)
        assert shown() == "no\nNoneType: None"

    def test_a_record_that_cannot_be_written_is_left_to_the_handlers(
        self, log: logging.Logger, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Unspeakable:
            @override
            def __str__(self) -> str:
                raise RuntimeError("no words")

        logger = logging.getLogger("arvo_time.tests")
        record = logger.makeRecord(
            logger.name, logging.INFO, __file__, 1, "%s", (Unspeakable(),), None
        )
        assert log.filter(record)
