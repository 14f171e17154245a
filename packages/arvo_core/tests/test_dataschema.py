"""The `dataschema` attribute."""

import pytest
from hypothesis import given, strategies as st

from arvo_core import DataSchema
from arvo_core.semantic_version import is_semantic_version


def test_parse_undoes_str() -> None:
    schema = DataSchema(uri="#/org/order", version="1.0.0")
    assert str(schema) == "#/org/order/1.0.0"
    assert DataSchema.parse(str(schema)) == schema


def test_only_the_last_segment_is_the_version() -> None:
    assert DataSchema.parse("https://a.b/1.0.0/2.1.0") == DataSchema(
        uri="https://a.b/1.0.0", version="2.1.0"
    )


@pytest.mark.parametrize("text", ["/1.0.0", "1.0.0"])
def test_the_uri_may_be_missing(text: str) -> None:
    assert DataSchema.parse(text) == DataSchema(uri="", version="1.0.0")


@pytest.mark.parametrize(
    "text", ["", "/", "#/org/order", "#/org/order/v1", "#/org/1.0.0/", "#/a/1.0.0 x", "#/a/1.0.0\n"]
)
def test_a_string_without_a_version_is_parsed_as_none(text: str) -> None:
    assert DataSchema.parse(text) is None


@given(st.text(alphabet=st.characters()) | st.text(alphabet="/.01#a"))
def test_any_string_is_parsed_into_its_parts_or_none(text: str) -> None:
    schema = DataSchema.parse(text)
    if schema is None:
        assert not is_semantic_version(text.rpartition("/")[2])
    else:
        assert text in {str(schema), schema.version}


def test_only_short_strings_are_cached() -> None:
    short, long = "#/a/1.0.0", "x" * 10_000 + "/1.0.0"
    assert DataSchema.parse(short) is DataSchema.parse(short)
    assert DataSchema.parse(long) == DataSchema.parse(long) is not None
    assert DataSchema.parse(long) is not DataSchema.parse(long)
