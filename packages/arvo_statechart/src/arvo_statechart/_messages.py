"""Values and names in messages: short, whatever their size, and with what was perhaps meant."""

import reprlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

_REPR_CHARACTERS = 120
_REPR_MEMBERS = 6
_REPR_LEVELS = 4
LABEL_CHARACTERS = 200
"""How much is written of what a guard or an action is called."""


class _Shortener(reprlib.Repr):
    """Leaves the keys of a dict in their order, which means something in state values."""

    # The decorator for overriding needs a dependency before 3.12.
    def repr_dict(self, x: dict[Any, Any], level: int) -> str:  # type: ignore[explicit-override]
        if level <= 0:
            return "{...}"
        members = [
            f"{self.repr1(key, level - 1)}: {self.repr1(member, level - 1)}"
            for key, member in islice(x.items(), self.maxdict)
        ]
        return f"{{{', '.join(members)}{', ...' if len(x) > self.maxdict else ''}}}"


_shortener = _Shortener()
_shortener.maxlevel = _REPR_LEVELS
_shortener.maxdict = _shortener.maxlist = _shortener.maxtuple = _REPR_MEMBERS
_shortener.maxset = _shortener.maxfrozenset = _REPR_MEMBERS
_shortener.maxstring = _shortener.maxother = _shortener.maxlong = _REPR_CHARACTERS


def short_repr(value: object) -> str:
    """Return the `repr` of a value, cut where it is long, deep or cannot be made."""
    try:
        return cut(_shortener.repr(value), 2 * _REPR_CHARACTERS)
    except Exception:
        return f"<{type(value).__name__}>"


def name_of(value: object) -> str:
    """Return the name that a config gives to a guard or an action, or that of a function."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return str(value.get("type"))
    return str(getattr(value, "__name__", type(value).__name__))


def cut(text: str, limit: int) -> str:
    """Return a text with its middle left out if it has more characters than the limit."""
    if len(text) <= limit:
        return text
    kept = (limit - 3) // 2
    return f"{text[:kept]}...{text[-kept:]}"


# Comparing takes the product of two lengths, for each name.
_COMPARED_NAMES = 500
_COMPARED_CHARACTERS = 60
_LISTED_NAMES = 10


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that there is no such thing, and what there is that looks like it."""
    names = sorted(map(str, islice(known, _COMPARED_NAMES)))
    close = suggestion(str(name), names) if isinstance(name, str) else ""
    if close:
        return f"unknown {kind} {short_repr(name)}: {close}"
    listed = ", ".join(map(short_repr, names[:_LISTED_NAMES])) or "none"
    more = ", ..." if len(names) > _LISTED_NAMES else ""
    return f"unknown {kind} {short_repr(name)}: there is {listed}{more}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Ask whether a known name was meant; empty if none looks like it."""
    if len(name) > _COMPARED_CHARACTERS:
        return ""
    names = [each for each in islice(known, _COMPARED_NAMES) if len(each) <= _COMPARED_CHARACTERS]
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
