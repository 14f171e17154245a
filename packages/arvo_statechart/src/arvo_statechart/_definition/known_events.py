"""The events that may come to a machine, to find keys of `on` that wait for other ones."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import islice

from arvo_statechart._messages import suggestion, unknown

# A comparison takes some microseconds, and there may be thousands of names to compare.
_MOST_COMPARISONS = 5_000
_COMPARED_NAMES = 500


class KnownEvents:
    """The events that a host sends and a machine raises, as far as its definition says.

    Args:
        types: The types of those events.
        others: Whether functions may raise further events. Then only probable misspellings are
            reported, and searched for only until 5,000 names have been compared.
    """

    __slots__ = ("_comparisons", "_others", "_sorted", "_types")

    def __init__(self, types: Iterable[str], *, others: bool) -> None:
        self._types = frozenset(types)
        # With a dot at their end, the types that `order.*` covers come right after "order.".
        self._sorted = sorted(f"{event_type}." for event_type in self._types)
        self._others = others
        self._comparisons = 0

    def objection(self, descriptor: str) -> str:
        """Return a message if a key of `on` waits for no known event; otherwise an empty string.

        Args:
            descriptor: An event type, or a wildcard such as `order.*`.
        """
        if descriptor.endswith(".*"):
            known = self._covers_any(descriptor[:-1])
        else:
            known = descriptor in self._types
        if known or (self._others and self._comparisons >= _MOST_COMPARISONS):
            return ""
        names = self._alike(descriptor)
        self._comparisons += len(names)
        if self._others and not suggestion(descriptor, names):
            return ""
        if descriptor.endswith(".*"):
            message = unknown("wildcard", descriptor, names)
            return f"waits indefinitely: nothing that it covers is sent or raised; {message}"
        message = unknown("event", descriptor, names)
        return f"waits indefinitely: nothing sends or raises it; {message}"

    def _covers_any(self, prefix: str) -> bool:
        place = bisect_left(self._sorted, prefix)
        return place < len(self._sorted) and self._sorted[place].startswith(prefix)

    def _alike(self, descriptor: str) -> Sequence[str]:
        """Return the names to suggest instead, in order: types, or wildcards of the same length."""
        types = (name[:-1] for name in islice(self._sorted, _COMPARED_NAMES))
        if not descriptor.endswith(".*"):
            return list(types)
        parts = descriptor.count(".")
        return sorted({".".join([*name.split(".", parts)[:parts], "*"]) for name in types})
