"""Lets a broker serve its topics until a signal ends it, in three steps."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from arvo_cli._errors import INTERRUPTED
from arvo_cli._terminal._interrupt import end_process
from arvo_time import Clock
from arvo_transport import DistributedEventBroker

from ._life import Stage, WorkerLife

DRAINED: Final = 0
"""All that was in hand is finished."""
GIVEN_BACK: Final = 1
"""Something was given back to the engine before it was finished."""
_LOOK: Final = timedelta(milliseconds=50)


class Worker:
    """The life of one worker.

    Args:
        broker: Serves the topics; it is open.
        grace: How long what is in hand may take once the worker is to end.
        life: Is told the stages.
        what: What it serves, for its log.
        shown: Takes what must not be shown out of the reason why the engine fails.
        clock: For the grace.
    """

    def __init__(
        self,
        broker: DistributedEventBroker,
        *,
        grace: timedelta,
        life: WorkerLife,
        what: str,
        shown: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._grace = grace
        self._life = life
        self._what = what
        self._shown = shown
        self._clock = clock
        self._stop = asyncio.Event()
        self._give_back = asyncio.Event()

    async def run(self) -> int:
        """Serve until `stop` was called and everything has ended; return the exit status.

        Raises:
            TopicConflictError: A topic has another order than its handler needs.
            TransportError: The engine refuses to be used.
        """
        serving = asyncio.create_task(self._broker.run())
        watching = asyncio.create_task(self._watch())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                await serving  # it does not end by itself but by an error
            return await self._end()
        finally:
            await _cancelled(watching, stopped, serving)

    def stop(self) -> None:
        """Take no more events, and finish what is in hand."""
        self._stop.set()

    def give_back(self) -> None:
        """Give back what is in hand."""
        self._give_back.set()

    def abandon(self) -> None:
        """End the process immediately. Safe in a signal handler."""
        end_process(
            INTERRUPTED, say="ended immediately; others get what was in hand after its lease"
        )

    async def _end(self) -> int:
        seconds = f"{self._grace.total_seconds():g} s"
        self._life.enter(
            Stage.DRAINING,
            f"{self._in_hand()} in hand; interrupt again to give them back, or after {seconds}",
        )
        if await self._drained():
            self._life.enter(Stage.ENDED, "drained")
            return DRAINED
        why = "interrupted again" if self._give_back.is_set() else f"not done after {seconds}"
        self._life.enter(Stage.GIVING_BACK, f"{self._in_hand()} in hand, as {why}")
        await self._broker.aclose(grace=timedelta(0))
        self._life.enter(Stage.ENDED, "others get what was in hand")
        return GIVEN_BACK

    async def _drained(self) -> bool:
        """Drain; return whether that ended before the grace, and before another interrupt."""
        draining = asyncio.create_task(self._broker.drain())
        given_up = asyncio.create_task(self._give_back.wait())
        try:
            async with self._clock.timeout(self._grace):
                await asyncio.wait({draining, given_up}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        if draining.done():
            await draining
        drained = draining.done()
        await _cancelled(draining, given_up)
        return drained

    async def _watch(self) -> None:
        """Tell the stages that the broker enters by itself."""
        while not self._stop.is_set():
            match self._broker.state:
                case "ready":
                    self._life.enter(Stage.READY, self._what)
                case "degraded":
                    self._life.enter(Stage.DEGRADED, self._shown(self._broker.trouble or ""))
                case _:
                    pass
            await self._clock.sleep(_LOOK)

    def _in_hand(self) -> int:
        return self._broker.stats.unfinished


async def _cancelled(*tasks: "asyncio.Task[object]") -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
