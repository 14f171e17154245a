"""Which events of the log to read."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from ._names import check_name, check_prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which events of the log to read: those that fit everything that is given.

    Everything is literal: case counts, and no character is a wildcard.

    Raises:
        TypeError: A field is of another type; a string for `names` too.
        ValueError: A time has no time zone.
        InvalidEventError: A name breaks the rules for names.

    Example:
        >>> query = Query(stream_prefix="counter-", names=["Added"])
        >>> query.names
        frozenset({'Added'})
    """

    stream_prefix: str = ""
    """How the names of their streams begin."""
    names: Collection[str] | None = None
    """Their names; kept as a frozenset. None is all names, an empty collection is none."""
    correlation: str | None = None
    """Their correlation; None is any."""
    created_from: datetime | None = None
    """When they were stored, at the earliest, with a time zone; None is no bound."""
    created_before: datetime | None = None
    """Before when they were stored, with a time zone; None is no bound."""

    def __post_init__(self) -> None:
        check_prefix(self.stream_prefix, path="stream_prefix")
        if self.names is not None:
            if isinstance(self.names, str) or not isinstance(self.names, Collection):
                raise TypeError(f"names must be a collection of strings, got {self.names!r}")
            names = frozenset(check_name(name, path="names") for name in self.names)
            object.__setattr__(self, "names", names)
        if self.correlation is not None:
            check_name(self.correlation, path="correlation")
        check_time(self.created_from, name="created_from")
        check_time(self.created_before, name="created_before")


def check_time(value: object, *, name: str) -> None:
    """Check that a time is None, or has a time zone.

    Raises:
        TypeError: It is neither None nor a datetime.
        ValueError: It has no time zone.
    """
    if value is None:
        return
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, got {value!r}")
    if value.utcoffset() is None:
        raise ValueError(f"{name} must have a time zone, got {value!r}")
