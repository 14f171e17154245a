"""Names that were perhaps meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

from ._messages import shown

# Comparing takes the product of two lengths, for each name.
_COMPARED_NAMES = 500
_COMPARED_CHARACTERS = 60
_LISTED_NAMES = 10


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that there is no such thing, and what there is that looks like it."""
    names = sorted(map(str, islice(known, _COMPARED_NAMES)))
    close = suggestion(str(name), names) if isinstance(name, str) else ""
    if close:
        return f"unknown {kind} {shown(name)}: {close}"
    listed = ", ".join(map(shown, names[:_LISTED_NAMES])) or "none"
    more = ", ..." if len(names) > _LISTED_NAMES else ""
    return f"unknown {kind} {shown(name)}: there is {listed}{more}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Ask whether a known name was meant; empty if none looks like it."""
    if len(name) > _COMPARED_CHARACTERS:
        return ""
    names = [each for each in islice(known, _COMPARED_NAMES) if len(each) <= _COMPARED_CHARACTERS]
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
