"""The index: which workflows there are, in the order in which they started."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from arvo_event_handler.memory import WorkflowQuery, WorkflowStatus, WorkflowSummary
from arvo_redis import Server

from . import _index_scripts as scripts
from ._keys import Keys, encoded

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# A workflow is entered before its first commit, which may be tried again for a while.
_MAY_BE_UNWRITTEN: Final = timedelta(minutes=10)
_TOKEN_LENGTH: Final = 8


class Entry(NamedTuple):
    """A workflow of the index."""

    member: bytes
    """What the index calls it."""
    start: int
    """When it started, in microseconds since 1970."""


class WorkflowIndex:
    """The sorted sets of one prefix.

    They are not written together with a workflow: see the scripts. Each call raises a
    `MachineMemoryError` when the server fails.
    """

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys

    async def begin(self, member: str, summary: WorkflowSummary, *, owner: str) -> int:
        """Enter a workflow that is about to be written for the first time; return when it started.

        Args:
            member: What the index calls it.
            summary: What is about to be written.
            owner: The token of who writes it.
        """
        return await self._entered(member, summary, "new", owner[:_TOKEN_LENGTH])

    async def enter(self, member: str, summary: WorkflowSummary, *, start: int | None) -> int:
        """Enter a workflow under its status, source and key; return when it started.

        Args:
            member: What the index calls it.
            summary: What is written, or is about to be.
            start: When it started; None is what the index says, and now if it does not know the
                workflow.
        """
        return await self._entered(member, summary, "known" if start is None else start, "")

    async def _entered(
        self, member: str, summary: WorkflowSummary, start: int | str, token: str
    ) -> int:
        answer: bytes = await self._server.run(
            scripts.ENTER,
            self._keys.index,
            member,
            summary.status,
            encoded(summary.source),
            encoded(summary.key),
            start,
            token,
        )
        return int(answer)

    async def settle(
        self, member: str, status: WorkflowStatus, *, look_at: int = 0
    ) -> Sequence[bytes]:
        """Leave a workflow under this status only.

        Args:
            member: What the index calls it.
            status: How the workflow stands, as it was written.
            look_at: How many others of this status to return, for a look whether they are still there.
        """
        found: list[bytes] = await self._server.run(
            scripts.SETTLE, self._keys.index, member, status, look_at
        )
        return found

    async def drop(self, members: Iterable[bytes]) -> None:
        """Remove workflows that are gone, except those that may just not be written yet."""
        younger = _MAY_BE_UNWRITTEN // _MICROSECOND
        await self._server.run(scripts.DROP, self._keys.index, younger, *members)

    async def listed(
        self, query: WorkflowQuery, *, after: int | None, oldest_first: bool, limit: int
    ) -> list[Entry]:
        """Return workflows in the order of their start, more than match the query.

        Args:
            query: Its status, source, key and times narrow what is returned.
            after: The start of the last one that is known already.
            oldest_first: The direction.
            limit: How many at most; fewer means that there are no more.
        """
        lowest, highest = _bounds(query, after=after, oldest_first=oldest_first)
        if query.key is not None:
            found = await self._server.run(scripts.OF_KEY, self._keys.index, query.key)
        else:
            found = await self._server.run(
                scripts.LIST,
                self._keys.index,
                limit,
                int(oldest_first),
                lowest.text,
                highest.text,
                query.source or "",
                *sorted(query.statuses),
            )
        entries = {
            Entry(member, int(float(start)))
            for member, start in zip(found[::2], found[1::2], strict=True)
        }
        within = [each for each in entries if lowest.number < each.start < highest.number]
        within.sort(key=lambda each: each.start, reverse=not oldest_first)
        return within[:limit]


class _Bound(NamedTuple):
    """One end of a range of starts, which does not belong to it."""

    number: float

    @property
    def text(self) -> str:
        return f"({int(self.number)}" if abs(self.number) < float("inf") else f"{self.number}"


def _bounds(
    query: WorkflowQuery, *, after: int | None, oldest_first: bool
) -> tuple[_Bound, _Bound]:
    lowest, highest = [-float("inf")], [float("inf")]
    if query.started_after is not None:
        lowest.append(microseconds(query.started_after))
    if query.started_before is not None:
        highest.append(microseconds(query.started_before))
    if after is not None:
        (lowest if oldest_first else highest).append(after)
    return _Bound(max(lowest)), _Bound(min(highest))


def microseconds(time: datetime) -> int:
    """Return a time as the server has it, in microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(microseconds: int) -> datetime:
    """Return a time of the server, in UTC.

    Raises:
        OverflowError: There is no such time.
    """
    return _EPOCH + timedelta(microseconds=microseconds)
