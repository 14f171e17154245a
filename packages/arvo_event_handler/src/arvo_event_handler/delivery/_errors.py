"""What brokers raise at their users. Everything is an ArvoError."""

from arvo_core import ArvoError
from arvo_event_handler._errors import ConfigViolation


class BrokerClosedError(ArvoError):
    """The broker does not run: it was not entered yet, or it is closing or closed."""

    def __init__(self) -> None:
        super().__init__(
            "the broker is not running, so nothing was taken; use it inside of `async with broker:`"
        )


def endless_wait(name: str) -> ConfigViolation:
    """Return the error for a handler or listener that awaits the end of everything, so itself."""
    return ConfigViolation(
        f"{name} waits for what the broker still does, so a handler or listener would wait for "
        "itself; call it from a task outside of handlers and listeners"
    )
