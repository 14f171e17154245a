"""An event in the terms of the CloudEvents specification."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEventView:
    """An event as the CloudEvents specification divides it."""

    attributes: dict[str, Any]
    """The attributes that CloudEvents 1.0.2 defines, by name."""
    data: dict[str, Any]
    """The payload."""
    extensions: dict[str, str | bool | int | float | None]
    """Everything else: Arvo's attributes, the tracing ones and the custom extensions."""
