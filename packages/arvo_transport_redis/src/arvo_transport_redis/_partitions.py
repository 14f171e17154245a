"""Which partitions of an ordered topic a worker has."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from arvo_transport import TopicState

from ._namespace import Namespace
from ._scripts import GIVE_UP, TEND
from ._shard import Shard

_SECOND: Final = timedelta(seconds=1)
_MS: Final = timedelta(milliseconds=1)


class Partitions:
    """The partitions that one worker owns: its share, by leases that it renews.

    A worker with more than its share drains some: it reads nothing more of them, and gives each up as
    soon as it has nothing in hand of it. What it has in hand when a lease is lost is lost with it.
    """

    def __init__(
        self,
        namespace: Namespace,
        *,
        state: TopicState,
        token: str,
        on_taken: Callable[[], None],
    ) -> None:
        """Own nothing yet.

        Args:
            namespace: Where the topic is.
            state: The topic, as it is laid out.
            token: The name of the worker, which nobody else has.
            on_taken: Called when it has got a partition.
        """
        self._namespace = namespace
        self._state = state
        self._token = token
        self._on_taken = on_taken
        self._lost: list[Shard] = []
        self._tending = asyncio.Lock()
        self._barred: dict[int, float] = {}
        # Those that nobody had when it last looked. One that nobody has then either is taken over the share:
        # the worker whose share it is in leaves it to others.
        self._unwanted: list[int] = []
        # Those that it took over the share, and until when it keeps them to read what waits there.
        self._guests: dict[int, float] = {}
        self.owned: dict[int, Shard] = {}
        """The partitions that it has, by number."""
        self.leaving = False
        """Whether it drains all."""

    async def tend(self, version: str) -> tuple[timedelta, bytes]:
        """Renew the leases, take a free partition, give a drained one up, as the share says.

        Args:
            version: The version of the layout that is known; nothing is taken by a former one.

        Returns:
            When to tend again at the latest, and the version of the layout.

        Raises:
            TransportError: The server failed.
        """
        async with self._tending:
            live, layout, share, lost, taken, self._unwanted = await self._tend(version)
            for number in lost:
                if number in self.owned:  # or a read has noticed it meanwhile
                    self.drop(self.owned[number])
            for number in taken:
                if len(self.owned) >= share:
                    self._guests[number] = self._in_a_lease()
                self.owned[number] = self._shard(number)
            if taken:
                self._on_taken()
            self._drain(share)
            await self._give_up()
        if not self.owned and self.leaving:
            return self._namespace.lease, layout
        alone = live <= 1 and len(self.owned) == share
        return min(self._namespace.lease / 3, timedelta(seconds=5) if alone else _SECOND), layout

    def drop(self, shard: Shard) -> None:
        """Forget a partition that another worker has."""
        shard.lost = True
        self.owned.pop(shard.number, None)
        if shard.held:
            self._lost.append(shard)

    def leave_alone(self, shard: Shard, *, pause: timedelta) -> None:
        """Give a partition up, and do not take it for a while."""
        until = self._namespace.clock.monotonic() + pause.total_seconds()
        self._barred[shard.number] = max(until, self._barred.get(shard.number, until))
        shard.draining = True

    async def _tend(self, version: str) -> tuple[int, bytes, int, list[int], list[int], list[int]]:
        now = self._namespace.clock.monotonic()
        self._barred = {each: until for each, until in self._barred.items() if until > now}
        self._lost = [shard for shard in self._lost if shard.held]
        # Not before handlers of a former lease have ended, or they would run beside their successors.
        left = {*self._barred, *(shard.number for shard in self._lost)} - self.owned.keys()
        keys, topic = self._namespace.keys, self._state.name
        found: tuple[
            int, bytes, int, list[int], list[int], list[int]
        ] = await self._namespace.server.run(
            TEND,
            keys.partition(topic, 0),
            keys.partitions(topic),
            self._state.partitions,
            self._token,
            self._namespace.lease // _MS,
            int(not self.leaving),
            keys.bell(topic),
            keys.layout,
            version,
            keys.paused,
            topic,
            len(self.owned),
            *(word for shard in self.owned.values() for word in (shard.number, self._lasts(shard))),
            len(self._unwanted),
            *self._unwanted,
            *left,
        )
        return found

    def _lasts(self, shard: Shard) -> int:
        """Return how long a lease is to last: a lease after the last word about what is in hand."""
        silence = timedelta(seconds=shard.silence(self._namespace.clock.monotonic()))
        return max(0, (self._namespace.lease - silence) // _MS)

    def _in_a_lease(self) -> float:
        return self._namespace.clock.monotonic() + self._namespace.lease.total_seconds()

    def _shard(self, number: int) -> Shard:
        slot = self._namespace.keys.partition(self._state.name, number)
        return Shard(number=number, slot=slot, consumer="owner", token=self._token)

    def _drain(self, share: int) -> None:
        """Keep as many as the share says; of those that are kept anyway, the busiest.

        Those that it took over the share are kept for a while, or they might be given up unread.
        """
        now = self._namespace.clock.monotonic()
        guests = {number: until for number, until in self._guests.items() if share and until > now}
        self._guests = {number: guests[number] for number in guests.keys() & self.owned.keys()}
        kept_anyway = self._barred.keys() | self._guests.keys()
        free = [shard for shard in self.owned.values() if shard.number not in kept_anyway]
        free.sort(key=lambda shard: (shard.draining, -len(shard.held), shard.number))
        for rank, shard in enumerate(free):
            if shard.draining and rank < share:
                shard.ringing = True
                self._on_taken()
            shard.draining = rank >= share

    async def _give_up(self) -> None:
        for shard in list(self.owned.values()):
            if shard.draining and not shard.held and not shard.reading:
                del self.owned[shard.number]
                channel = self._namespace.keys.bell(self._state.name)
                await self._namespace.server.run(GIVE_UP, shard.slot, self._token, channel)
