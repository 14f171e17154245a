"""Acknowledgements of several leases, stored in one call."""

import asyncio
from collections.abc import Sequence
from typing import Final, TypeAlias

from arvo_event_store._errors import StoreFailure
from arvo_event_store._lease import Finish, Finished
from arvo_event_store._reaction_store import IReactionStore

_TOGETHER: Final = 200
_Waiting: TypeAlias = tuple[Finish, "asyncio.Future[Finished]"]


class FinishQueue:
    """Stores what becomes of leases.

    Plain acknowledgements that come while another call is under way are stored together. What has
    outputs is stored alone, so that what one is refused for is never another's.

    Args:
        store: Where to.
    """

    def __init__(self, store: IReactionStore) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._some = asyncio.Event()

    async def finish(self, finish: Finish) -> Finished:
        """Store what becomes of a lease.

        Returns:
            What became of it. What the store raises about this finish is its error.

        Raises:
            StoreFailure: The database failed, or the store is closed.
        """
        if finish.appends or finish.work:
            return await self._alone(finish)
        waiting: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        self._waiting.append((finish, waiting))
        self._some.set()
        return await waiting

    async def run(self) -> None:
        """Store what comes, until cancelled."""
        while True:
            await self._some.wait()
            together = self._waiting[:_TOGETHER]
            del self._waiting[:_TOGETHER]
            if not self._waiting:
                self._some.clear()
            try:
                await self._store_all(together)
            finally:
                for _, waiting in together:
                    waiting.cancel()  # only those that were not answered, as this was cancelled

    async def _store_all(self, together: Sequence[_Waiting]) -> None:
        try:
            done = await self._store.finish([finish for finish, _ in together])
        except Exception as error:
            if len(together) > 1 and not isinstance(error, StoreFailure):
                for one in together:  # nothing is stored, and one of them is to blame
                    await self._store_all([one])
                return
            for _, waiting in together:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for (_, waiting), finished in zip(together, done, strict=True):
            if not waiting.done():
                waiting.set_result(finished)

    async def _alone(self, finish: Finish) -> Finished:
        try:
            (finished,) = await self._store.finish([finish])
        except StoreFailure:
            raise
        except Exception as error:
            return Finished(error=error)
        return finished
