"""The engine in the process."""

from datetime import timedelta
from typing import Final

from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import check_clock, check_count, check_duration
from arvo_transport._capabilities import TransportCapabilities
from arvo_transport._topic import DOOR

from ._answer_box import Answers
from ._engine_clock import EngineClock, microseconds
from ._letters import Letters
from ._registry import Registry
from ._store import Store

_MIB: Final = 1024 * 1024


class InMemoryEngine:
    """Keeps the events of `InMemoryTransport`s, which all run on one event loop.

    Each transport of an engine stands for another process that uses it. Engines know nothing of each
    other, as the namespaces of a real one. Everything is gone when the process ends.

    Args:
        clock: Where the time comes from; a `FakeClock` in tests.
        patience: How long an event stays in hand without a word from its client; above zero.
        partitions: How many parts a new ordered topic has, as `topics` shows it; at least 1. Here
            no key holds up another, of whatever partition.
        max_event_bytes: The longest event as JSON, in bytes of UTF-8; at least 1.
        answers_kept: How long answers can be fetched; above zero.

    Raises:
        TypeError: A value is of another type than its argument.
        ValueError: A value is out of its bounds.

    Example:
        >>> async def main() -> None:
        ...     engine = InMemoryEngine()
        ...     worker, shop = InMemoryTransport(engine), InMemoryTransport(engine)
        ...     topic = TopicSpec("com.svc.pay")
        ...     await worker.declare([topic])
        ...     await shop.publish(
        ...         [ArvoEvent.create(source="com.shop", type="com.svc.pay", subject="s", data={})]
        ...     )
        ...     async with worker.inbox(topic, prefetch=10) as inbox:
        ...         [received] = await inbox.receive(10)
        ...         print(received.event.source, received.deliveries)
        ...         await inbox.settle(received, Done())
        ...     print((await shop.depth("com.svc.pay")).waiting)
        >>> asyncio.run(main())
        com.shop 1
        0
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        patience: timedelta = timedelta(seconds=15),
        partitions: int = 64,
        max_event_bytes: int = 8 * _MIB,
        answers_kept: timedelta = timedelta(hours=24),
    ) -> None:
        engine_clock = EngineClock(check_clock(clock))
        self._patience = check_duration(patience, name="patience", above_zero=True)
        check_count(partitions, name="partitions", least=1)
        check_count(max_event_bytes, name="max_event_bytes", least=1)
        check_duration(answers_kept, name="answers_kept", above_zero=True)
        self._capabilities = TransportCapabilities(
            ordered=True,
            atomic_settle=True,
            longest_delay=timedelta.max,
            duplicates_dropped_for=timedelta.max,
            counts_returns=False,
            max_event_bytes=max_event_bytes,
            keeps_answers=answers_kept,
        )
        self._store = Store(
            clock=engine_clock,
            registry=Registry(
                clock=engine_clock, patience=microseconds(patience), partitions=partitions
            ),
            answers=Answers(clock=engine_clock, kept=microseconds(answers_kept)),
            letters=Letters(clock=engine_clock, max_event_bytes=max_event_bytes),
            max_event_bytes=max_event_bytes,
        )

    @property
    def capabilities(self) -> TransportCapabilities:
        """What its transports can do."""
        return self._capabilities

    @property
    def patience(self) -> timedelta:
        """How long an event stays in hand without a word from its client."""
        return self._patience

    def put(self, raw: bytes, *, topic: str = DOOR) -> None:
        """Store bytes in a topic, as a program does that is not Arvo's.

        Bytes that are not an event become a dead letter, `unparsable`. Nothing else is checked.

        Args:
            raw: An event as JSON.
            topic: The topic, by default the door.

        Raises:
            UnknownTopicError: Nobody has declared the topic.
        """
        self._store.put(raw, topic=topic)
