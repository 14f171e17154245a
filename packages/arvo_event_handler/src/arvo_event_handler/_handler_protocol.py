"""What every handler can do, whether written as a function or as a workflow."""

from typing import Protocol

from opentelemetry.context import Context

from arvo_core import ArvoEvent


class IArvoEventHandler(Protocol):
    """Whatever handles events: what brokers carry events to."""

    @property
    def source(self) -> str:
        """The topic it listens to, and the `source` of what it emits."""
        ...

    @property
    def stateful(self) -> bool:
        """Whether events of one subject must be handled one after another."""
        ...

    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        """Handle one event and return the events to publish, in order.

        Args:
            event: The event.
            parent: The OpenTelemetry context to attach to. None: the event's trace, else the
                current span.

        Raises:
            ViolationError: The event cannot be handled; nothing may be published.
        """
        ...
