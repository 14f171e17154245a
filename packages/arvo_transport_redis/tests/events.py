"""What the tests of this package share: events, and what they do with deliveries."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason
from arvo_transport import Done, IEventInbox, Output, Received, TransportError, address_of

T = TypeVar("T")
TOPIC = "com.order"


def event(
    number: int = 0,
    *,
    subject: str = "order-7",
    to: str = TOPIC,
    padding: int = 0,
    parentid: str | None = None,
) -> ArvoEvent:
    return ArvoEvent.create(
        id=f"event-{number}",
        source="com.shop",
        type="com.order.create",
        subject=subject,
        to=to,
        data={"number": number, "padding": "x" * padding},
        parentid=parentid,
    )


def number_of(received: Received) -> int:
    number: int = received.event.data["number"]
    return number


def outputs(*events: ArvoEvent) -> Done:
    return Done(outputs=[Output(each, topic=address_of(each)) for each in events])


def letter_of(received: Received) -> DeadLetter:
    return DeadLetter(
        event=received.event,
        error=ValueError("no such order"),
        attempts=3,
        deliveries=received.deliveries,
        handler=TOPIC,
        reason=DeadLetterReason.EXHAUSTED,
    )


async def receive_all(inbox: IEventInbox, number: int) -> Sequence[Received]:
    """Receive until there are so many."""
    found: list[Received] = []
    while len(found) < number:
        found += await inbox.receive(number - len(found))
    return found


async def insisted(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call until the server has done it."""
    while True:
        try:
            return await call()
        except TransportError as error:
            if not error.retryable:
                raise
