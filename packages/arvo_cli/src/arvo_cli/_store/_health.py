"""`arvo store health`: says whether reactions keep up, for people and for probes."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from arvo_cli._terminal._listing import age, print_json, print_table
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_event_store import ReactionLag
from arvo_time import SYSTEM_CLOCK

from ._reaction_lag import lags_of
from ._rows import LAG_COLUMNS, lag_json, lag_row
from ._url import looked_into_store


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthJob:
    """The options of `arvo store health`. A limit that is None is none."""

    store: str
    """The store's URL."""
    group: str
    """The group."""
    max_blocked: int
    """How many targets of a reaction may be blocked."""
    max_parked: int | None
    """How many events of a reaction may be parked."""
    max_pending: int | None
    """How many targets of a reaction may have work."""
    max_unscanned: int | None
    """How many positions a reaction may be unscanned."""
    max_age: timedelta | None
    """How old the oldest event may be that is not done."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print how reactions are, and return the exit status: 0 if none is beyond a limit.

        Raises:
            CommandError: The store cannot be used, or there is no such group.
        """
        lags = asyncio.run(self._lags())
        now = SYSTEM_CLOCK.now()
        problems = [(lag.reaction, each) for lag in lags for each in self._problems(lag, now=now)]
        if self.json:
            report = {
                "group": self.group,
                "status": "degraded" if problems else "ok",
                "problems": [{"reaction": name, "problem": each} for name, each in problems],
                "reactions": [lag_json(each) for each in lags],
            }
            print_json([report])
        else:
            print_table(LAG_COLUMNS, (lag_row(each, now=now) for each in lags))
            for name, each in problems:
                say(f"{name}: {each}")
            if not problems:
                say(f"ok: {counted(len(lags), 'reaction')} of {self.group}")
        return 1 if problems else 0

    def _problems(self, lag: ReactionLag, *, now: datetime) -> Iterator[str]:
        limits = (
            (lag.blocked, self.max_blocked, "blocked target"),
            (lag.parked, self.max_parked, "parked event"),
            (lag.pending, self.max_pending, "pending target"),
            (lag.unscanned, self.max_unscanned, "unscanned position"),
        )
        for count, limit, what in limits:
            if limit is not None and count > limit:
                yield f"{counted(count, what)}, of at most {limit}"
        if self.max_age is not None and lag.oldest is not None:
            oldest = now - lag.oldest
            if oldest > self.max_age:
                yield (
                    f"the oldest event that is not done is {age(oldest)} old, of at most "
                    f"{age(self.max_age)}"
                )

    async def _lags(self) -> Sequence[ReactionLag]:
        async with looked_into_store(self.store) as store:
            return await lags_of(store, self.group)
