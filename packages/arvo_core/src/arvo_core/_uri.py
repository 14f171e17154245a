"""URIs as ECMAScript's `encodeURI` and `decodeURI` write and read them.

Arvo's rule for an attribute that holds a URI (source, subject, to, ...) is: it equals
`encodeURI(decodeURI(it))`. See ECMA-262, "URI Handling Functions".
"""

import re
from urllib.parse import quote

from ._errors import InvalidUriError
from ._shorten import shorten

LONGEST_URI = 128 * 1024
"""Longest URI, in characters: half as long again as the longest subject."""

# What encodeURI leaves alone besides letters and digits (`quote` itself keeps "_.-~").
_UNESCAPED = ";,/?:@&=+$-_.!~*'()#"

# Bytes below 0x80 that encodeURI escapes, hence the only single escapes that decodeURI undoes:
# controls, space, " % < > [ \ ] ^ ` { | } and DEL.
_ESCAPED_ASCII = "(?:[01][0-9A-F]|2[025]|3[CE]|5[B-E]|60|7[B-DF])"
_TAIL = "%[89AB][0-9A-F]"
# Well-formed UTF-8 (Unicode 15, table 3-7): no overlong form, no surrogate, at most U+10FFFF.
_ESCAPED_UTF8 = "|".join(
    [
        f"(?:C[2-9A-F]|D[0-9A-F]){_TAIL}",
        f"E0%[AB][0-9A-F]{_TAIL}",
        f"E[1-9A-CEF]{_TAIL}{_TAIL}",
        f"ED%[89][0-9A-F]{_TAIL}",
        f"F0%[9AB][0-9A-F]{_TAIL}{_TAIL}",
        f"F[1-3]{_TAIL}{_TAIL}{_TAIL}",
        f"F4%8[0-9A-F]{_TAIL}{_TAIL}",
    ]
)
_CHARACTER = f"(?:[A-Za-z0-9;,/?:@&=+$\\-_.!~*'()#]|%(?:{_ESCAPED_ASCII}|{_ESCAPED_UTF8}))"

URI_PATTERN = f"^{_CHARACTER}+$"
"""A non-empty valid URI as a regular expression, so that pydantic's Rust engine can check it."""

_VALID = re.compile(f"{_CHARACTER}*", re.ASCII)
_ESCAPES = re.compile("(?:%[0-9A-Fa-f]{2})+")
_RESERVED = frozenset(b";/?:@&=+$,#")


def encode_uri(text: str) -> str:
    """Percent-encode `text` as ECMAScript's `encodeURI` does.

    Raises:
        InvalidUriError: `text` holds a lone surrogate, which UTF-8 cannot express; or it is longer
            than 131072 characters, encoded or not.

    Example:
        >>> encode_uri("my order")
        'my%20order'
    """
    _check_length(text)
    try:
        encoded = quote(text, safe=_UNESCAPED)
    except UnicodeEncodeError as error:
        raise InvalidUriError(
            f"cannot encode as a URI: lone surrogate at position {error.start}; remove it"
        ) from error
    _check_length(encoded)
    return encoded


def decode_uri(text: str) -> str:
    """Undo `encode_uri`, leaving escapes of reserved characters as they are.

    Raises:
        InvalidUriError: A `%` does not start an escape, or the escapes are not well-formed UTF-8;
            or `text` is longer than 131072 characters.

    Example:
        >>> decode_uri("my%20order%2F7")
        'my order%2F7'
    """
    _check_length(text)
    stray = re.search("%(?![0-9A-Fa-f]{2})", text)
    if stray:
        raise InvalidUriError(
            f"malformed URI: '%' at position {stray.start()} does not start an escape; "
            "write it as %25"
        )
    return _ESCAPES.sub(_decode_run, text)


def is_valid_uri(text: str) -> bool:
    """Return whether `text` equals `encode_uri(decode_uri(text))`. The empty string does.

    A string longer than 131072 characters is not valid.

    Example:
        >>> is_valid_uri("https://example.com/a%20b"), is_valid_uri("a b")
        (True, False)
    """
    return len(text) <= LONGEST_URI and _VALID.fullmatch(text) is not None


def ensure_uri(text: str) -> str:
    """Return `text` if it is a valid URI, and `encode_uri(text)` otherwise. Idempotent.

    Raises:
        InvalidUriError: `text` holds a lone surrogate; or it is longer than 131072 characters,
            encoded or not.

    Example:
        >>> ensure_uri("my order") == ensure_uri(ensure_uri("my order"))
        True
    """
    return text if is_valid_uri(text) else encode_uri(text)


def _check_length(text: str) -> None:
    if len(text) > LONGEST_URI:
        raise InvalidUriError(
            f"a URI takes at most {LONGEST_URI} characters, got {len(text)}: {shorten(text)}"
        )


def _decode_run(match: re.Match[str]) -> str:
    """Decode one run of adjacent escapes."""
    run = match.group()
    raw = bytes.fromhex(run.replace("%", ""))
    try:
        characters = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidUriError(
            f"malformed URI: the escapes {shorten(run)} are not well-formed UTF-8"
        ) from error
    decoded: list[str] = []
    position = 0
    for character in characters:
        width = len(character.encode("utf-8"))
        keep = width == 1 and raw[position] in _RESERVED
        decoded.append(run[position * 3 : position * 3 + 3] if keep else character)
        position += width
    return "".join(decoded)
