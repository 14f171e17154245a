"""Names that were perhaps meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that there is no such thing, and what there is that looks like it."""
    names = sorted(map(str, known))
    close = get_close_matches(str(name), names, n=1)
    if close:
        return f"unknown {kind} {name!r}: did you mean {close[0]!r}?"
    return f"unknown {kind} {name!r}: there is {', '.join(map(repr, names)) or 'none'}"
