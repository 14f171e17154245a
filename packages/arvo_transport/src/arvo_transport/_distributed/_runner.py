"""What decides about the events of a topic."""

from typing import Protocol

from arvo_event_handler.delivery import DeadLetterReason, GiveUp, Verdict

from ._held_delivery import HeldDelivery


class IRunner(Protocol):
    """Decides, as `HandlerRunner` does; `ServedTopic` carries it out."""

    async def run(self, trial: HeldDelivery) -> Verdict:
        """Make one try."""
        ...

    async def refused(self, trial: HeldDelivery, *, error: Exception) -> Verdict:
        """Judge a try whose outcome was refused."""
        ...

    def give_up(self, trial: HeldDelivery, *, error: Exception, reason: DeadLetterReason) -> GiveUp:
        """Decide that an event will not be handled."""
        ...
