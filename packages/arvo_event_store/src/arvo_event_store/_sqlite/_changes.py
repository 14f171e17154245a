"""Telling those who wait that there may be work in a file."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import asyncio
import sqlite3
from contextlib import suppress
from datetime import timedelta
from typing import Final, NamedTuple

from arvo_time import Clock

from ._reads import HORIZON

# In seconds.
_PAUSE: Final = 0.025
_QUIET_PAUSE: Final = 0.05
_QUIET_AFTER: Final = 60.0

_STATE: Final = f"""
    SELECT coalesce(({HORIZON}), 0), (SELECT coalesce(sum(set_going), 0) FROM reaction)
"""


class State(NamedTuple):
    """What grows when there may be work, whichever process brings it."""

    horizon: int = 0
    """The last position."""
    set_going: int = 0
    """How often marks were raised, or targets set going by an operator."""

    def with_all_of(self, other: "State") -> "State":
        """Return the state after all changes of both."""
        return State(max(self.horizon, other.horizon), max(self.set_going, other.set_going))


def state_of(connection: sqlite3.Connection) -> State:
    """Return the state that a connection sees."""
    return State(*connection.execute(_STATE).fetchone())


class _Look(NamedTuple):
    """What a connection saw, and what tells whether anybody has committed since."""

    data_version: int
    own_changes: int
    state: State


class Changes:
    """A count of changes, and those who wait for the next one.

    Args:
        clock: By which they wait.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told = asyncio.Event()
        self._known: State | None = None
        self._looks: dict[sqlite3.Connection, _Look] = {}
        self._committed = clock.monotonic()
        self.count = 0

    def tell(self, state: State) -> None:
        """Count a change of this process, and wake all who wait.

        Args:
            state: The state after it, as far as it is known.
        """
        if self._known is not None:
            self._known = self._known.with_all_of(state)
        self.count += 1
        self.wake()

    def wake(self) -> None:
        """Let all who wait look at once."""
        told, self._told = self._told, asyncio.Event()
        told.set()

    def look(self, connection: sqlite3.Connection) -> State:
        """Return the state; asked of a reader's connection, it costs little while nobody commits."""
        (data_version,) = connection.execute("PRAGMA data_version").fetchone()
        # Without a file there is one connection, and its own commits leave `data_version` as it is.
        own_changes = connection.total_changes
        look = self._looks.get(connection)
        if look is not None and look[:2] == (data_version, own_changes):
            return look.state
        state = state_of(connection)
        self._looks[connection] = _Look(data_version, own_changes, state)
        self._committed = self._clock.monotonic()
        return state

    def compare(self, state: State) -> None:
        """Count a change if the state is beyond what is known."""
        known = self._known
        self._known = state if known is None else known.with_all_of(state)
        if known is not None and self._known != known:
            self.count += 1
            self.wake()

    async def rest(self, *, until: float, seen: int) -> None:
        """Wait until it is time to look again, or a change is counted.

        Args:
            until: When to wait no longer, by the clock's `monotonic`.
            seen: The count that is known.
        """
        now = self._clock.monotonic()
        is_quiet = now - self._committed > _QUIET_AFTER
        pause = min(_QUIET_PAUSE if is_quiet else _PAUSE, until - now)
        told = self._told
        if self.count > seen:
            return
        with suppress(TimeoutError):
            async with self._clock.timeout(timedelta(seconds=pause)):
                await told.wait()
