"""What the parts of one transport share."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from arvo_redis import Server
from arvo_time import Clock

from ._bells import Bells
from ._keys import Keys
from ._outgoing import Outgoing
from ._registry import Layout, Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The topics of one namespace on one server."""

    server: Server
    """The server; its calls raise a `TransportError`."""
    keys: Keys
    """The names of keys."""
    registry: Registry
    """Which topics there are."""
    bells: Bells
    """Wakes who waits."""
    clock: Clock
    """For pauses; leases run by the server's clock."""
    lease: timedelta
    """For how long a worker keeps events without a word."""
    answers_kept: timedelta
    """For how long answers are kept."""

    async def store(self, topics: Iterable[str], call: Callable[[Outgoing], Awaitable[Any]]) -> Any:
        """Make a call that stores in topics, and return what it did.

        Args:
            topics: Those that it stores in.
            call: Runs the script; returns 2 where the layout was not the latest, and is called again.

        Raises:
            TransportError: The server failed.
        """
        return await self.registry.under_layout(topics, lambda layout: call(self._outgoing(layout)))

    def _outgoing(self, layout: Layout) -> Outgoing:
        return Outgoing(
            keys=self.keys, layout=layout, clock=self.clock, answers_kept=self.answers_kept
        )
