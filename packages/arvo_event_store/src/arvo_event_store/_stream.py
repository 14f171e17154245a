"""What is known of a stream beside its events: its head, and snapshots of its state."""

from dataclasses import dataclass
from datetime import datetime

from ._json import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """Where a stream stands."""

    stream: str
    """Its name."""
    version: int
    """The version of its last event."""
    first_version: int
    """The version of the first event that is kept: 0, or above it once the stream was truncated, and
    `version + 1` if no event is left."""
    closed: datetime | None
    """When it was closed; None if it is open."""
    archive: str | None
    """Where its archive lies, as recorded by whoever archived it; None if nobody did."""
    created: datetime
    """When its first append began, by the store's clock, in UTC."""
    updated: datetime
    """When its last append began, by the store's clock, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of a stream at a version, so that its events need not be folded from the beginning.

    Snapshots use no version and no position.
    """

    stream: str
    """The stream."""
    kind: str
    """Which program made it, as a name: a stream may be folded by several."""
    version: int
    """The version of the last event in it."""
    schema: int
    """The schema of `state`, from 1; a program ignores snapshots of another one."""
    state: JsonValue
    """The state: a JSON value, the reader's own."""
