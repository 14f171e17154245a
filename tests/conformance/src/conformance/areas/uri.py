"""Percent-encoding as ECMAScript does it."""

from collections.abc import Callable, Mapping
from typing import Any

from arvo_core.uri import decode_uri, encode_uri, is_valid_uri
from conformance.cases import Case
from conformance.comparison import Comparison
from conformance.outcome import REFUSED, returned


async def run(case: Case) -> None:
    """Check the three functions on one string."""
    expected, value = case.expected["ok"], case.input["value"]
    Comparison().same(expected["validateURI"], is_valid_uri(value), "validateURI")
    _same(expected["encodeURI"], lambda: encode_uri(value), "encodeURI")
    _same(expected["decodeURI"], lambda: decode_uri(value), "decodeURI")


def _same(expected: Mapping[str, Any], call: Callable[[], str], place: str) -> None:
    text = returned(expected, call)
    if text is not REFUSED and text != expected["ok"]:
        raise AssertionError(f"{place}: expected {expected['ok']!r}, got {text!r}")
