"""How far the reactions of a worker are behind, looked up while somebody measures it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final

from typing_extensions import override

from arvo_event_store._reaction_state import ReactionLag
from arvo_event_store._reaction_store import IReactionStore
from arvo_time import Clock

from ._outage import OUTAGES
from ._telemetry import Measured, Observations, measured

_INTERVAL: Final = timedelta(seconds=5)


class Gauges(Measured):
    """Asks the store how far reactions are behind every five seconds, if it was asked meanwhile.

    Args:
        store: The store.
        group: The group.
        reactions: The names of the worker's reactions.
        clock: For the interval.
        troubles: Has what fails now.
    """

    def __init__(
        self,
        store: IReactionStore,
        *,
        group: str,
        reactions: Collection[str],
        clock: Clock,
        troubles: Mapping[str, str],
    ) -> None:
        self._store = store
        self._group = group
        self._reactions = reactions
        self._clock = clock
        self._troubles = troubles
        self._asked = False
        self._found: Sequence[ReactionLag] = ()

    @override
    def measures(self, name: str) -> Observations:
        self._asked = True
        of_group = {"arvo.group": self._group}
        if name == "troubles":
            return [(len(self._troubles), of_group)]
        return [
            (self._value(each, name), {**of_group, "arvo.reaction": each.reaction})
            for each in self._found
        ]

    def _value(self, lag: ReactionLag, name: str) -> float:
        if name != "oldest":
            return float(getattr(lag, name))
        if lag.oldest is None:
            return 0.0
        return max(0.0, (self._clock.now() - lag.oldest).total_seconds())

    async def run(self) -> None:
        """Look, until cancelled."""
        measured.add(self)
        try:
            while True:
                await self._clock.sleep(_INTERVAL)
                if self._asked:
                    self._asked = False
                    await self._look()
        finally:
            measured.discard(self)

    async def _look(self) -> None:
        try:
            lags = await self._store.lag(self._group)
        except OUTAGES:
            self._found = ()  # the parts that need the store say so
        else:
            self._found = [each for each in lags if each.reaction in self._reactions]
