"""`arvo memory`, called without a terminal."""

import io
from collections.abc import Callable

import pytest

from arvo_cli import main

Command = Callable[..., tuple[int, str, str]]
"""Calls it with words; returns status, output and messages."""


@pytest.fixture
def memory(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call `arvo memory` without a terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def call(*words: object) -> tuple[int, str, str]:
        status = main(["memory", *map(str, words)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
