"""Values and names in messages: always short, and with suggestions for misspelt names."""

import reprlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

_REPR_CHARACTERS = 120
_REPR_MEMBERS = 6
_REPR_LEVELS = 4
LABEL_CHARACTERS = 200
"""The maximum length of the name of a guard or an action in messages."""


class _Shortener(reprlib.Repr):
    """Keeps the keys of a dict in their order, which matters in state values."""

    # Before Python 3.12, the `override` decorator needs a dependency.
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
    """Return the `repr` of a value, cut if it is long or deep; only its class if `repr` fails."""
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
    """Return a string with its middle left out if it has more characters than the limit."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


# Comparing two names takes time that grows with the product of their lengths.
_COMPARED_NAMES = 500
_COMPARED_CHARACTERS = 60
_LISTED_NAMES = 10


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return a message that a name is unknown, with a similar name or the known ones."""
    names = sorted(map(str, islice(known, _COMPARED_NAMES)))
    close = suggestion(str(name), names) if isinstance(name, str) else ""
    if close:
        return f"unknown {kind} {short_repr(name)}: {close}"
    listed = ", ".join(map(short_repr, names[:_LISTED_NAMES])) or "none"
    more = ", ..." if len(names) > _LISTED_NAMES else ""
    return f"unknown {kind} {short_repr(name)}: there is {listed}{more}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question that names a similar known name; empty if there is none."""
    if len(name) > _COMPARED_CHARACTERS:
        return ""
    names = [each for each in islice(known, _COMPARED_NAMES) if len(each) <= _COMPARED_CHARACTERS]
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
