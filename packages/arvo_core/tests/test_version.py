"""Semantic versions."""

import pytest
from hypothesis import given, strategies as st

from arvo_core import InvalidVersionError
from arvo_core.semantic_version import (
    WILDCARD_VERSION,
    SemanticVersion,
    is_semantic_version,
    is_wildcard_version,
)

GARBAGE = [
    "", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.0-beta", "1.0.0+build", "1.0.0 garbage", " 1.0.0",
    "1.0.0\n", "1.0.x", "1..0", "-1.0.0", "+1.0.0", "1_0.0.0", "\u0661.\u0660.\u0660", "¹.0.0", "9" * 5000 + ".0.0",
]  # fmt: skip


def test_versions_order_by_number() -> None:
    written = ["1.10.0", "1.9.0", "0.0.10", "2.0.0", "0.0.9"]
    ordered = sorted(map(SemanticVersion.parse, written))
    assert [str(version) for version in ordered] == ["0.0.9", "0.0.10", "1.9.0", "1.10.0", "2.0.0"]


def test_versions_equal_in_number_are_equal() -> None:
    assert SemanticVersion.parse("01.0.00") == SemanticVersion(1, 0, 0)
    assert str(SemanticVersion.parse("01.0.00")) == "1.0.0"


@pytest.mark.parametrize("text", GARBAGE)
def test_malformed_versions_are_refused(text: str) -> None:
    assert not is_semantic_version(text)
    assert not is_wildcard_version(text)
    with pytest.raises(InvalidVersionError, match="write three numbers"):
        SemanticVersion.parse(text)


@pytest.mark.parametrize("text", [WILDCARD_VERSION, "00.0.0", "0.000.0"])
def test_every_spelling_of_zero_is_the_wildcard(text: str) -> None:
    assert is_wildcard_version(text)


@pytest.mark.parametrize("text", ["1.0.0", "0.0.1", "0.10.0"])
def test_other_versions_are_not_the_wildcard(text: str) -> None:
    assert not is_wildcard_version(text)


@given(st.tuples(*[st.integers(0, 10**50)] * 3))
def test_parse_undoes_str(numbers: tuple[int, int, int]) -> None:
    version = SemanticVersion(*numbers)
    assert SemanticVersion.parse(str(version)) == version


@given(st.text(alphabet=st.characters()) | st.text(alphabet="0123.٣ \n"))
def test_parse_raises_nothing_but_the_documented_error(text: str) -> None:
    try:
        SemanticVersion.parse(text)
    except InvalidVersionError as error:
        assert not is_semantic_version(text)
        str(error).encode()
    else:
        assert is_semantic_version(text)
