"""Detects the encoding of text by its first bytes."""

import codecs
from typing import Final

_MARKS: Final = {
    # The longer ones first: UTF-32 begins like UTF-16.
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_HEAD_BYTES: Final = 4


def is_sufficient(head: bytes) -> bool:
    """Return whether the first bytes of a text are enough for `foreign_encoding`.

    A line that is not blank is enough, however short: the next one may take a while to arrive.
    """
    return len(head) >= _HEAD_BYTES or b"\n" in head.lstrip()


def foreign_encoding(head: bytes) -> str | None:
    """Return the name of the encoding of a text that is not UTF-8; None when it may be UTF-8.

    JSON begins with ASCII, so the positions of the zero bytes identify the encoding even without a
    byte order mark (RFC 4627, section 3).

    Args:
        head: The first bytes, as many as `is_sufficient` requires; fewer when there are no more.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    match [byte == 0 for byte in head[:_HEAD_BYTES]]:
        case [True, True, True, False]:
            return "UTF-32BE"
        case [False, True, True, True]:
            return "UTF-32LE"
        case [True, False, *_]:
            return "UTF-16BE"
        case [False, True, *_]:
            return "UTF-16LE"
        case _:
            return None
