"""Fills in what a vector leaves open, so that what it shows can be loaded as if stored."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from .values import encode_subject

_PLACEHOLDER = re.compile(r"<(id|subject):(\d+)>|<(?:time|stack|machineDefinition)>")
_ANYTHING = {
    "<time>": "2024-06-01T00:00:00.000+00:00",
    "<stack>": "Error: at some place",
    "<machineDefinition>": '{"id":"machine"}',
}


class Placeholders:
    """Makes up a string for each placeholder, the same one wherever it occurs.

    Args:
        subjects: What the vector's subjects hold, by placeholder.
    """

    def __init__(self, subjects: Mapping[str, object]) -> None:
        self._subjects = subjects
        self.names: dict[str, str] = {}
        """What was made up for ids and subjects."""

    def __call__(self, value: Any) -> Any:
        """Copy a JSON value with its placeholders filled in."""
        match value:
            case {"$error": error}:
                # JSON knows no exceptions: a host that keeps them writes an object.
                return dict(error)
            case Mapping():
                return {self._text(name): self(item) for name, item in value.items()}
            case list():
                return [self(item) for item in value]
            case str():
                return self._text(value)
            case _:
                return value

    def _text(self, text: str) -> str:
        return _PLACEHOLDER.sub(self._made_up, text)

    def _made_up(self, found: re.Match[str]) -> str:
        name = found[0]
        if name in _ANYTHING:
            return _ANYTHING[name]
        if name not in self.names:
            self.names[name] = (
                str(UUID(int=int(found[2]), version=4))
                if found[1] == "id"
                else encode_subject(self(self._subjects[name]))
            )
        return self.names[name]
