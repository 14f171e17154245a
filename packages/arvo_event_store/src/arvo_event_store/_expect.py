"""What a stream must be like for an append."""

from enum import Enum


class Expect(Enum):
    """What a stream must be like for an append; a version may be given instead, as an int."""

    ANY = "any"
    """Anything."""
    NO_STREAM = "no stream"
    """There must be no such stream."""
    STREAM_EXISTS = "stream exists"
    """There must be such a stream, at whatever version."""
