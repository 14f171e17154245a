import logging
from pathlib import Path
from typing import Any

import pytest

from arvo_cli._terminal._log import shown_logs


def test_records_of_the_level_and_above_are_shown_within_the_block() -> None:
    shown: list[str] = []
    logger = logging.getLogger("some.library")
    with shown_logs("info", say=shown.append):
        logger.info("connected to %s", "there")
        logger.debug("a detail")
        logger.error("lost it")
    logger.error("no longer shown")
    assert shown == ["INFO some.library: connected to there", "ERROR some.library: lost it"]


def test_a_traceback_is_shown_line_by_line() -> None:
    shown: list[str] = []
    with shown_logs("info", say=shown.append):
        try:
            raise KeyError("lost")
        except KeyError:
            logging.getLogger("some.library").exception("failed")
    assert shown[0] == "ERROR some.library: failed"
    assert shown[-1] == "KeyError: 'lost'"
    assert not any("\n" in line for line in shown)


def test_record_that_cannot_be_shown_does_not_raise(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(line: str) -> None:
        raise OSError("closed")

    with shown_logs("info", say=fail):
        logging.getLogger("some.library").info("connected")
    assert "OSError: closed" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "shown"), [((), False), (("--log-level", "debug"), True)])
def test_a_run_shows_logs_on_standard_error(
    arvo: Any, targets: Path, jsonl: Any, options: tuple[str, ...], shown: bool
) -> None:
    ran = arvo(
        *("run", targets / "tally", "--contract", "#/test/tally/1.0.0"),
        *("--events", jsonl([{"word": "tea"}]), *options),
    )
    assert ran.status == 0
    assert ("DEBUG asyncio: " in ran.err) == shown


def test_an_unknown_level_is_wrong_usage(arvo: Any, targets: Path) -> None:
    ran = arvo("run", targets / "tally", "--events", "-", "--log-level", "loud")
    assert ran.status == 2
    assert "debug" in ran.err
