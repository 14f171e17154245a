"""Records become bytes and come back as they were, or the error says why they cannot."""

import json

import pytest
from hypothesis import given, strategies as st

from arvo_event_handler import UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import Record, decode_record, encode_record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON))
def test_what_is_encoded_decodes_to_the_same(record: Record) -> None:
    decoded = decode_record(encode_record(record))
    assert decoded == record
    assert list(decoded) == list(record)


def nested(levels: int) -> Record:
    record: Record = {}
    for _ in range(levels):
        record = {"inner": record}
    return record


def test_every_record_that_can_be_written_can_be_read_back() -> None:
    for levels in range(190, 260):
        try:
            stored = encode_record(nested(levels))
        except UnwritableRecordError:
            break
        assert decode_record(stored) == nested(levels)
    else:
        pytest.fail("no depth was refused")


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"when": object()}, id="no-json"),
        pytest.param({"text": "\ud800"}, id="lone-surrogate"),
        pytest.param(nested(300), id="too-deep"),
    ],
)
def test_a_record_that_no_memory_can_keep_is_refused_for_good(record: Record) -> None:
    with pytest.raises(UnwritableRecordError, match="cannot be written as JSON") as refused:
        encode_record(record)
    assert not refused.value.retryable
    assert refused.value.outcome == "failed"


@pytest.mark.parametrize("stored", [b"", b"{", b"[1]", b"\xff", json.dumps("text").encode()])
def test_bytes_that_are_not_a_record_are_refused(stored: bytes) -> None:
    with pytest.raises(UnreadableRecordError, match="not a JSON object"):
        decode_record(stored)
