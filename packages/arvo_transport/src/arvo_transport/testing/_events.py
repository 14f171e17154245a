"""Topics and events of the suite."""

from datetime import UTC, datetime
from typing import Any, Final
from unittest import SkipTest

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason, ordering_key
from arvo_transport import IEventTransport, TopicSpec, partition_of

PAY: Final = TopicSpec("com.svc.pay")
SHIP: Final = TopicSpec("com.svc.ship")
ORDER: Final = TopicSpec("com.svc.order", order="subject")
KEYED: Final = TopicSpec("com.svc.keyed", order="key")
SHOP: Final = TopicSpec("com.shop.web", kind="answers")
UNDECLARED: Final = TopicSpec("com.svc.undeclared")

_TIME: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""So that an event that is made twice is the same."""


def event(number: int, *, to: TopicSpec = PAY, subject: str = "order-7", **more: Any) -> ArvoEvent:
    """Make an event for a topic; the number is in its id and its data."""
    return ArvoEvent.create(
        id=f"event-{number}",
        source="com.shop.web",
        type=to.name,
        subject=subject,
        **{"data": {"number": number}, "time": _TIME, **more},
    )


def answer(number: int, *, request: str, failure: bool = False, to: TopicSpec = SHOP) -> ArvoEvent:
    """Make an answer to a request."""
    return ArvoEvent.create(
        id=f"answer-{number}",
        source="com.svc.pay",
        type="sys.com.svc.pay.error" if failure else "evt.pay.success",
        to=to.name,
        subject="order-7",
        parentid=request,
        time=_TIME,
        data={"number": number},
    )


def event_of_size(size: int, *, number: int = 1, to: TopicSpec = PAY) -> ArvoEvent:
    """Make an event that takes this many bytes as JSON."""
    empty = len(event(number, to=to, data={"text": ""}).to_json().encode())
    return event(number, to=to, data={"text": "x" * (size - empty)})


def letter_of(
    dead: ArvoEvent,
    *,
    error: Exception | None = None,
    handler: str | None = PAY.name,
    reason: DeadLetterReason = DeadLetterReason.EXHAUSTED,
    replied: bool = False,
) -> DeadLetter:
    """Make the dead letter of an event."""
    return DeadLetter(
        event=dead,
        error=UnroutableError(dead) if error is None else error,
        attempts=3,
        deliveries=2,
        handler=handler,
        reason=reason,
        replied=replied,
    )


def needs(capability: object, what: str) -> None:
    """Skip a test of what an engine does not have."""
    if not capability:
        raise SkipTest(f"the engine does not have it: {what}")


def needs_order(client: IEventTransport) -> None:
    """Skip a test of ordered topics on an engine that has none."""
    needs(client.capabilities.ordered, "ordered topics")


async def subjects_apart(client: IEventTransport, topic: TopicSpec, *, count: int) -> list[str]:
    """Return subjects of an ordered topic that are in different partitions."""
    [state] = [each for each in await client.topics() if each.name == topic.name]
    found: dict[int, str] = {}
    for number in range(10_000):
        subject = f"order-{number}"
        key = ordering_key(event(1, to=topic, subject=subject), order=state.order)
        found.setdefault(partition_of(key, partitions=state.partitions), subject)
        if len(found) == count:
            return list(found.values())
    raise SkipTest(f"{topic.name} has fewer than {count} partitions")
