"""`arvo store targets`, `blocked`, `parked` and `lag`: looks at reactions."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from arvo_cli._terminal._listing import first_of, print_json, print_table
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_event_store import ParkedEvent, ReactionLag, TargetState
from arvo_time import SYSTEM_CLOCK

from ._reaction_lag import lags_of
from ._rows import (
    BLOCKED_COLUMNS,
    LAG_COLUMNS,
    PARKED_COLUMNS,
    TARGET_COLUMNS,
    blocked_row,
    lag_json,
    lag_row,
    parked_json,
    parked_row,
    target_json,
    target_row,
)
from ._url import looked_into_store


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsJob:
    """The options of `arvo store targets` and `arvo store blocked`."""

    store: str
    """The store's URL."""
    group: str
    """The group."""
    reaction: str | None
    """Only targets of this reaction; None means all."""
    blocked: bool
    """Whether only blocked targets are meant, with their errors."""
    limit: int
    """How many at most."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print the targets, and return the exit status.

        Raises:
            CommandError: The store cannot be used, or there is no such group or reaction.
        """
        found, more = asyncio.run(self._found())
        if self.json:
            print_json(map(target_json, found))
        elif found:
            now = SYSTEM_CLOCK.now()
            columns, row = (
                (BLOCKED_COLUMNS, blocked_row) if self.blocked else (TARGET_COLUMNS, target_row)
            )
            print_table(columns, (row(each, now=now) for each in found))
        what = "blocked target" if self.blocked else "target"
        say(f"{counted(len(found), what)}{'; --limit shows more' if more else ''}")
        return 0

    async def _found(self) -> tuple[list[TargetState], bool]:
        async with looked_into_store(self.store) as store:
            await lags_of(store, self.group, reaction=self.reaction)
            targets = store.targets(
                self.group, reaction=self.reaction, blocked=True if self.blocked else None
            )
            return await first_of(targets, self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedJob:
    """The options of `arvo store parked`."""

    store: str
    """The store's URL."""
    group: str
    """The group."""
    reaction: str | None
    """Only events of this reaction; None means all."""
    limit: int
    """How many at most."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print the parked events, and return the exit status.

        Raises:
            CommandError: The store cannot be used, or there is no such group or reaction.
        """
        found, more = asyncio.run(self._found())
        if self.json:
            print_json(map(parked_json, found))
        elif found:
            now = SYSTEM_CLOCK.now()
            print_table(PARKED_COLUMNS, (parked_row(each, now=now) for each in found))
        say(f"{counted(len(found), 'parked event')}{'; --limit shows more' if more else ''}")
        return 0

    async def _found(self) -> tuple[list[ParkedEvent], bool]:
        async with looked_into_store(self.store) as store:
            await lags_of(store, self.group, reaction=self.reaction)
            return await first_of(store.parked(self.group, reaction=self.reaction), self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class LagJob:
    """The options of `arvo store lag`."""

    store: str
    """The store's URL."""
    group: str
    """The group."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print how far reactions are behind, and return the exit status.

        Raises:
            CommandError: The store cannot be used, or there is no such group.
        """
        lags = asyncio.run(self._lags())
        if self.json:
            print_json(map(lag_json, lags))
        else:
            now = SYSTEM_CLOCK.now()
            print_table(LAG_COLUMNS, (lag_row(each, now=now) for each in lags))
        return 0

    async def _lags(self) -> Sequence[ReactionLag]:
        async with looked_into_store(self.store) as store:
            return await lags_of(store, self.group)
