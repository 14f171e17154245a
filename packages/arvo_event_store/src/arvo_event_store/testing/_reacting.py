"""What the tests of workers have in common."""

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import uuid4

from arvo_event_store._event import NewEvent
from arvo_event_store._lease import Lease
from arvo_event_store._reactions._event_consumer import EventConsumer
from arvo_event_store._reactions._routing import Routed, Routing
from arvo_event_store._reactions._worker import ReactionWorker
from arvo_event_store._store import IEventStore
from arvo_time import SYSTEM_CLOCK, Backoff, Clock, RetryPolicy

GROUP: Final = "g"
AT_ONCE: Final = RetryPolicy(retries=3, backoff=Backoff(initial=timedelta(0), maximum=timedelta(0)))


@dataclass(frozen=True)
class Added:
    """What the tests handle."""

    amount: int


@dataclass(frozen=True)
class Echoed:
    """What handlers emit."""

    amount: int


class Reacting:
    """A store, the time it goes by, and workers on it."""

    clock: Clock = SYSTEM_CLOCK
    """The time of the store, as far as it can be chosen, and of the workers."""
    lease: ClassVar[timedelta] = timedelta(seconds=5)
    """For how long leases are that a test waits for."""

    async def complete(self, scenario: Coroutine[Any, Any, None]) -> None:
        """Await a scenario, moving the time if it is not the real one."""
        await scenario

    def _worker(
        self, store: IEventStore, *reactions: EventConsumer, **settings: Any
    ) -> ReactionWorker:
        """Return a worker for some reactions."""
        settings.setdefault("poll", timedelta(milliseconds=200))
        return ReactionWorker(store, group=GROUP, reactions=reactions, clock=self.clock, **settings)

    async def _scanned(self, store: IEventStore, reaction: EventConsumer) -> None:
        """Scan for a reaction, as a worker does that handles nothing."""
        owner = uuid4()
        await store.register(GROUP, [reaction.spec])
        page = await store.scan(
            GROUP, owner=owner, ttl=self.lease, reactions=[reaction.spec], limit=100
        )
        assert page is not None, "nobody else scans"
        routed = Routed()
        Routing([reaction]).add(routed, page.events, scanned=page.scanned)
        assert await store.mark(page, routed.marks(), progress=[reaction.name])
        await store.leave(GROUP, owner=owner)

    async def _claimed_by_a_dead_worker(self, store: IEventStore, reaction: EventConsumer) -> Lease:
        """Return the lease of a worker that does nothing with it, which runs out soon."""
        (lease,) = await store.claim(
            GROUP,
            owner=uuid4(),
            ttl=timedelta(milliseconds=100),
            reactions=[reaction.spec],
            lane=reaction.spec.lane,
            lagging=1,
            leading=0,
            max_events=100,
            max_bytes=1024 * 1024,
        )
        return lease


async def add(store: IEventStore, stream: str, *amounts: int) -> None:
    """Append an event for each amount."""
    await store.append(stream, [NewEvent("Added", {"amount": amount}) for amount in amounts])


async def amounts(store: IEventStore, stream: str) -> list[int]:
    """Return the amounts of all events of a stream."""
    return [event.data["amount"] async for event in store.read(stream)]
