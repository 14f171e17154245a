"""The audit: reads every event as it is stored, and says what is wrong."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from arvo_event_store import Event

from .accounts import accounts
from .balances import Rows
from .bank import Bank
from .transfers import transfers

_ACCOUNT: Final = accounts.stream("?").removesuffix("?")
_TRANSFER: Final = transfers.stream("?").removesuffix("?")
# What an event adds to what is available and to what is put aside, as multiples of its amount.
_SIGNS: Final[Mapping[str, tuple[int, int]]] = {
    "Deposited": (1, 0),
    "Withdrawn": (-1, 0),
    "Reserved": (-1, 1),
    "Paid": (0, -1),
    "Released": (1, -1),
    "Received": (1, 0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found."""

    rows: Rows
    """The table of balances."""
    events: int
    """How many events there are."""
    deposited: int
    """What came from outside, less what went there."""
    ends: Mapping[str, int]
    """How transfers ended: "completed", or why they were refused, and how many."""
    problems: Sequence[str]
    """What is wrong."""

    @property
    def total(self) -> int:
        """The money in all accounts."""
        return sum(available + reserved for available, reserved in self.rows.values())


@dataclass(slots=True)
class _Course:
    """What happened for one transfer."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    moves: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """What accounts have of it: account, event, amount."""


async def audit(bank: Bank, *, requested: Collection[str]) -> Audit:
    """Compare all streams with each other and with the table.

    Args:
        bank: The bank; nothing may be under way.
        requested: The transfers that there must be.
    """
    books = _Books()
    async for event in bank.store.read_all():
        books.enter(event)
    rows = await bank.balances.rows()
    problems = [*books.wrong_transfers(requested), *books.wrong_balances(rows)]
    return Audit(
        rows=rows,
        events=books.events,
        deposited=sum(books.outside.values()),
        ends=Counter(end for course in books.courses.values() for end in course.ends),
        problems=problems,
    )


class _Books:
    def __init__(self) -> None:
        self.events = 0
        self.outside: Counter[str] = Counter()
        self.courses: dict[str, _Course] = defaultdict(_Course)
        self._found: dict[str, tuple[int, int]] = {}
        self._overdrawn: list[str] = []

    def enter(self, event: Event) -> None:
        self.events += 1
        data: Any = event.data
        if event.stream.startswith(_TRANSFER):
            course = self.courses[event.stream.removeprefix(_TRANSFER)]
            if event.name == "Requested":
                course.requests.append(data)
            else:
                course.ends.append("completed" if event.name == "Completed" else data["reason"])
            return
        account = event.stream.removeprefix(_ACCOUNT)
        if event.name == "Opened":
            self._found.setdefault(account, (0, 0))
            return
        amount: int = data["amount"]
        by = [sign * amount for sign in _SIGNS[event.name]]
        before = self._found.get(account, (0, 0))
        after = self._found[account] = (before[0] + by[0], before[1] + by[1])
        if min(after) < 0:
            self._overdrawn.append(f"account {account} has {after} after event {event.position}")
        if "transfer" in data:
            self.courses[data["transfer"]].moves[account, event.name, amount] += 1
        else:
            self.outside[account] += by[0]

    def wrong_transfers(self, requested: Collection[str]) -> Iterator[str]:
        """Yield which transfers are lost, doubled, or not what was asked for."""
        for transfer in sorted({*requested} - self.courses.keys()):
            yield f"transfer {transfer} is lost"
        for transfer, course in self.courses.items():
            if len(course.requests) != 1:
                yield f"transfer {transfer} was requested {len(course.requests)} times"
            elif len(course.ends) != 1:
                yield f"transfer {transfer} has {len(course.ends)} ends: {course.ends}"
            elif course.moves not in _right_moves(course):
                moves = ", ".join(f"{count} x {move}" for move, count in course.moves.items())
                yield f"transfer {transfer} ended as {course.ends[0]!r} after {moves or 'nothing'}"

    def wrong_balances(self, rows: Rows) -> Iterator[str]:
        """Yield which accounts do not have what they should, in their events and in the table."""
        yield from self._overdrawn
        right = self.outside.copy()
        for course in self.courses.values():
            if course.ends == ["completed"]:
                for request in course.requests:
                    right[request["source"]] -= request["amount"]
                    right[request["to"]] += request["amount"]
        for account in sorted({*self._found, *rows, *right}):
            should = (right[account], 0)
            for where, found in (("its events", self._found), ("the table", rows)):
                if found.get(account) != should:
                    yield f"account {account} has {found.get(account)} by {where}, not {should}"


def _right_moves(course: _Course) -> Sequence[Counter[tuple[str, str, int]]]:
    """Return what accounts may have of a transfer that has ended."""
    (request,), (end,) = course.requests, course.ends
    source, to, amount = request["source"], request["to"], request["amount"]
    reserved = (source, "Reserved", amount)
    if end == "completed":
        return [Counter([reserved, (source, "Paid", amount), (to, "Received", amount)])]
    return [Counter(), Counter([reserved, (source, "Released", amount)])]
