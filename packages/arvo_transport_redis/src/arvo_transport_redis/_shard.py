"""What an inbox has in hand of one partition."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True, eq=False)
class Shard:
    """A partition that an inbox reads, and what it has in hand of it."""

    number: int
    """Which partition it is."""
    slot: str
    """What its keys begin with."""
    consumer: str
    """Whose events they are for the server."""
    token: str
    """The owner's token; empty where there is no order."""
    draining: bool = False
    """Whether nothing more is read, as it is given up as soon as nothing is in hand."""
    lost: bool = False
    """Whether another worker has it."""
    reading: bool = False
    """Whether a script that reads it is under way."""
    ringing: bool = True
    """Whether something new may wait."""
    held: dict[str, float] = field(default_factory=dict)
    """The ids of the entries in hand, and when the worker last said that it has them."""
    ending: set[str] = field(default_factory=set)
    """Those of them that are being settled or released, so that the server may not count them."""

    @property
    def bounds(self) -> tuple[int, int]:
        """How many entries the server must count, at least and at most."""
        return len(self.held) - len(self.ending), len(self.held)

    def reconcile(self, listed: Iterable[str]) -> Sequence[str]:
        """Compare what is in hand with what the server lists.

        Forgets what is not in hand any more.

        Returns:
            What the server has handed out, and a lost reply did not bring.
        """
        there = set(listed)
        self.forget(self.held.keys() - there - self.ending)
        return sorted(there - self.held.keys(), key=entry_order)

    def forget(self, ids: Iterable[str]) -> None:
        """Have entries in hand no more."""
        for id_ in ids:
            self.held.pop(id_, None)

    def silence(self, now: float) -> float:
        """Return for how long the worker has not said that it has what is in hand, in seconds."""
        return now - min(
            (said for id_, said in self.held.items() if id_ not in self.ending), default=now
        )


def entry_order(entry_id: str) -> tuple[int, int]:
    """Return what ids are sorted by."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
