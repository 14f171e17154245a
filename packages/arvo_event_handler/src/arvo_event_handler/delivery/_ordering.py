"""What the events of a topic wait for."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, Literal, TypeAlias

from arvo_core import ArvoEvent
from arvo_event_handler._emission._emit import PARTITION_KEY

Order: TypeAlias = Literal["subject", "key", "none"]
"""What the events of a handler wait for: `subject`, those of one subject go one after another, as
published; `key`, those of one `ordering_key`; `none`, all concurrently."""


def ordering_key(event: ArvoEvent, *, order: Order) -> str:
    """Return what an event is ordered by: events of one key wait for each other.

    Args:
        event: The event.
        order: Of its topic. `none`: empty, which means nothing there.

    Example:
        >>> event = ArvoEvent.create(
        ...     source="com.order",
        ...     type="com.svc.pay",
        ...     subject="order-7",
        ...     data={},
        ...     extensions={"partitionkey": "tenant-1"},
        ... )
        >>> [ordering_key(event, order=each) for each in ("subject", "key", "none")]
        ['order-7', 'tenant-1', '']
    """
    lane_of = laning(order)
    return "" if lane_of is None else lane_of(event)


def laning(order: Order) -> Callable[[ArvoEvent], str] | None:
    """Return what names the lane of an event; None when there are no lanes."""
    return _LANES[order]


def _by_key(event: ArvoEvent) -> str:
    key = event.extensions.get(PARTITION_KEY)
    return key if isinstance(key, str) and key else event.subject


_LANES: Final[dict[Order, Callable[[ArvoEvent], str] | None]] = {
    "subject": attrgetter("subject"),
    "key": _by_key,
    "none": None,
}
