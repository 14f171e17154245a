"""Events for workflows that the memory does not know, which change nothing."""

from opentelemetry import metrics

from arvo_core import ArvoEvent
from arvo_time.logs import bounded_logger

_SCOPE = "arvo_event_handler"
_logger = bounded_logger(_SCOPE)
_ignored = metrics.get_meter(_SCOPE).create_counter(
    "arvo.events.ignored",
    description="Events for workflows that the memory does not know, by source.",
)


class IgnoredEvents:
    """Counts the events that one workflow handler ignores, and warns of them.

    One is nothing to worry about: an answer that comes after its workflow has been forgotten. Many
    are what a worker with a wrong memory gets. The first is logged, the tenth, the hundredth and so
    on, whatever their number.

    Args:
        source: The handler's source.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._count = 0
        self._logged_next = 1

    def add(self, event: ArvoEvent) -> None:
        """Count an event that is ignored."""
        _ignored.add(1, {"arvo.source": self._source})
        self._count += 1
        if self._count < self._logged_next:
            return
        self._logged_next *= 10
        _logger.warning(
            "%s ignores event %s of type %s, as the memory has no workflow of its subject (%d ignored "
            "so far): it has forgotten the workflow, or is not the memory that the workflow runs on",
            self._source,
            event.id,
            event.type,
            self._count,
        )
