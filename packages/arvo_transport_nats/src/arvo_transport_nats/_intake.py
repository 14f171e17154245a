"""Pulls: what an inbox asks the consumers of a stream for."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from arvo_time import Clock
from arvo_transport import TransportError

from ._failure import DRIVER_ERRORS
from ._names import DELAYED

_API: Final = "$JS.API.CONSUMER.MSG.NEXT"
_BARRIER: Final = "$JS.API.STREAM.INFO"  # which a worker must be allowed to ask for anyway
_ACK: Final = "$JS.ACK."
_ENDED: Final = frozenset({"404", "408"})  # there was nothing, or the time was up
_LOSES_NONE_OF_MANY: Final = (2, 15)  # 2.9 does; what is between was not tried
_BRIEF: Final = timedelta(milliseconds=500)
_ALIVE: Final = "100"
_PULSE: Final = "_pulse"
_PULSES: Final = 8
_ON_THE_WAY: Final = timedelta(seconds=2)
_LOOK_EVERY: Final = timedelta(milliseconds=200)


@dataclass(slots=True, kw_only=True, eq=False)
class _Pull:
    number: int
    batch: int
    left: int
    until: float


class Intake:
    """The pulls of one inbox, answered on one subscription. One pull per consumer at a time.

    A pull may be answered after nobody wants the answer any more, and a server may lose what it
    sends just when the subscription ends: it misses it after the patience only. So `close` lets pulls
    be answered or run out first where there is something to send; pulls for many only with a server
    that loses their answers too. It then ends the subscription at the server, and takes all that
    the server had sent before: what it had not sent, the server keeps for others.

    Args:
        client: The connection.
        stream: The stream.
        clock: What says when a pull must have ended.
        on_message: Takes a message, and the consumer it came from.
        on_end: Called when a pull has ended without all that it asked for.
        filled: Returns the consumers that have events, in hand or not.
    """

    def __init__(
        self,
        client: Client,
        *,
        stream: str,
        clock: Clock,
        on_message: Callable[[Msg, str], None],
        on_end: Callable[[], None],
        filled: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        self._client = client
        self._stream = stream
        self._clock = clock
        self._on_message = on_message
        self._on_end = on_end
        self._filled = filled
        self._answered = asyncio.Event()
        self._inbox = client.new_inbox()
        self._answers: Subscription | None = None
        self._numbers = count()
        self._pulls: dict[str, _Pull] = {}
        self._connection = client.stats["reconnects"]
        self._pulses: dict[str, float] = {}
        self.sent_after = clock.monotonic()
        """The server has sent what is taken now after this time. A process that stood still takes at
        last what has long been in its socket."""
        self.refused: str | None = None
        """What the server said when it last refused a pull; None when it has not."""

    async def open(self) -> None:
        """Listen for answers."""
        self._answers = await self._client.subscribe(
            f"{self._inbox}.>", cb=self._take, pending_bytes_limit=-1, pending_msgs_limit=-1
        )

    def asked(self, consumer: str) -> bool:
        """Return whether a pull waits at a consumer."""
        if self._client.stats["reconnects"] != self._connection:
            # The server has forgotten what a connection asked for that has ended.
            self._connection = self._client.stats["reconnects"]
            self._pulls.clear()
        pull = self._pulls.get(consumer)
        return pull is not None and pull.until > self._clock.monotonic()

    async def ask(self, consumer: str, *, batch: int, wait: timedelta) -> None:
        """Ask a consumer for up to `batch` messages, which may come until `wait` has passed at most."""
        if batch > 1 and consumer != DELAYED and self._loses_many:
            wait = min(wait, max(_BRIEF, wait / 5))  # who stops waits for its end
        pull = _Pull(
            number=next(self._numbers),
            batch=batch,
            left=batch,
            until=self._clock.monotonic() + (wait + _ON_THE_WAY).total_seconds(),
        )
        self._pulls[consumer] = pull
        request = {"batch": batch, "expires": int(wait.total_seconds() * 1e9)}
        await self._client.publish(
            f"{_API}.{self._stream}.{consumer}",
            json.dumps(request).encode(),
            f"{self._inbox}.{consumer}.{pull.number}",
        )

    async def pulse(self) -> None:
        """Ask the server for a word, behind which everything was sent after this moment."""
        if len(self._pulses) == _PULSES:  # their answers were lost with a connection
            self._pulses.clear()
        number = str(next(self._numbers))
        self._pulses[number] = self._clock.monotonic()
        await self._client.publish(
            f"{_BARRIER}.{self._stream}", b"", f"{self._inbox}.{_PULSE}.{number}"
        )

    async def close(self, *, at_once: bool = False) -> None:
        """Give up all pulls; returns when all that was sent for them has been taken.

        Args:
            at_once: Let no pull be answered or run out first, as nobody waits for what it brings.
        """
        answers, self._answers = self._answers, None
        if answers is None or self._client.is_closed:
            return
        try:
            if not at_once:
                await self._run_out()
            # The ping of drain() overtakes what waits to be sent, so it alone proves nothing.
            await self._client._send_unsubscribe(answers._id)  # noqa: SLF001
            await self._client.request(
                f"{_BARRIER}.{self._stream}", timeout=_ON_THE_WAY.total_seconds()
            )
            await answers.drain()  # type: ignore[no-untyped-call]
        except DRIVER_ERRORS:
            # Without a connection the server keeps no pulls. It must not be subscribed to again.
            self._client._remove_sub(answers._id)  # noqa: SLF001 - drain() has left it there
        self._pulls.clear()

    async def _run_out(self) -> None:
        """Wait for pulls where the server may send something now."""
        risky = {
            consumer
            for consumer, pull in self._pulls.items()
            if pull.batch == 1 or (self._loses_many and consumer != DELAYED)
        }
        if not risky:
            return
        with suppress(TransportError):
            while self._client.is_connected:
                risky &= {*await self._filled()}
                if not any(self.asked(each) for each in risky):
                    return
                self._answered.clear()
                with suppress(TimeoutError):
                    async with self._clock.timeout(_LOOK_EVERY):
                        await self._answered.wait()

    @property
    def _loses_many(self) -> bool:
        version = self._client.connected_server_version
        try:
            return (version.major, version.minor) < _LOSES_NONE_OF_MANY
        except ValueError:  # a server that counts its versions in another way
            return True

    async def _take(self, message: Msg) -> None:
        if message.reply.startswith(_ACK):
            consumer = message.metadata.consumer
            pull = self._pulls.get(consumer)
            if pull is not None:
                pull.left -= 1
                if pull.left <= 0:
                    del self._pulls[consumer]
                    self._answered.set()
            self._on_message(message, consumer)
        else:
            self._end(message)

    def _end(self, message: Msg) -> None:
        _, consumer, number = message.subject.rsplit(".", 2)
        if consumer == _PULSE:
            self.sent_after = self._pulses.pop(number, self.sent_after)
            return
        headers = message.headers or {}
        status = headers.get("Status", "")
        if status == _ALIVE:
            return
        pull = self._pulls.get(consumer)
        if pull is not None and str(pull.number) == number:
            del self._pulls[consumer]
        if status not in _ENDED:
            self.refused = f"{status} {headers.get('Description', 'no consumer answers')}"
        self._answered.set()
        self._on_end()
