"""URIs, as ECMAScript's encodeURI and decodeURI treat them."""

import pytest
from hypothesis import given, strategies as st

from arvo_core import InvalidUriError
from arvo_core.uri import decode_uri, encode_uri, ensure_uri, is_valid_uri

strings = st.text()
"""Any string that UTF-8 can express."""
uri_like = st.text(alphabet=st.sampled_from("%019aAfFcC3eE:/?#[]@!$&'()*+,;= ~é😀"))
"""Strings with many escapes, valid and invalid ones."""


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", ""),
        ("com.example.app", "com.example.app"),
        ("/orders/7?by=me&page=2#top", "/orders/7?by=me&page=2#top"),
        ("my order", "my%20order"),
        ("50%", "50%25"),
        ("café", "caf%C3%A9"),
        ('[a]{b}|\\^`"<>', "%5Ba%5D%7Bb%7D%7C%5C%5E%60%22%3C%3E"),
        ("-_.!~*'()", "-_.!~*'()"),
        ("😀", "%F0%9F%98%80"),
        ("already%20there", "already%2520there"),
    ],
)
def test_encode_uri_escapes_characters_that_a_uri_cannot_contain(text: str, encoded: str) -> None:
    assert encode_uri(text) == encoded


def test_encode_uri_refuses_a_lone_surrogate_with_its_position() -> None:
    with pytest.raises(InvalidUriError, match="lone surrogate at position 2"):
        encode_uri("ab\ud800")


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("my%20order", "my order"),
        ("caf%c3%a9", "café"),
        ("%41%7e", "A~"),
        ("a%2Fb%2f%23", "a%2Fb%2f%23"),
        ("%C3%A9%2F%20", "é%2F "),
        ("%2520", "%20"),
    ],
)
def test_decode_uri_keeps_the_escapes_of_reserved_characters(text: str, decoded: str) -> None:
    assert decode_uri(text) == decoded


@pytest.mark.parametrize(
    "text",
    ["%", "a%2", "%zz", "%ff", "%C3", "%C0%80", "%ED%A0%80", "%F4%90%80%80", "%E2%82", "%80"],
)
def test_decode_uri_refuses_malformed_escapes_and_utf8(text: str) -> None:
    with pytest.raises(InvalidUriError, match="malformed URI"):
        decode_uri(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "#/org/app", "%20", "%25", "%5B", "%C3%A9", "%252F", "%F0%9F%98%80", "eJw=/+"],
)
def test_valid_uris(text: str) -> None:
    assert is_valid_uri(text)


@pytest.mark.parametrize(
    "text",
    ["a b", "é", "[", "%2F", "%2f", "%23", "%3B", "%41", "%7E", "%27", "%c3%a9", "%5b", "%", "a\n"],
)
def test_invalid_uris(text: str) -> None:
    assert not is_valid_uri(text)


@pytest.mark.parametrize(
    "text",
    [
        "%80", "%C1%BF", "%C3", "%E0%9F%BF", "%ED%A0%80", "%EF%BF", "%F0%8F%BF%BF", "%F4%90%80%80",
        "%F5%80%80%80",
    ],
)  # fmt: skip
def test_escapes_that_are_not_utf8_are_invalid(text: str) -> None:
    assert not is_valid_uri(text)
    assert ensure_uri(text) == text.replace("%", "%25")


@pytest.mark.parametrize(
    "text", ["%C2%80", "%E0%A0%80", "%ED%9F%BF", "%EE%80%80", "%F0%90%80%80", "%F4%8F%BF%BF"]
)
def test_first_and_last_utf8_sequences_of_each_length_are_valid(text: str) -> None:
    assert is_valid_uri(text)


def test_ensuring_twice_is_ensuring_once() -> None:
    """A subject that passes through several services stays the same."""
    assert ensure_uri("my order") == "my%20order"
    assert ensure_uri("my%20order") == "my%20order"


@given(strings | uri_like)
def test_ensure_uri_is_idempotent_and_valid(text: str) -> None:
    once = ensure_uri(text)
    assert is_valid_uri(once)
    assert ensure_uri(once) == once


@given(strings | uri_like)
def test_a_valid_uri_is_one_that_decoding_and_encoding_leaves_alone(text: str) -> None:
    try:
        unchanged = encode_uri(decode_uri(text)) == text
    except InvalidUriError:
        unchanged = False
    assert is_valid_uri(text) == unchanged


@given(strings)
def test_decode_undoes_encode(text: str) -> None:
    # Only escapes of reserved characters in the string itself, such as "%2F", stay encoded.
    assert decode_uri(encode_uri(text.replace("%", ""))) == text.replace("%", "")


@given(st.text(alphabet=st.characters()))
def test_nothing_but_the_documented_error_is_raised(text: str) -> None:
    for function in (encode_uri, decode_uri, ensure_uri):
        try:
            function(text)
        except InvalidUriError as error:
            str(error).encode()
