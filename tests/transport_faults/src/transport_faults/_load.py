"""Events that keep coming."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from arvo_transport import IEventTransport

from ._events import numbered
from ._roles import Role
from ._site import Site, until


@dataclass(slots=True, kw_only=True)
class Load:
    """What `under_load` has published."""

    site: Site
    """Where."""
    topic: str
    """The topic."""
    transport: IEventTransport
    """What publishes."""
    subjects: int
    """How many subjects they have."""
    published: int = 0
    """How many."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def handled(self) -> int:
        """How many times one was handled to its end."""
        entries = self.site.ledger.read()
        return sum(entry.what == "ended" and entry.topic == self.topic for entry in entries)

    async def publish(self) -> None:
        """Publish one event of each subject."""
        async with self._lock:
            some = range(self.published, self.published + self.subjects)
            events = numbered(some, to=self.topic, subjects=self.subjects)
            await self.transport.publish(events)
            self.published += self.subjects

    async def until_more(self, count: int) -> None:
        """Wait until so many more were handled."""
        aim = self.handled + count
        await until(lambda: self.handled >= aim, f"{count} more events are handled")


@asynccontextmanager
async def under_load(
    site: Site, transport: IEventTransport, role: Role, *, subjects: int, waiting: int
) -> AsyncIterator[Load]:
    """Publish events for as long as the block lasts; then wait until all are handled.

    Args:
        site: Where.
        transport: What publishes.
        role: Whose topic.
        subjects: How many subjects they have, one of each at a time.
        waiting: How many are unhandled at most, about.
    """
    load = Load(site=site, topic=role.topic, transport=transport, subjects=subjects)
    over = False

    async def publish() -> None:
        while not over:
            await load.publish()
            await until(
                lambda: over or load.handled > load.published - waiting, "there is room for events"
            )

    publishing = asyncio.create_task(publish())
    try:
        yield load
        over = True
        await publishing
        await site.until_empty(transport, role.topic)
    finally:
        publishing.cancel()
        await asyncio.wait([publishing])
