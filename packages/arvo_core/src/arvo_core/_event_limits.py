"""How large and how deep an event may be."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from ._errors import FieldProblem, InvalidEventError
from ._json import MAX_DEPTH, MeasuredData
from ._problems import find_json_problems

# pydantic writes JSON of 254 levels, and a workflow's record holds data six levels down.
_DEEPEST = 248


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLimits:
    """How large and how deep an event may be.

    The size limit protects the reader: JSON text is measured before it is parsed. `to_json` writes
    larger events too, because what a handler has committed to must not be lost on its way out; a
    reader of such events raises the limit.

    Raises:
        ValueError: A limit is not a positive integer, or `max_depth` is above 248.

    Example:
        >>> limits = EventLimits(max_bytes=32 * 2**20)
        >>> text = ArvoEvent.create(
        ...     source="com.app.main", type="com.user.create", subject="user/7", data={}
        ... ).to_json()
        >>> ArvoEvent.from_json(text, limits=limits).type
        'com.user.create'
    """

    max_bytes: int = 8 * 2**20
    """Largest size of an event's JSON text, in bytes of UTF-8."""
    max_depth: int = MAX_DEPTH
    """How many levels below `data` a value may be nested; at most 248, the most that a workflow's
    record can carry.

    Handlers take limits too, for the events that they emit."""

    def __post_init__(self) -> None:
        for name, limit in (("max_bytes", self.max_bytes), ("max_depth", self.max_depth)):
            if type(limit) is not int or limit < 1:
                raise ValueError(f"{name} must be a positive integer, got {limit!r}")
        if self.max_depth > _DEEPEST:
            raise ValueError(f"max_depth must be at most {_DEEPEST}, got {self.max_depth}")


DEFAULT_LIMITS = EventLimits()
"""8 MiB and 128 levels."""


def check_size(text: str | bytes, limits: EventLimits) -> None:
    """Refuse JSON text that is too large, before it is parsed.

    Raises:
        InvalidEventError: The text is larger than `limits` allow.
    """
    size = len(text)
    # A character takes up to four bytes, so only text near the limit is encoded to be measured.
    if isinstance(text, str) and size <= limits.max_bytes < 4 * size and not text.isascii():
        size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.max_bytes:
        raise InvalidEventError(
            f"not an event: it takes {size} bytes; max_bytes of EventLimits allows "
            f"{limits.max_bytes}"
        )


def parsed(text: str | bytes, limits: EventLimits) -> Any:
    """Parse an event's JSON text. `limits` is for the error message only.

    Raises:
        InvalidEventError: The text is not JSON.
    """
    try:
        return from_json(text)
    except (ValueError, TypeError) as error:  # TypeError for text with a lone surrogate
        reason = FieldProblem(path=(), message=f"Invalid JSON: {error}")
    # Python's parser also reads lone surrogates, so that validation can report where they are, and
    # data that is nested more deeply.
    try:
        return json.loads(text if isinstance(text, str) else str(text, "utf-8"))
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        also = f", or nested more than {limits.max_depth} levels deep" if deep else ""
        raise InvalidEventError(f"not an event{also}", problems=[reason]) from None


def measured(values: dict[str, Any], limits: EventLimits) -> dict[str, Any]:
    """Mark data that is within limits other than the default ones; replace any other by None."""
    data = values.get("data")
    fits = next(find_json_problems(data, max_depth=limits.max_depth), None) is None
    return {**values, "data": MeasuredData(data) if fits and isinstance(data, dict) else None}
