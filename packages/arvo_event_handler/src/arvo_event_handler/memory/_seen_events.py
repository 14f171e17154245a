"""The events that a workflow has consumed."""

from collections.abc import Iterable, Iterator

SEEN_LIMIT = 1024
"""How many consumed events are remembered; the init event always is."""


class SeenEvents:
    """The hashes of consumed events, oldest first: the init event's and the latest 1,023.

    Args:
        hashes: What was seen before.
    """

    __slots__ = ("_hashes", "_known")

    def __init__(self, hashes: Iterable[str] = ()) -> None:
        self._hashes = list(hashes)
        self._known = set(self._hashes)

    def __contains__(self, event: object) -> bool:
        return event in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._hashes)

    def __len__(self) -> int:
        return len(self._hashes)

    @property
    def init(self) -> str | None:
        """The init event's hash; None before it was consumed."""
        return self._hashes[0] if self._hashes else None

    def add(self, event: str) -> None:
        """Remember an event; one that is known keeps its place."""
        if event in self._known:
            return
        self._hashes.append(event)
        self._known.add(event)
        if len(self._hashes) > SEEN_LIMIT:
            oldest = self._hashes[1]
            del self._hashes[1]
            self._known.discard(oldest)

    def latest(self, count: int) -> set[str] | None:
        """Return the hashes of the latest events; None while there are no more than `count`."""
        if len(self._hashes) <= count:
            return None
        return set(self._hashes[-count:])

    def before_latest(self, count: int) -> str | None:
        """Return the hash of the event before the latest `count`; None while there is none."""
        return self._hashes[-count - 1] if len(self._hashes) > count else None
