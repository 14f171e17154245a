"""Which topics a worker needs."""

from collections.abc import Iterable, Sequence

from arvo_core import ArvoContract, ArvoOrchestratorContract
from arvo_event_handler import IArvoEventHandler, IWorkflowHandler
from arvo_event_handler.delivery import Order
from arvo_transport._topic import TopicSpec


def asked_topics(
    handlers: Iterable[IArvoEventHandler], *, served: Iterable[TopicSpec]
) -> Sequence[TopicSpec]:
    """Return the topics of the services that workflows ask, as far as they are not served here.

    Requests wait there for services that are deployed later.

    Args:
        handlers: The handlers of the worker.
        served: The topics that it serves.
    """
    own = {topic.name for topic in served}
    contracts = {
        service.type: service.contract
        for handler in handlers
        if isinstance(handler, IWorkflowHandler)
        for service in handler.asked_services
    }
    return [
        TopicSpec(name, order=_order_of(contract), owner=False)
        for name, contract in contracts.items()
        if name not in own
    ]


def _order_of(contract: ArvoContract) -> Order:
    return "subject" if isinstance(contract, ArvoOrchestratorContract) else "none"
