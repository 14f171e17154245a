import gc
import tracemalloc
import zlib
from collections.abc import Callable
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from arvo_event_handler import UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import (
    MAX_RECORD_BYTES,
    PackedRecord,
    Record,
    pack_record,
    unpack_record,
)

RECORD: Record = {"status": "active", "items": ["a repeated item"] * 1_000, "big": 2**53 + 1}
MEBIBYTE = 1024 * 1024


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


WHOLE = zlib.compress(b'{"a":1}')


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        pytest.param(PackedRecord("lz4", b""), "codec 'lz4'", id="unknown-codec"),
        pytest.param(PackedRecord(None, b"{}"), "codec None", id="no-codec"),  # type: ignore[arg-type]
        pytest.param(PackedRecord("json", None), "no bytes", id="no-bytes"),  # type: ignore[arg-type]
        pytest.param(PackedRecord("zlib", "{}"), "no bytes", id="text"),  # type: ignore[arg-type]
        pytest.param(PackedRecord("zlib", b"{}"), "decompressed", id="damaged"),
        pytest.param(PackedRecord("zlib", b""), "its end is missing", id="empty"),
        pytest.param(PackedRecord("zlib", WHOLE[:-1]), "its end is missing", id="truncated"),
        pytest.param(PackedRecord("zlib", WHOLE + b"x"), "after its end", id="trailing-bytes"),
        pytest.param(PackedRecord("zlib", zlib.compress(b"[]")), "not a JSON object", id="list"),
        pytest.param(PackedRecord("json", b"[]"), "not a JSON object", id="no-object"),
    ],
)
def test_an_unreadable_record_is_an_error(packed: PackedRecord, message: str) -> None:
    with pytest.raises(UnreadableRecordError, match=message) as caught:
        unpack_record(packed)
    assert (caught.value.retryable, caught.value.outcome) == (False, "failed")


@pytest.mark.parametrize("codec", ["json", "zlib"])
def test_the_size_limit_is_the_same_for_writing_and_reading(codec: str) -> None:
    """One limit for writing and reading, to the byte; compression does not extend it."""
    compress_above = 0 if codec == "zlib" else None
    record: Record = {"a": "x" * 1_000}
    size = len(pack_record(record).data)
    packed = pack_record(record, compress_above=compress_above, max_bytes=size)
    assert packed.codec == codec
    assert unpack_record(packed, max_bytes=size) == record
    with pytest.raises(UnwritableRecordError, match=f"{size} bytes, above the {size - 1}"):
        pack_record(record, compress_above=compress_above, max_bytes=size - 1)
    with pytest.raises(UnreadableRecordError, match=f"longer than the {size - 1} bytes"):
        unpack_record(packed, max_bytes=size - 1)


def bomb(size: int) -> bytes:
    """Compress this many bytes of a JSON object, a piece at a time."""
    deflate = zlib.compressobj()
    piece = b" " * MEBIBYTE
    parts = [deflate.compress(b"{"), *(deflate.compress(piece) for _ in range(size // MEBIBYTE))]
    return b"".join([*parts, deflate.compress(b"}"), deflate.flush()])


def peak(work: Callable[[], Any]) -> int:
    """Return the peak of allocated memory, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_more_is_inflated_than_a_record_may_have() -> None:
    """However far the stored bytes would expand; 128 MiB here."""
    small = bomb(128 * MEBIBYTE)
    assert len(small) < MEBIBYTE

    def refused() -> None:
        with pytest.raises(UnreadableRecordError, match="longer than"):
            unpack_record(PackedRecord("zlib", small), max_bytes=MEBIBYTE)

    assert peak(refused) < 4 * MEBIBYTE


def test_the_size_limit_applies_by_default() -> None:
    """As memories of users do."""
    with pytest.raises(UnreadableRecordError, match=f"longer than the {MAX_RECORD_BYTES} bytes"):
        unpack_record(PackedRecord("zlib", bomb(MAX_RECORD_BYTES + MEBIBYTE)))
    with pytest.raises(UnwritableRecordError, match=f"above the {MAX_RECORD_BYTES}"):
        pack_record({"a": "x" * MAX_RECORD_BYTES})


def seconds(work: Callable[[], Any]) -> float:
    before = thread_time()
    work()
    return thread_time() - before


LONG = 2 * MEBIBYTE


def longest(item: bytes, *, closed: bytes = b"0]}") -> PackedRecord:
    """Return a record of `LONG` bytes whose array has one item over and over, a few KiB stored."""
    begin = b'{"status":"active","items":['
    count = (LONG - len(begin) - len(closed)) // len(item)
    return PackedRecord("zlib", zlib.compress(begin + item * count + closed, level=9))


@pytest.mark.parametrize("item", [b"[],", b'{"":0},', b"0.1,"])
def test_a_long_record_is_read_in_a_moment_and_in_bounded_memory(item: bytes) -> None:
    """With any content. The longest record, of 16 MiB, took 0.4 s and 454 MiB."""
    packed = longest(item)
    assert len(packed.data) < 4 * 1024

    def read() -> None:
        assert unpack_record(packed, max_bytes=LONG)["status"] == "active"

    assert peak(read) < 40 * LONG
    assert min(seconds(read) for _ in range(3)) < 1


def test_a_long_damaged_record_is_refused_as_fast() -> None:
    """Its JSON is read twice, as the second parser reads deeper levels."""
    packed = longest(b'{"":0},', closed=b"0}")

    def refused() -> None:
        with pytest.raises(UnreadableRecordError):
            unpack_record(packed, max_bytes=LONG)

    assert peak(refused) < 80 * LONG
    assert min(seconds(refused) for _ in range(3)) < 2


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("closed", [b"0]}", b"0}"], ids=["whole", "damaged"])
def test_the_collector_rests_while_a_large_record_is_read(enabled: bool, closed: bytes) -> None:
    """The collector would visit all objects repeatedly; afterwards it is enabled again."""
    packed = longest(b"[],", closed=closed)
    collections: list[str] = []

    def collect(phase: str, _: object) -> None:
        collections.append(phase)

    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    gc.collect()
    gc.callbacks.append(collect)
    try:
        try:
            unpack_record(packed)
        except UnreadableRecordError:
            assert closed == b"0}"
        during = len(collections) // 2
        assert gc.isenabled() is enabled
    finally:
        gc.callbacks.remove(collect)
        (gc.enable if was_enabled else gc.disable)()
    assert during <= 3  # what else is allocated may wake it before and after


@given(st.sampled_from(["json", "zlib"]), st.binary(max_size=60) | st.just(WHOLE), st.data())
def test_arbitrary_bytes_raise_no_other_error(
    codec: str, data: bytes, choice: st.DataObject
) -> None:
    """However they were damaged: cut, changed or of another program."""
    at = choice.draw(st.integers(0, len(data)))
    damaged = data[:at] + choice.draw(st.binary(max_size=3)) + data[at + 1 :]
    try:
        record = unpack_record(PackedRecord(codec, damaged), max_bytes=10_000)
    except UnreadableRecordError:
        return
    assert isinstance(record, dict)
