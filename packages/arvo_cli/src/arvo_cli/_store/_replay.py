"""`arvo store replay`: hands parked events out once more."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from arvo_cli._errors import INTERRUPTED, CommandError, NotReachedError
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._listing import print_json, print_table
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_event_store import ParkedEvent
from arvo_time import SYSTEM_CLOCK

from ._reaction_lag import lags_of
from ._rows import PARKED_COLUMNS, parked_json, parked_row
from ._url import looked_into_store, store_for

_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayJob:
    """The options of `arvo store replay`."""

    store: str
    """The store's URL."""
    group: str
    """The group."""
    reaction: str | None
    """Only events of this reaction; None means all."""
    key: str | None
    """Only those of this target; None means all."""
    positions: frozenset[int]
    """Only events at these positions; empty means all."""
    all: bool
    """Whether all parked events are meant, where nothing else is given."""
    dry_run: bool
    """Whether only to show the events."""
    yes: bool
    """Whether not to ask."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Replay parked events, and return the exit status.

        Raises:
            CommandError: The store cannot be used, there is no such group or reaction, or the user does
                not want it.
        """
        chosen = self.reaction is not None or self.key is not None or bool(self.positions)
        if chosen == self.all:
            raise CommandError(
                "which events? Give --reaction, --key or --position, or --all to replay all"
            )
        parked = asyncio.run(self._parked())
        if self.dry_run:
            self._show(parked)
            say(f"would replay {counted(len(parked), 'parked event')}")
            return 0
        done = _Done()
        if parked:
            confirm(f"Replay {counted(len(parked), 'parked event')}?", yes=self.yes)
            try:
                asyncio.run(self._replay(parked, done))
            except NotReachedError:
                say(f"{counted(done.count, 'event')} replayed")
                raise
            except KeyboardInterrupt:
                say(f"interrupted; {counted(done.count, 'event')} replayed, the others stay parked")
                return INTERRUPTED
        if self.json:
            print_json([{"group": self.group, "parked": len(parked), "replayed": done.count}])
        say(f"{counted(done.count, 'event')} replayed")
        left = len(parked) - done.count
        if left:
            say(f"{counted(left, 'event')} left: not parked any more, or cut off from its stream")
        return 1 if left else 0

    async def _parked(self) -> Sequence[ParkedEvent]:
        async with looked_into_store(self.store) as store:
            await lags_of(store, self.group, reaction=self.reaction)
            return [
                each
                async for each in store.parked(self.group, reaction=self.reaction)
                if self.key in (None, each.key)
                and (not self.positions or each.position in self.positions)
            ]

    async def _replay(self, parked: Sequence[ParkedEvent], done: "_Done") -> None:
        async with store_for("change", self.store) as store:
            for first in range(0, len(parked), _AT_ONCE):
                done.count += await store.replay(self.group, parked[first : first + _AT_ONCE])

    def _show(self, parked: Sequence[ParkedEvent]) -> None:
        if self.json:
            print_json(map(parked_json, parked))
        elif parked:
            now = SYSTEM_CLOCK.now()
            print_table(PARKED_COLUMNS, (parked_row(each, now=now) for each in parked))


@dataclass(slots=True)
class _Done:
    count: int = 0
