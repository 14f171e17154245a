import zlib

import pytest

from arvo_event_handler import UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory import pack_chunk, unpack_chunk

NOISE = b"".join((n * 2_654_435_761 % 2**32).to_bytes(4, "big") for n in range(2_000))


@pytest.mark.parametrize("chunk", [b"", b"pz", b"\x00\xffz", b"x" * 4096, NOISE], ids=len)
def test_chunk_comes_back(chunk: bytes) -> None:
    assert unpack_chunk(pack_chunk(chunk), number=1) == chunk


@pytest.mark.parametrize(
    ("chunk", "tag"), [(b"x" * 4095, b"p"), (b"x" * 4096, b"z"), (NOISE, b"p")], ids=[1, 2, 3]
)
def test_chunk_is_deflated_from_4_kib_on_unless_that_lengthens_it(chunk: bytes, tag: bytes) -> None:
    stored = pack_chunk(chunk)
    assert stored[:1] == tag
    assert len(stored) <= len(chunk) + 1


def test_one_bound_holds_both_ways() -> None:
    stored = pack_chunk(b"x" * 5_000, max_bytes=5_000)
    assert unpack_chunk(stored, number=7, max_bytes=5_000) == b"x" * 5_000
    with pytest.raises(UnwritableRecordError, match="5001 bytes, above the 5000"):
        pack_chunk(b"x" * 5_001, max_bytes=5_000)
    for longer in (stored, b"p" + b"x" * 5_000):
        with pytest.raises(UnreadableRecordError, match="chunk 7 is longer than the 4999 bytes"):
            unpack_chunk(longer, number=7, max_bytes=4_999)


WHOLE = b"z" + zlib.compress(b"chunk")


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"", "tag b''"),
        (b"?chunk", "tag b'?'"),
        (b"zchunk", "cannot be decompressed"),
        (WHOLE[:-1], "its end is missing"),
        (WHOLE + b"x", "extra bytes after its end"),
    ],
    ids=["empty", "unknown", "damaged", "cut", "lengthened"],
)
def test_what_cannot_be_read_names_the_chunk(stored: bytes, message: str) -> None:
    with pytest.raises(UnreadableRecordError) as caught:
        unpack_chunk(stored, number=12)
    assert str(caught.value).startswith("chunk 12 ")
    assert message in str(caught.value)
