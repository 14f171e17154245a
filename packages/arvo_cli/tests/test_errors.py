"""How an exception is reported in one line."""

import pytest

from arvo_cli._errors import named, one_line, os_reason


@pytest.mark.parametrize(
    ("error", "line", "with_class"),
    [
        (TimeoutError(), "TimeoutError", "TimeoutError"),
        (ConnectionResetError(), "ConnectionResetError", "ConnectionResetError"),
        (RuntimeError(" \n "), "RuntimeError", "RuntimeError"),
        (KeyError("schema"), "KeyError: 'schema'", "KeyError: 'schema'"),
        (ValueError("too small"), "too small", "ValueError: too small"),
        (ValueError("too\n  small\n\n  wide"), "too: small; wide", "ValueError: too: small; wide"),
    ],
)
def test_class_is_shown_where_the_message_says_too_little(
    error: Exception, line: str, with_class: str
) -> None:
    assert (one_line(error), named(error)) == (line, with_class)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.jsonl"), "No such file or directory"),
        (OSError("the disk is on fire"), "the disk is on fire"),
        (TimeoutError(), "TimeoutError"),
        (OSError(0, ""), "[Errno 0]"),
    ],
)
def test_reason_why_a_file_cannot_be_used_is_never_empty(error: OSError, reason: str) -> None:
    assert os_reason(error).strip() == reason
