"""Renews leases for as long as they are worked under."""

import asyncio
from datetime import timedelta
from typing import Protocol

from arvo_event_store._lease import Lease
from arvo_event_store._reaction_store import IReactionStore
from arvo_time import Clock

from ._outage import OUTAGES, Outage


class LeaseHolder(Protocol):
    """Who works under a lease."""

    @property
    def lease(self) -> Lease:
        """The lease."""
        ...

    def renewed(self) -> None:
        """Note that the lease was renewed."""
        ...

    def lose(self) -> None:
        """Stop: somebody else has the lease."""
        ...


class LeaseKeeper:
    """Renews the leases of one lane, each within a third of its time.

    Args:
        store: Who gave them.
        ttl: For how long they are.
        clock: For how long to wait.
        outage: Pauses while the store fails.
    """

    def __init__(
        self, store: IReactionStore, *, ttl: timedelta, clock: Clock, outage: Outage
    ) -> None:
        self._store = store
        self._ttl = ttl
        self._clock = clock
        self._outage = outage
        self._holders: set[LeaseHolder] = set()
        self._some = asyncio.Event()

    def add(self, holder: LeaseHolder) -> None:
        """Renew a lease from now on."""
        self._holders.add(holder)
        self._some.set()

    def remove(self, holder: LeaseHolder) -> None:
        """Renew a lease no more. Idempotent."""
        self._holders.discard(holder)

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await self._some.wait()
            await self._clock.sleep(self._ttl / 3)
            if self._holders:
                await self._renew()
            else:
                self._some.clear()

    async def _renew(self) -> None:
        while self._holders:
            holders = [*self._holders]
            try:
                kept = await self._store.extend([each.lease for each in holders], ttl=self._ttl)
            except OUTAGES as error:
                await self._outage.pause(error)
                continue
            self._outage.end()
            standing = {_place(lease) for lease in kept}
            for holder in holders:
                if holder not in self._holders:
                    continue  # it was finished meanwhile
                if _place(holder.lease) in standing:
                    holder.renewed()
                else:
                    self._holders.discard(holder)
                    holder.lose()
            return


def _place(lease: Lease) -> tuple[str, str, int]:
    return lease.reaction, lease.key, lease.token
