"""What engines know a copy of an event by."""

from arvo_core import ArvoEvent
from arvo_core.event_id import derive_id


def delivery_id(event: ArvoEvent, *, topic: str, again: str = "") -> str:
    """Return the id by which engines drop repetitions of an event. The same on every engine.

    An event's own id never changes. It is on its way to a topic once, unless it is sent again on
    purpose, and such a copy names itself.

    Args:
        event: The event.
        topic: Where it goes. A listener of a domain may pass its event on, so one event goes to
            several topics.
        again: Which copy on purpose it is, such as `redrive:<key of the letter>`; empty for none.

    Example:
        >>> event = ArvoEvent.create(
        ...     id="1", source="com.app.main", type="com.svc.pay", subject="s", data={}
        ... )
        >>> delivery_id(event, topic="com.svc.pay") == delivery_id(event, topic="com.svc.pay")
        True
        >>> copy = delivery_id(event, topic="com.svc.pay", again="client:2")
        >>> copy == delivery_id(event, topic="com.svc.pay")
        False
    """
    return derive_id(event.source, event.id, topic, again)
