"""JSON, deflated and in base64: how Arvo writes managed ids and orchestration subjects."""

import re
import zlib
from binascii import Error as Base64Error, a2b_base64, b2a_base64

from pydantic_core import from_json

MAX_INFLATED_BYTES = 64 * 1024
"""Longest inflated JSON. Anything longer is a decompression bomb, not a subject."""

# A third more than `pack` writes, since there may be foreign characters.
_MAX_PACKED_CHARACTERS = 128 * 1024
_FOREIGN = re.compile(r"[^A-Za-z0-9+/]+")
_URL_SAFE = str.maketrans("-_", "+/")
_ZLIB_OR_GZIP = 47
# A window of 1 KiB fits what is packed here; the default one costs ten times the time to set up.
_WINDOW_BITS = 10
_MEMORY_LEVEL = 4


def pack(json: bytes) -> str:
    """Deflate JSON into base64 (zlib format, standard alphabet, padded).

    Raises:
        ValueError: The JSON is longer than `unpack` accepts.
    """
    if len(json) > MAX_INFLATED_BYTES:
        raise ValueError(f"it takes more than {MAX_INFLATED_BYTES} bytes")
    deflater = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    packed = deflater.compress(json) + deflater.flush()
    return b2a_base64(packed, newline=False).decode("ascii")


def unpack(text: str) -> bytes:
    """Undo `pack` and return the JSON as UTF-8 bytes, not yet parsed.

    Base64 is read as Node.js reads it: up to the first `=`, foreign characters are skipped and
    URL-safe letters allowed. The packed bytes may be zlib or gzip; a byte order mark is dropped.

    Raises:
        ValueError: Not packed data, truncated, followed by other bytes, or more than
            `MAX_INFLATED_BYTES` long when inflated; or longer than 131072 characters.
    """
    if len(text) > _MAX_PACKED_CHARACTERS:
        raise ValueError(
            f"it takes {len(text)} characters; at most {_MAX_PACKED_CHARACTERS} are read"
        )
    inflater = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        inflated = inflater.decompress(_decode_base64(text), MAX_INFLATED_BYTES + 1)
    except zlib.error as error:
        raise ValueError("it is not deflated data") from error
    if len(inflated) > MAX_INFLATED_BYTES:
        raise ValueError(f"it inflates to more than {MAX_INFLATED_BYTES} bytes")
    if not inflater.eof:
        raise ValueError("the deflated data is truncated")
    if inflater.unused_data:
        raise ValueError("other bytes follow the deflated data")
    return inflated.removeprefix(b"\xef\xbb\xbf")


def unpack_json(text: str) -> object:
    """Undo `pack` and parse the JSON.

    Raises:
        ValueError: As `unpack`, or the inflated bytes are not JSON.
    """
    return from_json(unpack(text), allow_inf_nan=False)


def _decode_base64(text: str) -> bytes:
    try:
        return a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        letters = _FOREIGN.sub("", text.partition("=")[0].translate(_URL_SAFE))
        # A single letter beyond a group of four carries no whole byte.
        whole = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
        return a2b_base64(whole + "=" * (-len(whole) % 4))
