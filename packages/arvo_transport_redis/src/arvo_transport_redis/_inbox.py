"""What the inboxes of topics with and without order share."""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import StoredLetter
from arvo_redis import Word
from arvo_time import Backoff, ClockTimer
from arvo_time.cancellation import shielded, take_or_give_back
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_count
from arvo_transport import (
    DeliveryLostError,
    Done,
    Later,
    Received,
    Settlement,
    TopicState,
    TransportClosedError,
    TransportError,
)

from ._namespace import Namespace
from ._outgoing import WORKER, Outgoing
from ._scripts import RELEASE, SETTLE
from ._shard import Shard
from ._wish import Wish

_logger: Final = bounded_logger("arvo_transport_redis")
POLL: Final = timedelta(seconds=1)
"""How long a bell that was missed goes unnoticed."""
_TRIES: Final = 5
_BACKOFF: Final = Backoff(initial=timedelta(milliseconds=250), maximum=timedelta(seconds=30))


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What a delivery is known by: `Received.token`."""

    inbox: "Inbox"
    """The inbox that handed it out."""
    shard: Shard
    """Its partition."""
    id: str
    """The id of the entry of its stream."""


class Inbox(ABC):
    """The deliveries of one topic to one worker, as long as the topic is laid out as it is.

    Get one from `open`.
    """

    def __init__(
        self, namespace: Namespace, *, state: TopicState, version: str, worker: str
    ) -> None:
        """Ask the server for nothing yet.

        Args:
            namespace: Where the topic is.
            state: The topic, as it is laid out.
            version: The version of the layout that says so.
            worker: A name that nobody else has.
        """
        self._namespace = namespace
        self._server = namespace.server
        self._clock = namespace.clock
        self._state = state
        self._version = version
        self._worker = worker
        self._channel = namespace.keys.bell(state.name)
        self._woken = asyncio.Event()
        self._to_tend = asyncio.Event()
        self._reading = asyncio.Lock()
        self._closed = False
        self.stopped = False
        """Whether it receives nothing more."""
        self.moved = False
        """Whether the topic is laid out in another way now, so that nothing comes here any more."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Receive for as long as the block lasts; then release what is in hand.

        Raises:
            TransportError: The server failed.
        """
        await self._tend()
        async with self._namespace.bells.listen(self._channel, self._rung):
            tending = asyncio.create_task(self._tend_always())
            try:
                yield self
            finally:
                tending.cancel()
                await shielded(self._close(tending))

    async def receive(self, limit: int) -> Sequence[Received]:
        """Receive; nothing once it was stopped, or the topic has moved."""
        check_count(limit, name="limit", least=1)
        failures = 0
        while not self.stopped and not self.moved:
            self._woken.clear()
            try:
                found = await self._read(limit)
            except TransportError as error:
                failures += 1
                if not error.retryable or failures == _TRIES:
                    raise
                await self._wait(_BACKOFF.delay(failures - 1))
                continue
            failures = 0
            if found:
                return found
            if not self._may_have_more():
                await self._wait(self._until_next_look())
        return ()

    async def settle(self, received: Received, settlement: Settlement) -> None:
        """Settle; see `IEventInbox.settle`."""
        self.check(settlement)
        entry: Entry = received.token
        shard, id_ = entry.shard, entry.id
        topics = (
            [] if isinstance(settlement, Later) else [each.topic for each in settlement.outputs]
        )

        async def run(outgoing: Outgoing) -> Any:
            words = outgoing.settlement(
                settlement,
                event=received.event,
                topic=self._state.name,
                again=received.again,
                tag=id_,
            )
            return await self._run_settle(shard, id_, outgoing, words)

        shard.ending.add(id_)
        try:
            settled = await self._namespace.store(topics, run)
        finally:
            shard.ending.discard(id_)
        self._forget(shard, [id_])
        if not settled:
            raise DeliveryLostError(received.event)

    @abstractmethod
    async def extend(self, held: Sequence[Received]) -> Sequence[Received]:
        """Keep events in hand; return those that were lost."""

    async def release(self, held: Sequence[Received], *, pause: timedelta, begun: bool) -> None:
        """Give events back; what was begun stays counted as delivered."""
        found: dict[Shard, list[str]] = defaultdict(list)
        for received in held:
            entry: Entry = received.token
            if entry.id in entry.shard.held:
                found[entry.shard].append(entry.id)
        for shard, ids in found.items():
            if pause > timedelta(0):
                self._leave_alone(shard, ids, pause=pause)
            await self._release(shard, ids, begun=begun)

    async def pause(self) -> None:
        """Return when what a cancelled `receive` has asked for was given back."""
        async with self._reading:
            pass

    async def stop(self) -> None:
        """Receive nothing more. Idempotent."""
        self.stopped = True
        self._woken.set()
        await self.pause()
        self._to_tend.set()

    # --- for topics with and without order ----------------------------------

    @abstractmethod
    async def _take(self, limit: int) -> Sequence[tuple[Shard, list[Any]]]:
        """Ask the server for events, once; returns what scripts return of entries."""

    @abstractmethod
    async def _tend(self) -> timedelta:
        """Give the server a sign of life; return when the next one is due."""

    @abstractmethod
    def _shards(self) -> Iterable[Shard]:
        """Return the partitions that it reads."""

    @abstractmethod
    def _leave_alone(self, shard: Shard, ids: Sequence[str], *, pause: timedelta) -> None:
        """Do not hand events out for a while that are being released."""

    @abstractmethod
    async def _leave(self) -> None:
        """Tell the server that this worker ends, with nothing in hand."""

    def _wish(self, fields: Mapping[bytes, bytes]) -> Wish | None:
        """Return what else an entry says that the inbox heeds; a ValueError where it makes no sense."""
        return None

    async def _fulfil(self, wish: Wish, shard: Shard, id_: str) -> bool:
        """Do as an entry says; return whether its event is still in hand."""
        return True

    def _until_next_look(self) -> timedelta:
        return POLL

    def _look_everywhere(self) -> None:
        """Look also where no bell has rung."""
        for shard in self._shards():
            shard.ringing = True

    # ------------------------------------------------------------------------

    async def _read(self, limit: int) -> Sequence[Received]:
        """Ask the server for events, once, and give them back if the caller is cancelled.

        Nobody else asks before they are given back, or they would come after what is behind them.
        """
        await self._reading.acquire()
        found = await take_or_give_back(self._found(limit), give_back=self._give_back)
        self._reading.release()
        if isinstance(found, Exception):
            raise found
        return found

    async def _give_back(self, found: Sequence[Received] | Exception) -> None:
        try:
            if not isinstance(found, Exception):
                await self._put_back(found)
        finally:
            self._reading.release()

    async def _found(self, limit: int) -> Sequence[Received] | Exception:
        """Return events, or the error; so that `_reading` is released in either case."""
        try:
            return await self._take_and_parse(limit)
        except Exception as error:
            return error

    async def _take_and_parse(self, limit: int) -> Sequence[Received]:
        if self._closed:
            raise TransportClosedError("the inbox")
        taken = await self._take(limit)
        now = self._clock.monotonic()
        for shard, entry in taken:
            shard.held[entry[0].decode()] = now
        try:
            found = [
                received
                for shard, entry in taken
                if (received := await self._received(shard, entry)) is not None
            ]
        except BaseException:
            for shard, entry in taken:  # the next read finds them, and gives them back
                self._forget(shard, [entry[0].decode()])
            raise
        if found and self.stopped:
            await self._put_back(found)
            return ()
        return found

    async def _received(self, shard: Shard, entry: Sequence[Any]) -> Received | None:
        """Return an event; None where there is none, which becomes a dead letter."""
        id_, deliveries, words = entry[0].decode(), entry[1], entry[2]
        fields: dict[bytes, bytes] = dict(zip(words[::2], words[1::2], strict=True))
        try:
            event = ArvoEvent.from_json(fields[b"event"].decode())
            failed = int(fields.get(b"failed", 0))
            again = fields.get(b"again", b"").decode()
            wish = self._wish(fields)
        except (KeyError, ValueError) as error:
            await self._bury(shard, id_, fields, error)
            return None
        if wish is not None and not await self._fulfil(wish, shard, id_):
            return None
        return Received(
            event,
            deliveries=deliveries,
            failed=failed,
            again=again,
            stored_at=datetime.fromtimestamp(int(id_.partition("-")[0]) / 1000, UTC),
            token=Entry(self, shard, id_),
        )

    async def _bury(
        self, shard: Shard, id_: str, fields: Mapping[bytes, bytes], error: Exception
    ) -> None:
        raw = fields.get(b"event")
        if raw is None:
            error = ValueError("the entry has no field `event`")
            raw = b"\n".join(b"%s: %s" % pair for pair in fields.items())
        letter = StoredLetter.unparsable(
            raw,
            key="",
            at=self._clock.now(),
            topic=self._state.name,
            error=error,
            worker=WORKER,
        )

        async def run(outgoing: Outgoing) -> Any:
            words = outgoing.stored_letter(letter, topic=self._state.name)
            return await self._run_settle(shard, id_, outgoing, words)

        try:
            await self._namespace.store([self._state.name], run)
        finally:
            self._forget(shard, [id_])

    async def _run_settle(
        self, shard: Shard, id_: str, outgoing: Outgoing, words: Iterable[Word]
    ) -> Any:
        return await self._server.run(
            SETTLE,
            shard.slot,
            shard.consumer,
            shard.token,
            id_,
            self._namespace.keys.layout,
            outgoing.layout.version,
            *words,
        )

    async def _put_back(self, received: Sequence[Received]) -> None:
        await self.release(received, pause=timedelta(0), begun=False)

    async def _release(self, shard: Shard, ids: Sequence[str], *, begun: bool) -> None:
        """Give entries back to the server, whether or not they are known here."""
        shard.ending.update(ids)
        try:
            await self._server.run(
                RELEASE, shard.slot, shard.consumer, shard.token, int(begun), *ids
            )
        finally:
            shard.ending.difference_update(ids)
            self._forget(
                shard, ids
            )  # where that failed, the next read finds them, and gives them back
        shard.ringing = True
        self._woken.set()

    async def _resolve_doubt(self, shard: Shard, listed: Sequence[bytes]) -> None:
        """Give back what the server handed out in a reply that was lost."""
        unknown = shard.reconcile(each.decode() for each in listed)
        _logger.debug("%s: %d entries were handed out in vain", shard.slot, len(unknown))
        if unknown:
            await self._release(shard, unknown, begun=False)
        shard.ringing = True

    def _forget(self, shard: Shard, ids: Iterable[str]) -> None:
        shard.forget(ids)
        if shard.draining and not shard.held:
            self._to_tend.set()

    def check(self, settlement: Settlement) -> None:
        """Refuse a settlement that no event of the topic may have."""
        if isinstance(settlement, Later):
            if self._state.order != "none":
                raise ValueError(
                    f"topic {self._state.name!r} has an order, so its events cannot be postponed; "
                    "release them instead"
                )
            if settlement.delay < timedelta(0):
                raise ValueError(f"delay must not be negative, got {settlement.delay}")
        if isinstance(settlement, Done) and settlement.work:
            raise TypeError("Redis joins no database, so `work` cannot be stored with an event")

    def _may_have_more(self) -> bool:
        return any(shard.ringing and not shard.draining for shard in self._shards())

    async def _wait(self, longest: timedelta) -> None:
        timer: ClockTimer = self._clock.call_later(longest, self._look)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    def _look(self) -> None:
        self._look_everywhere()
        self._woken.set()

    def _rung(self, message: bytes | None) -> None:
        if message is None or message == b"share":
            self._to_tend.set()
        if message is None:
            self._look()
            return
        slot = message.decode()
        for shard in self._shards():
            if shard.slot == slot:
                shard.ringing = True
                self._woken.set()

    async def _tend_always(self) -> None:
        pause = timedelta(0)
        while True:
            timer = self._clock.call_later(pause, self._to_tend.set)
            try:
                await self._to_tend.wait()
            finally:
                timer.cancel()
            self._to_tend.clear()
            try:
                pause = await self._tend()
            except TransportError as error:
                _logger.warning("topic %s: %s", self._state.name, error)
                pause = POLL

    async def _follow_layout(self) -> None:
        """Notice that the topic is laid out in another way, when any is."""
        layout = await self._namespace.registry.layout(fresh=True)
        self._version = layout.version
        now = layout.topics.get(self._state.name, self._state)
        if (now.order, now.partitions) != (self._state.order, self._state.partitions):
            self.moved = True
            self._woken.set()

    async def _close(self, tending: "asyncio.Task[None]") -> None:
        await asyncio.wait([tending])
        await self.stop()
        self._closed = True
        try:
            for shard in list(self._shards()):
                if shard.held:
                    await self._release(shard, sorted(shard.held), begun=True)
            await self._leave()
        except TransportError as error:
            _logger.warning(
                "topic %s: what is in hand cannot be given back, and is missed in %s: %s",
                self._state.name,
                self._namespace.lease,
                error,
            )
