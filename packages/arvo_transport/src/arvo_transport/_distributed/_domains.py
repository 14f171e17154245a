"""Events for the outside, which listeners of the broker's owner take there."""

from collections.abc import Iterable, Mapping

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler, IWorkflowHandler
from arvo_event_handler.delivery import DomainedEventListener, Publish
from arvo_time.settings import check_async, check_instance
from arvo_transport._topic import domain_topic


class DomainHandler(IArvoEventHandler):
    """A listener of a domain, as a handler: what it publishes is what it emits.

    Args:
        domain: The domain.
        listener: The listener.
        publish: Publishes what the listener publishes after it has returned.
    """

    def __init__(self, domain: str, *, listener: DomainedEventListener, publish: Publish) -> None:
        self._topic = domain_topic(domain)
        self._listener = listener
        self._publish = publish

    @property
    @override
    def source(self) -> str:
        return self._topic

    @property
    @override
    def stateful(self) -> bool:
        return False

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        published: list[ArvoEvent] = []
        ended = False

        async def publish(back: ArvoEvent) -> None:
            if ended:
                await self._publish(back)
            else:
                published.append(check_instance(back, kind=ArvoEvent, name="event"))

        try:
            await self._listener(event, publish)
        finally:
            ended = True
        return published


def listeners_by_domain(
    given: Mapping[str, DomainedEventListener] | DomainedEventListener | None,
    *,
    handlers: Iterable[IArvoEventHandler],
) -> Mapping[str, DomainedEventListener]:
    """Return the listener of each domain.

    Args:
        given: By domain, or one for all domains that the contracts of the handlers mention.
        handlers: The handlers of the broker.

    Raises:
        TypeError: A listener is not an `async def` function, or a domain not a string.
        ValueError: A domain is empty.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        check_async(given, name="on_domained_event")
        return dict.fromkeys(sorted(_mentioned(handlers)), given)
    for domain, listener in given.items():
        if not check_instance(domain, kind=str, name="on_domained_event: a domain"):
            raise ValueError("on_domained_event: a domain must not be empty")
        check_async(listener, name=f"on_domained_event[{domain!r}]")
    return given


def _mentioned(handlers: Iterable[IArvoEventHandler]) -> set[str]:
    found: set[str | None] = set()
    for handler in handlers:
        if handler.contract is not None:
            found.add(handler.contract.domain)
        if isinstance(handler, IWorkflowHandler):
            found.update(service.domain for service in handler.asked_services)
    return {domain for domain in found if domain is not None}
