"""The due index: which workflows wait for a time, and until when each is claimed."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Any, Final, TypeAlias

from arvo_event_handler.memory import (
    UNCHANGED,
    DueMachine,
    NextTimer,
    Unchanged,
    check_claim,
    claim_hold,
)
from arvo_redis import Script, Server, Word
from arvo_time.logs import bounded_logger

from . import _due_scripts as scripts
from ._concurrently import AT_ONCE, all_of
from ._index import microseconds, time_of
from ._keys import Keys

_logger: Final = bounded_logger("arvo_memory_redis")
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST_HOLD: Final = timedelta(days=3653)

_Claimed: TypeAlias = tuple[list[DueMachine], bool]


def timer_words(timer: NextTimer | Unchanged | None) -> tuple[Word, Word]:
    """Return what a script that writes is given of a timer: when it is due, and its key."""
    if timer is UNCHANGED:
        return "", ""
    if timer is None:
        return "none", ""
    return microseconds(timer.at), timer.key.encode("utf-8", "surrogatepass")


class DueIndex:
    """The sorted sets of what is due, of one prefix.

    Each call raises a `MachineMemoryError` when the server fails.
    """

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys

    async def claim(self, *, limit: int, hold: timedelta) -> list[DueMachine]:
        """Answer `ITimedMachineMemory.claim_due`."""
        check_claim(limit=limit, hold=hold)
        self._server.check_writable("claim_due")
        first = min(hold, _LONGEST_HOLD)
        holds = [first // _MICROSECOND, claim_hold(first, claims=65) // _MICROSECOND]
        claimed: list[DueMachine] = []
        is_more = True
        while is_more and len(claimed) < limit:
            part, is_more = await self._claimed(limit - len(claimed), holds)
            claimed += part
        # They come in the order in which they could be claimed.
        claimed.sort(key=lambda each: each.at)
        return claimed

    async def next_due(self) -> datetime | None:
        """Answer `ITimedMachineMemory.next_due`."""
        async with aclosing(self._of_each_server(scripts.NEXT)) as found:
            earliest = [int(at) async for at in found if at is not None]
        return time_of(min(earliest)) if earliest else None

    async def _claimed(self, limit: int, holds: Sequence[int]) -> _Claimed:
        """Claim once; return whether there may be more to claim."""
        if not self._server.clustered:
            return await self._claimed_of(self._keys.tags, limit, holds)
        due: list[tuple[int, bytes]] = []
        async with aclosing(self._of_each_server(scripts.BACKLOG, limit)) as found:
            async for tags_and_times in found:
                times = map(int, tags_and_times[1::2])
                due += zip(times, tags_and_times[::2], strict=True)
        wanted = list(Counter(tag for _, tag in nsmallest(limit, due)).items())
        claimed: list[DueMachine] = []
        is_more = False
        for first in range(0, len(wanted), AT_ONCE):
            for part, is_more_of_it in await all_of(
                self._claimed_of([tag.decode()], number, holds)
                for tag, number in wanted[first : first + AT_ONCE]
            ):
                claimed += part
                is_more = is_more or is_more_of_it
        return claimed, is_more

    async def _claimed_of(self, tags: Sequence[str], limit: int, holds: Sequence[int]) -> _Claimed:
        now, is_more, claimed = await self._run(scripts.CLAIM, [limit, *holds], tags)
        due_by = time_of(int(now))
        machines = [_due_machine(facts, due_by=due_by) for facts in claimed]
        return [each for each in machines if each is not None], bool(is_more)

    async def _of_each_server(self, script: Script, *words: Word) -> AsyncGenerator[Any, None]:
        """Yield what a script returns on each server of a Cluster, or the one server.

        It is run on the server of one tag, which returns the tags that others have.
        """
        tags: Sequence[str] = self._keys.tags
        while tags:
            answer, missed = await self._run(script, words, tags)
            yield answer
            tags = [tag.decode() for tag in missed]

    async def _run(self, script: Script, words: Sequence[Word], tags: Sequence[str]) -> Any:
        key = self._keys.due(tags[0])
        return await self._server.run(script, key, self._keys.prefix, *words, *tags)


def _due_machine(facts: Sequence[Any], *, due_by: datetime) -> DueMachine | None:
    """Read what a claim returned of a workflow; None if it is damaged, which is logged."""
    subject, at, key, claims = facts
    try:
        return DueMachine(
            machine_id=subject.decode("utf-8", "surrogatepass"),
            at=time_of(int(at)),
            key=key.decode("utf-8", "surrogatepass"),
            claims=claims,
            due_by=due_by,
        )
    except (AttributeError, ValueError, OverflowError):
        _logger.warning("a claim leaves out a timer that is damaged", exc_info=True)
        return None
