"""Which consumers an inbox asks next."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import timedelta
from random import Random
from typing import Final

from arvo_time import SYSTEM_RANDOM, Clock

from ._delivery import Delivery
from ._intake import Intake
from ._layout import partition_consumer
from ._registry import Topic

POLL: Final = timedelta(seconds=5)
"""How long a pull waits, and so a worker that stops for its last answers."""
_IDLE_POLL: Final = timedelta(seconds=10)  # a topic of 64 partitions asks 6 times a second
_IDLE_AFTER_S: Final = 30
_SHORT_POLL: Final = timedelta(milliseconds=250)
_AHEAD_S: Final = 0.05
_MOST_AHEAD: Final = 256
_SWEEP_EVERY_S: Final = 0.1
_LOOK_EVERY: Final = timedelta(seconds=1)


class Pace:
    """How many events a worker takes within the time that the server needs to hand some out.

    So many are asked for in advance: a fast worker does not wait for each, and a slow one
    keeps none from others.

    Args:
        clock: What counts the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = 0
        self._now = self._before = 0

    def count(self) -> None:
        """Count an event."""
        self._turn()
        self._now += 1

    @property
    def ahead(self) -> int:
        """How many more to ask for than are wanted."""
        self._turn()
        return min(_MOST_AHEAD, int(max(self._before, self._now) * _AHEAD_S))

    def _turn(self) -> None:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._before = self._now if second == self._second + 1 else 0
            self._second, self._now = second, 0


class Turns:
    """Chooses the consumers of one topic.

    Args:
        topic: The topic.
        clock: What says when an event may come back that was given up for a while.
        filled: Returns the consumers that have events, in hand or not.
        random: Spreads workers over partitions.
    """

    def __init__(
        self,
        topic: Topic,
        *,
        clock: Clock,
        filled: Callable[[], Awaitable[Collection[str]]],
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        self._ordered = topic.order != "none"
        self._consumers = [partition_consumer(part) for part in range(topic.partitions)]
        self._clock = clock
        self._filled = filled
        self._random = random
        self._pace = Pace(clock)
        self._ready: set[str] = set()
        self._swept_at = -_SWEEP_EVERY_S
        self._busy_at = clock.monotonic()
        self._again_at = float(-_IDLE_AFTER_S)
        self._shunned: dict[str | int, float] = {}
        """What was given up, a consumer or a place in the stream, and until when."""

    @property
    def patience(self) -> timedelta:
        """How long to wait before it is time to choose again."""
        now = self._clock.monotonic()
        ends = [until - now for until in self._shunned.values() if until > now]
        return min([_LOOK_EVERY, *(timedelta(seconds=end) for end in ends)])

    @property
    def poll(self) -> timedelta:
        """How long a pull waits: longer after half a minute without an event, when few should ask.

        Shorter while events come again, as one of them may be tried alone, which waits for its end.
        """
        now = self._clock.monotonic()
        if now - self._again_at < _IDLE_AFTER_S:
            return _SHORT_POLL
        return _IDLE_POLL if now - self._busy_at > _IDLE_AFTER_S else POLL

    def saw(self, delivery: Delivery) -> None:
        """Say that an event has come, which shows whether its partition has more."""
        self._pace.count()
        self._busy_at = self._clock.monotonic()
        if delivery.handed_out > 1:
            self._again_at = self._busy_at
        if delivery.followed:
            self._ready.add(delivery.consumer)
        else:
            self._ready.discard(delivery.consumer)

    def pass_over(self, delivery: Delivery, *, pause: timedelta) -> None:
        """Leave an event to others for a while; of an ordered topic, its whole partition."""
        if pause > timedelta(0):
            until = self._clock.monotonic() + pause.total_seconds()
            self._shunned[self._shunned_as(delivery)] = until

    def passed_over(self, delivery: Delivery) -> timedelta:
        """Return how long an event is to be left to others; zero for not at all."""
        until = self._shunned.get(self._shunned_as(delivery), 0.0)
        return timedelta(seconds=max(0.0, until - self._clock.monotonic()))

    async def next(
        self, intake: Intake, *, limit: int, in_hand: Iterable[str]
    ) -> list[tuple[str, int, timedelta]]:
        """Return whom to ask, for how many, and how long to wait there.

        Args:
            intake: What has been asked.
            limit: How many events are wanted.
            in_hand: The consumers of what is in hand.
        """
        now = self._clock.monotonic()
        self._shunned = {what: end for what, end in self._shunned.items() if end > now}
        limit += self._pace.ahead
        if not self._ordered:
            [consumer] = self._consumers
            return [] if intake.asked(consumer) else [(consumer, limit, self.poll)]
        busy = {*in_hand, *self._shunned}
        free = [each for each in self._consumers if each not in busy]
        asked = [each for each in free if intake.asked(each)]
        if len(asked) == len(free):
            return []
        if limit < len(free):
            # What comes beyond the limit would be kept from others, or be given back and counted.
            await self._sweep(now)
            ready = [each for each in free if each in self._ready]
            if len(ready) > limit:
                # Pulls that wait where there is nothing bring nothing, and so take no room.
                unasked = [each for each in ready if each not in asked]
                room = max(0, limit - (len(ready) - len(unasked)))
                chosen = self._random.sample(unasked, min(room, len(unasked)))
                return [(each, 1, _SHORT_POLL) for each in chosen]
        return [(each, 1, self.poll) for each in free if each not in asked]

    async def _sweep(self, now: float) -> None:
        """Ask the server from time to time which partitions have events; deliveries say the rest."""
        if now - self._swept_at >= _SWEEP_EVERY_S:
            self._ready = {*await self._filled()}
            self._swept_at = now

    def _shunned_as(self, delivery: Delivery) -> str | int:
        return delivery.consumer if self._ordered else delivery.sequence
