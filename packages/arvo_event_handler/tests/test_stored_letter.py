"""Dead letters as they are kept: written as JSON, read again, and small enough for any engine."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason, LetterError, StoredLetter

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
ROOM = 64 * 1024


def event_with(**changes: object) -> ArvoEvent:
    values: dict[str, object] = {
        "id": "e1",
        "source": "com.app.main",
        "type": "com.svc.work",
        "subject": "order-7",
        "data": {"items": ["tea"]},
    }
    return ArvoEvent.create(**values | changes)  # type: ignore[arg-type]


def stored(event: ArvoEvent, *, error: Exception | None = None) -> StoredLetter:
    letter = DeadLetter(
        event=event,
        error=error or ValueError("no tea left"),
        attempts=3,
        deliveries=2,
        handler="com.svc.work",
        reason=DeadLetterReason.EXHAUSTED,
    )
    return StoredLetter.of(letter, key="1", at=NOW, worker="0.1.0")


def read_again(letter: StoredLetter, *, max_bytes: int | None = None) -> StoredLetter:
    return StoredLetter.from_json(letter.to_json(max_bytes=max_bytes), key=letter.key)


def test_a_letter_reads_back_as_it_was_written() -> None:
    assert read_again(stored(event_with())) == stored(event_with())
    assert read_again(stored(event_with())).publishable


@pytest.mark.parametrize("size", [0, 40 * 1024, 2**20])
def test_a_letter_fits_and_keeps_as_much_of_the_data_as_there_is_room_for(size: int) -> None:
    letter = stored(event_with(data={"text": "ä" * size}))
    assert len(letter.to_json(max_bytes=ROOM)) <= ROOM
    read = read_again(letter, max_bytes=ROOM)
    assert read.event is not None
    assert read.event.id == "e1"
    if size < 30 * 1024:
        assert read == letter
        return
    assert not read.publishable
    assert read.event.data == {}
    assert read.data_excerpt is not None
    assert read.data_excerpt.startswith('{"text":"ä')


def test_an_error_is_described_within_bounds() -> None:
    def sink(depth: int) -> None:
        if depth:
            sink(depth - 1)
        raise ValueError("x" * 100_000 + "\ud800")

    with pytest.raises(ValueError, match="x") as raised:
        sink(900)
    error = LetterError.of(raised.value)
    assert error.name == "ValueError"
    assert len(error.message.encode()) <= 4 * 1024
    assert error.stack is not None
    assert len(error.stack.encode()) <= 16 * 1024


def test_an_error_whose_message_cannot_be_read_is_described_all_the_same() -> None:
    class Mute(Exception):
        @override
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert LetterError.of(Mute()) == LetterError(
        name="Mute", message="<the error's text cannot be read>"
    )


def test_attributes_that_alone_are_too_much_are_cut() -> None:
    letter = stored(event_with(extensions={"note": "n" * 130_000}))
    read = read_again(letter, max_bytes=ROOM)
    assert len(letter.to_json(max_bytes=ROOM)) <= ROOM
    assert read.event is not None
    assert len(str(read.event.extensions["note"])) == 2 * 1024
    assert not read.publishable


def test_an_event_that_is_none_without_its_long_attributes_is_kept_as_text() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    letter = stored(event_with(traceparent=trace, source=f"com.app/x{'%20' * 42_000}"))
    read = read_again(letter, max_bytes=ROOM)
    assert len(letter.to_json(max_bytes=ROOM)) <= ROOM
    assert read.event is None
    assert read.raw is not None
    assert b"order-7" in read.raw or b"com.app/" in read.raw
    assert not read.publishable


def test_bytes_that_are_no_event_are_kept_as_they_came() -> None:
    letter = StoredLetter.unparsable(
        b"\xff" * 20_000, key="1", at=NOW, topic="in", error=ValueError("not JSON"), worker=None
    )
    assert letter.raw == b"\xff" * 16 * 1024
    assert letter.reason is DeadLetterReason.UNPARSABLE
    assert read_again(letter) == letter


@pytest.mark.parametrize("text", ["{}", "[]", '{"event": 1}', "null", "not JSON"])
def test_damaged_letters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"damaged|expected"):
        StoredLetter.from_json(text, key="1")


@given(
    st.text(max_size=50_000),
    st.dictionaries(
        st.from_regex(r"x[a-z]{1,10}", fullmatch=True), st.text(max_size=40_000), max_size=3
    ),
)
def test_every_letter_fits(message: str, extensions: dict[str, str]) -> None:
    try:
        event = event_with(extensions=extensions)
    except ValueError:
        return  # CloudEvents excludes some characters
    letter = stored(event, error=ValueError(message))
    assert len(letter.to_json(max_bytes=ROOM)) <= ROOM
    read_again(letter, max_bytes=ROOM)
