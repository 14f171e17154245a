"""How large and how deep an event may be."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from ._errors import FieldProblem, InvalidEventError
from ._json import MAX_DEPTH, MeasuredData
from ._problems import find_json_problems

# pydantic writes JSON of 254 levels, and in a workflow's record data stands six levels further down.
_DEEPEST = 248


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLimits:
    """What an event may take before anybody looks at what it says.

    The size protects whoever reads: JSON text is measured before it is parsed. `to_json` writes
    larger events too, as what a handler has committed to must not be lost on its way out; who
    reads them raises the limit.

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
    """The size of an event as JSON text, in bytes of UTF-8."""
    max_depth: int = MAX_DEPTH
    """How many levels a value may stand below `data`; at most 248, which a record still can carry.

    Handlers take limits, too, for what they emit."""

    def __post_init__(self) -> None:
        for name, limit in (("max_bytes", self.max_bytes), ("max_depth", self.max_depth)):
            if type(limit) is not int or limit < 1:
                raise ValueError(f"{name} must be a positive integer, got {limit!r}")
        if self.max_depth > _DEEPEST:
            raise ValueError(f"max_depth must be at most {_DEEPEST}, got {self.max_depth}")


DEFAULT_LIMITS = EventLimits()
"""8 MiB and 128 levels."""


def check_size(text: str | bytes, limits: EventLimits) -> None:
    """Refuse a JSON text that is too large, before anybody parses it.

    Raises:
        InvalidEventError: It is.
    """
    size = len(text)
    # A character takes up to four bytes, which only text that is near the limit is measured for.
    if isinstance(text, str) and size <= limits.max_bytes < 4 * size and not text.isascii():
        size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.max_bytes:
        raise InvalidEventError(
            f"not an event: it takes {size} bytes; max_bytes of EventLimits allows "
            f"{limits.max_bytes}"
        )


def parsed(text: str | bytes, limits: EventLimits) -> Any:
    """Parse an event's JSON text; `limits` is what a message tells.

    Raises:
        InvalidEventError: It is not JSON.
    """
    try:
        return from_json(text)
    except (ValueError, TypeError) as error:  # the latter for text with a lone surrogate
        reason = FieldProblem(path=(), message=f"Invalid JSON: {error}")
    # Python's parser also reads what pydantic's refuses: lone surrogates, whose place can then be
    # told, and data that is nested more deeply.
    try:
        return json.loads(text if isinstance(text, str) else str(text, "utf-8"))
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        also = f", or nested more than {limits.max_depth} levels deep" if deep else ""
        raise InvalidEventError(f"not an event{also}", problems=[reason]) from None


def measured(values: dict[str, Any], limits: EventLimits) -> dict[str, Any]:
    """Mark data that keeps limits other than the default ones; take away what does not."""
    data = values.get("data")
    fits = next(find_json_problems(data, max_depth=limits.max_depth), None) is None
    return {**values, "data": MeasuredData(data) if fits and isinstance(data, dict) else None}
