"""Why a worker does not handle an event, where no handler has said so."""

from arvo_core import ArvoError, ArvoEvent


class RedeliveredTooOftenError(ArvoError):
    """Worker after worker ended while it had the event in hand, at last alone."""

    def __init__(self, event: ArvoEvent, *, deliveries: int) -> None:
        super().__init__(
            f"event {event.id!r} of type {event.type!r} was delivered {deliveries} times, and each "
            "time its worker ended; find out why, then redrive it"
        )


class ExpiredError(ArvoError):
    """The `expirytime` of an event had passed before it was handled."""

    def __init__(self, event: ArvoEvent, *, expired: str) -> None:
        super().__init__(f"event {event.id!r} of type {event.type!r} expired at {expired}")


class NotAcceptedError(ArvoError):
    """An event came in by the door, and may not."""

    def __init__(self, event: ArvoEvent, *, why: str) -> None:
        super().__init__(f"event {event.id!r} of type {event.type!r} is not accepted: {why}")
