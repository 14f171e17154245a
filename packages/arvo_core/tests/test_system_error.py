"""Exceptions as data."""

import json

import pytest
from pydantic import ValidationError
from typing_extensions import override

from arvo_core import SystemErrorData


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_raised_error_has_its_traceback() -> None:
    data = SystemErrorData.from_exception(raised(LookupError("no such order")))
    assert data.error_name == "LookupError"
    assert data.error_message == "no such order"
    assert data.error_stack is not None
    assert "test_system_error.py" in data.error_stack
    assert data.error_stack.rstrip().endswith("LookupError: no such order")


def test_an_error_that_was_never_raised_has_no_stack() -> None:
    assert SystemErrorData.from_exception(ValueError()) == SystemErrorData(
        error_name="ValueError", error_message="", error_stack=None
    )


def test_causes_are_in_the_stack() -> None:
    error = ValueError("outer")
    error.__cause__ = raised(KeyError("inner"))
    stack = SystemErrorData.from_exception(raised(error)).error_stack
    assert stack is not None
    assert "inner" in stack


def test_an_error_that_does_not_derive_from_exception_is_described() -> None:
    assert SystemErrorData.from_exception(KeyboardInterrupt()).error_name == "KeyboardInterrupt"


def test_lone_surrogates_of_undecodable_file_names_are_replaced() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    data = SystemErrorData.from_exception(FileNotFoundError(name))
    assert data.error_message == "caf?"
    json.dumps(data.model_dump(), ensure_ascii=False).encode()


def test_the_wire_names_are_those_of_arvo() -> None:
    wire = {"errorName": "E", "errorMessage": "m", "errorStack": None}
    assert SystemErrorData.model_validate(wire).model_dump(by_alias=True) == wire
    with pytest.raises(ValidationError, match="errorStack"):
        SystemErrorData.model_validate({"errorName": "E", "errorMessage": "m"})


def test_an_error_whose_message_cannot_be_read_is_described() -> None:
    class Mute(Exception):
        @override
        def __str__(self) -> str:
            raise RuntimeError("no message")

    described = SystemErrorData.from_exception(Mute())
    assert described.error_name == "Mute"
    assert "cannot be read" in described.error_message


def test_long_messages_and_stacks_are_cut_in_the_middle_and_marked() -> None:
    data = SystemErrorData.from_exception(raised(ValueError("a" * 1_000_000 + "the end")))
    assert data.error_stack is not None
    assert 8000 < len(data.error_message) <= 8 * 1024
    assert 60_000 < len(data.error_stack) <= 64 * 1024
    assert " characters cut] ..." in data.error_message
    assert data.error_message.endswith("the end")
    assert data.error_stack.startswith("Traceback")


def test_a_message_within_the_limit_is_not_cut() -> None:
    text = "a" * 8 * 1024
    assert SystemErrorData.from_exception(ValueError(text)).error_message == text
