"""The workflows of the storm, over workers that kill themselves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from arvo_transport import Done, IEventTransport, TopicSpec
from storm import (
    BUY,
    CLIENT,
    PAY,
    Answers,
    Books,
    Report,
    init_of,
    read_books,
)

from ._roles import Death
from ._site import Site, WorkerProcess, until

_MOST: Final = 5_000
_AT_MOST: Final = timedelta(minutes=5)
_AT_ONCE: Final = 24
_INBOX: Final = TopicSpec(CLIENT)


class Workflows:
    """Workflows that are started, a dozen at a time, and their answers; made by `open`."""

    def __init__(self, site: Site, transport: IEventTransport) -> None:
        self._site = site
        self._transport = transport
        self._inits = [init_of(number) for number in range(_MOST)]
        self.report = Report()
        numbers = {event.subject: number for number, event in enumerate(self._inits)}
        self._answers = Answers(numbers, self.report)
        self._books = site.folder / "books"
        self._memory = f"sqlite:///{site.folder}/memory.db?synchronous=normal"

    @classmethod
    @asynccontextmanager
    async def open(cls, site: Site) -> AsyncIterator["Workflows"]:
        """Take the answers for as long as the block lasts."""
        async with site.connect() as transport:
            workflows = cls(site, transport)
            Books(workflows._books).close()  # so that the file exists
            asked = [TopicSpec(each.type, order="subject", owner=False) for each in (BUY, PAY)]
            await transport.declare([_INBOX, *asked])
            collecting = asyncio.create_task(workflows._collect())
            try:
                yield workflows
            finally:
                collecting.cancel()
                await asyncio.wait([collecting])

    async def work(self, deaths: Sequence[Death], *, workers: int) -> None:
        """Start workflows until so many workers have killed themselves, and let all end."""
        left = [*reversed(deaths)]
        at_work = [self._start(left.pop() if left else None) for _ in range(workers)]

        async def over() -> bool:
            for index, worker in enumerate(at_work):
                if not worker.process.is_alive():
                    at_work[index] = self._start(left.pop() if left else None)
            killed = len(self._site.workers) - workers
            open_now = self.report.workflows - self.report.completions
            if killed < len(deaths) and open_now < _AT_ONCE:
                await self._start_workflows(_AT_ONCE - open_now)
            return killed >= len(deaths) and not open_now and await self._empty()

        await until(over, "all workflows end, and all workers that are to die", at_most=_AT_MOST)
        await self._site.drain(*at_work)

    def close(self) -> None:
        """Compare with what is expected."""
        report = self.report
        for subject in [event.subject for event in self._inits[report.workflows :]]:
            del self._answers.numbers[subject]
        sums, again = read_books(self._books)
        self._answers.close(sums=sums, booked_again=again)

    async def _start_workflows(self, count: int) -> None:
        first = self.report.workflows
        await self._transport.publish(self._inits[first : first + count])
        self.report.workflows += count

    def _start(self, death: Death | None) -> WorkerProcess:
        return self._site.start(
            death=death,
            # They die by their own hand, and not by what they have in hand.
            suspect_after=1_000,
            max_deliveries=1_000,
            workflows=(self._memory, str(self._books)),
        )

    async def _empty(self) -> bool:
        for topic in await self._transport.topics():
            depth = await self._transport.depth(topic.name)
            if depth.waiting or depth.in_hand or depth.delayed:
                return False
        return True

    async def _collect(self) -> None:
        async with self._transport.inbox(_INBOX, prefetch=64) as inbox:
            while True:
                for received in await inbox.receive(64):
                    self._answers.take(received.event)
                    await inbox.settle(received, Done())
