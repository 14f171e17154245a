"""Which encoding a text has that begins with certain bytes."""

import codecs
from typing import Final

_MARKS: Final = {
    # The longer ones first: UTF-32 begins like UTF-16.
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_ENOUGH: Final = 4


def is_telling(head: bytes) -> bool:
    """Tell whether a text's first bytes are enough for `foreign_encoding`.

    A line that is not blank is, however short it is: no other may come for a while.
    """
    return len(head) >= _ENOUGH or b"\n" in head.lstrip()


def foreign_encoding(head: bytes) -> str | None:
    """Name the encoding of a text that is not UTF-8; None when it may be.

    JSON begins with ASCII, so where the zeros stand tells the encoding even without a byte order
    mark (RFC 4627, 3).

    Args:
        head: The first bytes, as many as `is_telling` asks for; fewer when there are no more.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    match [byte == 0 for byte in head[:_ENOUGH]]:
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
