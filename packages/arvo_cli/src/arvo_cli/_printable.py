"""Makes text from outside safe for a terminal."""


def printable(text: str) -> str:
    """Replace control characters, so that no data can command the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
