"""The inbox of a topic without order."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from typing_extensions import override

from arvo_transport import Received, TopicState

from ._inbox import POLL, Inbox
from ._namespace import Namespace
from ._outgoing import DUPLICATES_DROPPED
from ._scripts import EXTEND, FULFIL, LEAVE, READ_UNORDERED, TEND
from ._shard import Shard
from ._wish import Wish

_MS: Final = timedelta(milliseconds=1)
_DAY: Final = timedelta(days=1)
_CLEAN_UP_EVERY: Final = 3600.0


class UnorderedInbox(Inbox):
    """The deliveries of one stream that all workers share."""

    def __init__(
        self, namespace: Namespace, *, state: TopicState, version: str, worker: str
    ) -> None:
        super().__init__(namespace, state=state, version=version, worker=worker)
        slot = namespace.keys.partition(state.name, 0)
        self._shard = Shard(number=0, slot=slot, consumer=worker, token="")
        self._until_due = POLL
        self._look_for_abandoned = True
        self._barred: dict[str, float] = {}
        self._clean_up_at = 0.0

    @override
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        ids: list[str] = [received.token.id for received in held]
        known = [id_ for id_ in ids if id_ in self._shard.held]
        lost: set[str] = set(ids) - set(known)
        if known:
            found = await self._server.run(EXTEND, self._shard.slot, self._worker, *known)
            lost.update(each.decode() for each in found)
            # What is being settled meanwhile is not in hand any more, and not lost.
            lost -= self._shard.ending
        self._forget(self._shard, lost)
        return [received for received in held if received.token.id in lost]

    @override
    def _shards(self) -> Iterable[Shard]:
        return (self._shard,)

    @override
    async def _take(self, limit: int) -> Sequence[tuple[Shard, list[Any]]]:
        shard = self._shard
        now = self._clock.monotonic()
        self._barred = {id_: until for id_, until in self._barred.items() if until > now}
        shard.ringing = False
        patience = self._namespace.lease // _MS if self._look_for_abandoned else 0
        try:
            result = await self._server.run(
                READ_UNORDERED,
                shard.slot,
                self._namespace.keys.paused,
                self._state.name,
                self._channel,
                limit,
                self._worker,
                *shard.bounds,
                patience,
                self._namespace.keys.layout,
                self._version,
                *self._barred,
            )
        except BaseException:
            shard.ringing = True
            raise
        if result == b"paused":
            self._until_due = POLL
            return ()
        if result == b"moved":
            shard.ringing = True
            await self._follow_layout()
            return ()
        if result[0] == b"unsure":
            await self._resolve_doubt(shard, result[1])
            return ()
        _, entries, more, until_due = result
        self._look_for_abandoned = False
        shard.ringing = shard.ringing or bool(more)
        self._until_due = POLL if until_due < 0 else min(POLL, until_due * _MS)
        return [(shard, entry) for entry in entries]

    @override
    def _until_next_look(self) -> timedelta:
        return self._until_due

    @override
    def _look_everywhere(self) -> None:
        super()._look_everywhere()
        self._look_for_abandoned = True

    @override
    async def _tend(self) -> timedelta:
        version = await self._beat(stays=True)
        if self._clock.monotonic() >= self._clean_up_at:
            self._clean_up_at = self._clock.monotonic() + _CLEAN_UP_EVERY
            await self._server.run(LEAVE, self._shard.slot, "", _DAY // _MS)
        if version.decode() != self._version:
            await self._follow_layout()
        return min(self._namespace.lease / 3, timedelta(seconds=5))

    @override
    def _leave_alone(self, shard: Shard, ids: Sequence[str], *, pause: timedelta) -> None:
        until = self._clock.monotonic() + pause.total_seconds()
        self._barred.update(dict.fromkeys(ids, until))

    @override
    async def _leave(self) -> None:
        await self._beat(stays=False)
        await self._server.run(LEAVE, self._shard.slot, self._worker, _DAY // _MS)

    @override
    def _wish(self, fields: Mapping[bytes, bytes]) -> Wish | None:
        return Wish.of(fields)

    @override
    async def _fulfil(self, wish: Wish, shard: Shard, id_: str) -> bool:
        keys = self._namespace.keys
        in_hand = await self._server.run(
            FULFIL,
            shard.slot,
            self._worker,
            id_,
            "" if wish.id is None else keys.duplicate(f"{self._state.name}:{wish.id}"),
            wish.entry or id_,
            DUPLICATES_DROPPED // _MS,
            "" if wish.due is None else wish.due,
        )
        if not in_hand:
            self._forget(shard, [id_])
            shard.ringing = True  # so that it learns when the next one is due
        return bool(in_hand)

    async def _beat(self, *, stays: bool) -> bytes:
        keys, topic = self._namespace.keys, self._state.name
        _, version, *_ = await self._server.run(
            TEND,
            self._shard.slot,
            keys.partitions(topic),
            0,
            self._worker,
            self._namespace.lease // _MS,
            int(stays),
            self._channel,
            keys.layout,
            self._version,
            keys.paused,
            topic,
            0,
            0,
        )
        found: bytes = version
        return found
