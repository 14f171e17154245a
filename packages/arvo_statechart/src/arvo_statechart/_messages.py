"""Values in messages: enough of them to be recognised, whatever their size and depth."""

import reprlib
from itertools import islice
from typing import Any

_CHARACTERS = 120
_MEMBERS = 6
_LEVELS = 4


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
_shortener.maxlevel = _LEVELS
_shortener.maxdict = _shortener.maxlist = _shortener.maxtuple = _MEMBERS
_shortener.maxset = _shortener.maxfrozenset = _MEMBERS
_shortener.maxstring = _shortener.maxother = _shortener.maxlong = _CHARACTERS


def shown(value: object) -> str:
    """Return the `repr` of a value, cut where it is long, deep or cannot be made."""
    try:
        return cut(_shortener.repr(value), 2 * _CHARACTERS)
    except Exception:
        return f"<{type(value).__name__}>"


def cut(text: str, limit: int) -> str:
    """Return a text with its middle left out if it has more characters than the limit."""
    if len(text) <= limit:
        return text
    kept = (limit - 3) // 2
    return f"{text[:kept]}...{text[-kept:]}"
