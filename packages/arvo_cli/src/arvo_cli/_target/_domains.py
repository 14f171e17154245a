"""Events for domains, where the target has no listener."""

from arvo_core import ArvoError, ArvoEvent
from arvo_event_handler.delivery import Publish


class UnheardDomainError(ArvoError):
    """An event is for a domain, and the target has no listener for domains."""


async def refuse_domain(event: ArvoEvent, publish: Publish) -> None:
    """Refuse an event that has a domain.

    Raises:
        UnheardDomainError: Always.
    """
    raise UnheardDomainError(
        f"the event has the domain {event.domain!r}, but the target's module does not define "
        "`async def on_domained_event(event, publish)`"
    )
