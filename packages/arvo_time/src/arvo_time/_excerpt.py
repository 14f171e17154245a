"""Excerpts of long strings, for messages and logs."""


def excerpt(text: str, *, max_bytes: int) -> str:
    """Return `text`, without its middle if it takes more than `max_bytes` in UTF-8.

    Lone surrogates, which no output stream can write, are escaped.

    Args:
        text: What to shorten.
        max_bytes: How long the result may be; at least 128, as a mark replaces what is cut.

    Example:
        >>> excerpt("ab" * 1000, max_bytes=128)[36:92]
        'ababababa ...[cut, 2000 characters in all]... bababababa'
    """
    if len(text) <= max_bytes:
        encoded = text.encode("utf-8", "backslashreplace")
        if len(encoded) <= max_bytes:
            return text if text.isascii() else encoded.decode("utf-8")
    mark = f" ...[cut, {len(text)} characters in all]... "
    half = (max_bytes - len(mark)) // 2
    head = text[:half].encode("utf-8", "backslashreplace")[:half].decode("utf-8", "ignore")
    tail = text[-half:].encode("utf-8", "backslashreplace")[-half:].decode("utf-8", "ignore")
    return f"{head}{mark}{tail}"
