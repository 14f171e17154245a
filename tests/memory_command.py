"""`arvo memory`, called without a terminal, and what other commands are called by in the same way."""

import io
from collections.abc import Callable

import pytest
from typing_extensions import override

from arvo_cli import main

Command = Callable[..., tuple[int, str, str]]
"""Calls it with words; returns status, output and messages."""


class Terminal(io.StringIO):
    """Standard input at a terminal."""

    @override
    def isatty(self) -> bool:
        return True


def without_terminal(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Return what calls a command of `arvo` without a terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def call(*words: object) -> tuple[int, str, str]:
        status = main([command, *map(str, words)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def memory(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call `arvo memory` without a terminal."""
    return without_terminal("memory", capsys, monkeypatch)
