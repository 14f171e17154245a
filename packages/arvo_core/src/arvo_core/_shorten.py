"""Values in messages, so that what is said of a value is shorter than the value."""

# Longer values are cut in messages and `repr`.
_REPR_WIDTH = 40


def shorten(value: object) -> str:
    """Return `repr(value)`, cut in the middle when it is long, as subjects are."""
    # Of a long text only what is shown is written out.
    text = repr(value[: _REPR_WIDTH + 1] if isinstance(value, str) else value)
    return text if len(text) <= _REPR_WIDTH else f"{text[: _REPR_WIDTH - 4]}...{text[-1]}"
