"""The cost of any line, or URL of a memory or transport, is proportional to its length."""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st

from arvo_cli._backend._engine_url import place_of, reason_without_secret
from arvo_cli._errors import RejectedLineError
from arvo_cli._input._lines import Line
from arvo_cli._input._request import Decoder
from arvo_cli._input._requests import decoder_for
from arvo_core import ArvoEventFactory, EventLimits
from arvo_event_handler import SimpleMachineMemory
from arvo_memory_postgres._url import connect_url as postgres_memory
from arvo_memory_redis._url import connect_url as redis_memory
from arvo_memory_sqlite._url import connect_url as sqlite_memory
from arvo_transport_redis._url import connect_url as redis_transport
from budget import spend

sys.path.insert(0, str(Path(__file__).parent.parent / "packages/arvo_cli/tests/targets"))
import greeter

LENGTH: Final = 64_000

OPENERS: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "sqlite": ("sqlite:///", sqlite_memory),
    "redis": ("redis://", redis_memory),
    "unix": ("unix:///", redis_memory),
    "postgresql": ("postgresql://", postgres_memory),
    "redis transport": ("redis://", redis_transport),
    "unix transport": ("unix:///", redis_transport),
}


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(list(OPENERS)),
    st.sampled_from(
        [
            "a",
            ":",
            "@",
            "/",
            "//:",
            "?a=",
            "&",
            "&a=b",
            "[",
            "]",
            "#",
            "%41",
            ",",
            "=",
            "9",
            "a:1,",
            ":abcd@,",
            "é",
        ]
    ),
    st.sampled_from(["", "?", "?ttl=", "?schema=", "?prefix=", "?zz=", "@", "]"]),
)
def test_no_url_of_an_engine_costs_more_than_its_length(kind: str, piece: str, behind: str) -> None:
    body = piece * (LENGTH // len(piece))
    scheme, opener = OPENERS[kind]
    for url in (scheme + body + behind, scheme + behind + body):
        message = spend(partial(refusal, opener, url), size=len(url))
        assert isinstance(message, str)
        assert len(message) < 1000
        spend(partial(place_of, url), size=len(url))


def refusal(opener: Callable[[str], object], url: str) -> str:
    """Return the message for a URL that cannot be opened; empty when it can."""
    try:
        opener(url)
    except ValueError as error:
        return reason_without_secret(error, url=url)
    return ""


EVENT: Final = json.dumps(
    ArvoEventFactory(greeter.greet.version(greeter.GREET_V1))
    .accepts(source="com.test.main", data=greeter.Greet(name="HERE"))
    .to_dict()
)
PLACES: Final = {
    "bare": ("", ""),
    "in text": ('{"name": "', '"}'),
    "in a list": ('{"name": "a", "x": [', "0]}"),
    "in an object": ('{"name": "a", ', '"z": 0}'),
    "in an event": tuple(EVENT.split("HERE")),
    "in its data": tuple(EVENT.replace('"HERE"', 'HERE"a"').split("HERE")),
    "in its subject": tuple(
        EVENT.replace("HERE", "a").replace('"subject": "', '"subject": "HERE').split("HERE")
    ),
    "beside it": (EVENT[:-1] + ", ", '"z": 0}'),
}
PIECES: Final[list[str | bytes]] = [
    *("a", b"\xff", " ", "0", "9", "-", "[", "]", "[0,", '{"a":', '{"a":0,', '"', '"a":', '"a":0,'),
    *("\\ud800", "\\u0000", "é", "NaN,", "1e400,", "null,", '"",', "{},", "[],", "\\", ","),
]


@pytest.fixture(scope="module", params=[None, "#/test/greet/1.0.0"], ids=["events", "payloads"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return decoder_for(
        greeter.create_handlers(SimpleMachineMemory()), request.param, limits=EventLimits()
    )


@pytest.mark.parametrize("place", PLACES.values(), ids=map(str, PLACES))
def test_no_line_costs_more_than_its_length(decoder: Decoder, place: tuple[str, str]) -> None:
    for piece in PIECES:
        content = filled(place, piece)
        line = Line(number=1, content=content, size=len(content))
        assert spend(partial(decode, decoder, line), size=len(content)) is None


@pytest.mark.parametrize("piece", PIECES)
def test_only_the_invalid_byte_makes_a_line_undecodable(piece: str | bytes) -> None:
    """Otherwise the other lines would be refused before anything in them is read."""
    content = filled(PLACES["in its data"], piece)
    refused: Any = pytest.raises(UnicodeDecodeError) if isinstance(piece, bytes) else nullcontext()
    with refused:
        content.decode()


def filled(place: tuple[str, ...], piece: str | bytes) -> bytes:
    """Return a line in which a piece is repeated at a place."""
    before, behind = place
    repeated = piece if isinstance(piece, bytes) else piece.encode()
    return before.encode() + repeated * (LENGTH // len(repeated)) + behind.encode()


def decode(decoder: Decoder, line: Line) -> None:
    with suppress(RejectedLineError):
        decoder.decode(line)
