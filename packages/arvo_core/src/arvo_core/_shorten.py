"""Short representations of values, for messages."""

# Longer representations are cut.
_REPR_CHARACTERS = 40


def shorten(value: object) -> str:
    """Return `repr(value)`, cut before its last character if it is long, as subjects are."""
    # Only the visible part of a long string is formatted.
    text = repr(value[: _REPR_CHARACTERS + 1] if isinstance(value, str) else value)
    return text if len(text) <= _REPR_CHARACTERS else f"{text[: _REPR_CHARACTERS - 4]}...{text[-1]}"
