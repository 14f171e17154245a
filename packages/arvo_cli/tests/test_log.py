import logging
from pathlib import Path
from typing import Any

import pytest

from arvo_cli._log import shown_logs


def test_what_is_important_enough_is_shown_until_the_block_ends() -> None:
    told: list[str] = []
    logger = logging.getLogger("some.library")
    with shown_logs("info", say=told.append):
        logger.info("connected to %s", "there")
        logger.debug("a detail")
        logger.error("lost it")
    logger.error("nobody looks any more")
    assert told == ["INFO some.library: connected to there", "ERROR some.library: lost it"]


def test_a_traceback_is_shown_line_by_line() -> None:
    told: list[str] = []
    with shown_logs("info", say=told.append):
        try:
            raise KeyError("lost")
        except KeyError:
            logging.getLogger("some.library").exception("failed")
    assert told[0] == "ERROR some.library: failed"
    assert told[-1] == "KeyError: 'lost'"
    assert not any("\n" in line for line in told)


def test_a_log_that_cannot_be_shown_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
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
