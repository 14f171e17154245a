"""The inbox of a topic with an order."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from typing_extensions import override

from arvo_transport import Received, TopicState

from ._inbox import Entry, Inbox
from ._namespace import Namespace
from ._partitions import Partitions
from ._scripts import READ_ORDERED
from ._shard import Shard


class OrderedInbox(Inbox):
    """The deliveries of the partitions that a worker owns."""

    def __init__(
        self, namespace: Namespace, *, state: TopicState, version: str, worker: str
    ) -> None:
        super().__init__(namespace, state=state, version=version, worker=worker)
        self._partitions = Partitions(
            namespace, state=state, token=worker, on_taken=self._woken.set
        )
        self._turn = 0

    @override
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        now = self._clock.monotonic()
        for received in held:
            entry: Entry = received.token
            if entry.id in entry.shard.held:
                entry.shard.held[entry.id] = now
        if held:
            await self._partitions.tend(self._version)
        return [received for received in held if not _is_held(received)]

    @override
    async def stop(self) -> None:
        await super().stop()
        self._partitions.leaving = True

    @override
    def _shards(self) -> Iterable[Shard]:
        return self._partitions.owned.values()

    @override
    async def _take(self, limit: int) -> Sequence[tuple[Shard, list[Any]]]:
        shards = self._next_shards()
        if not shards:
            return ()
        for shard in shards:
            shard.ringing, shard.reading = False, True
        try:
            results = await self._server.run(
                READ_ORDERED,
                self._namespace.keys.registry,
                self._namespace.keys.paused,
                self._state.name,
                self._channel,
                limit,
                *(word for shard in shards for word in (shard.slot, shard.token, *shard.bounds)),
            )
        except BaseException:
            for shard in shards:
                shard.ringing = True
            raise
        finally:
            for shard in shards:
                shard.reading = False
        if results == b"paused":
            return ()
        return [
            (shard, entry)
            for shard, result in zip(shards, results, strict=True)
            for entry in await self._entries(shard, result)
        ]

    @override
    async def _tend(self) -> timedelta:
        pause, version = await self._partitions.tend(self._version)
        if version.decode() != self._version:
            await self._follow_layout()
            self._to_tend.set()  # with what it knows now
        return pause

    @override
    def _leave_alone(self, shard: Shard, ids: Sequence[str], *, pause: timedelta) -> None:
        self._partitions.leave_alone(shard, pause=pause)
        self._to_tend.set()

    @override
    async def _leave(self) -> None:
        self._partitions.leaving = True
        await self._partitions.tend(self._version)

    def _next_shards(self) -> list[Shard]:
        """Return the partitions to read, in turns, so that a busy one does not keep others out."""
        shards = [shard for shard in self._shards() if shard.ringing and not shard.draining]
        if shards:
            self._turn = (self._turn + 1) % len(shards)
        return shards[self._turn :] + shards[: self._turn]

    async def _entries(self, shard: Shard, result: Sequence[Any]) -> Sequence[Any]:
        status = result[0]
        if status == b"ok":
            shard.ringing = shard.ringing or bool(result[2])
            entries: Sequence[Any] = result[1]
            return entries
        if status == b"left":
            shard.ringing = True
        elif status == b"unsure":
            await self._resolve_doubt(shard, result[1])
        else:
            self._partitions.drop(shard)
            self._to_tend.set()
        return ()


def _is_held(received: Received) -> bool:
    entry: Entry = received.token
    return not entry.shard.lost and entry.id in entry.shard.held
