import pytest

from arvo_event_handler import MachineMemoryError, PackedRecord, Record, pack_record, unpack_record

RECORD: Record = {"status": "active", "items": ["a repeated item"] * 1_000, "big": 2**53 + 1}


@pytest.mark.parametrize("compress_above", [None, 0, 100, 1_000_000])
def test_a_record_comes_back(compress_above: int | None) -> None:
    packed = pack_record(RECORD, compress_above=compress_above)
    assert unpack_record(packed) == RECORD


def test_a_long_record_is_compressed() -> None:
    packed = pack_record(RECORD, compress_above=1_000)
    assert packed.codec == "zlib"
    assert len(packed.data) < 1_000


def test_what_compression_would_lengthen_stays_as_it_is() -> None:
    assert pack_record({"a": 1}, compress_above=0) == PackedRecord("json", b'{"a":1}')


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        pytest.param(PackedRecord("lz4", b""), "lz4", id="unknown-codec"),
        pytest.param(PackedRecord("zlib", b"{}"), "decompressed", id="damaged"),
        pytest.param(PackedRecord("json", b"[]"), "not a JSON object", id="no-object"),
    ],
)
def test_what_cannot_be_read_is_an_error(packed: PackedRecord, message: str) -> None:
    with pytest.raises(MachineMemoryError, match=message) as caught:
        unpack_record(packed)
    assert not caught.value.retryable
