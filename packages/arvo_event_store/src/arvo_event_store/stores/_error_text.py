"""The text of errors, as every store can hold it."""


def error_text(text: str) -> str:
    r"""Return the text of an error with NUL and lone surrogates escaped, which no database takes.

    Or the failure of an event whose error has one could never be recorded.

    Args:
        text: What the error says.

    Example:
        >>> print(error_text("a\ud800b"))
        a\ud800b
    """
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")
