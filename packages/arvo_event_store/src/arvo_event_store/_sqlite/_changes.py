"""Telling those who wait that there may be work in a file."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

import sqlite3
from datetime import timedelta
from typing import Final, NamedTuple

from arvo_event_store.stores import Changes
from arvo_time import Clock

from ._reads import HORIZON

_PAUSE: Final = timedelta(milliseconds=25)
_QUIET_PAUSE: Final = timedelta(milliseconds=50)
_QUIET_AFTER: Final = timedelta(minutes=1)

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

    commits: tuple[int, int]
    state: State


class FileChanges(Changes):
    """The changes of a file, also those that others make.

    Args:
        clock: By which their callers wait.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._time = clock
        self._known: State | None = None
        self._looks: dict[sqlite3.Connection, _Look] = {}
        self._committed = clock.monotonic()

    @property
    def pause(self) -> timedelta:
        """How long to wait before the next look."""
        quiet = self._time.monotonic() - self._committed
        return _QUIET_PAUSE if quiet > _QUIET_AFTER.total_seconds() else _PAUSE

    def tell_own(self, state: State) -> None:
        """Tell of a change of this store.

        Args:
            state: The state after it, as far as it is known.
        """
        if self._known is not None:
            self._known = self._known.with_all_of(state)
        self.tell()

    def compare(self, state: State) -> None:
        """Tell of a change of somebody else, if the state is beyond what is known."""
        known = self._known
        self._known = state if known is None else known.with_all_of(state)
        if known is not None and self._known != known:
            self.tell()

    def look(self, connection: sqlite3.Connection) -> State:
        """Return the state, which costs little while nobody commits."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        # Without a file there is one connection, whose own commits leave the version as it is.
        commits = (version, connection.total_changes)
        look = self._looks.get(connection)
        if look is None or look.commits != commits:
            if look is not None:
                self._committed = self._time.monotonic()
            look = self._looks[connection] = _Look(commits, state_of(connection))
        return look.state
