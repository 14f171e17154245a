"""Text from elsewhere, made fit for a terminal."""


def printable(text: str) -> str:
    """Replace what a terminal would take for a command; it must not come from data."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
