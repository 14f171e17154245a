"""A handler that was added to a running broker."""

from collections.abc import Awaitable, Callable


class Subscription:
    """The result of `subscribe`, with which to remove the handler again.

    Args:
        topic: The topic the handler listens to.
        end: Removes the handler.
    """

    def __init__(self, *, topic: str, end: Callable[[], Awaitable[None]]) -> None:
        self.topic: str = topic
        """The topic the handler listens to."""
        self._end = end

    async def unsubscribe(self) -> None:
        """Route nothing more to the handler, finish what it has, and end its workers.

        Idempotent. Events for its topic are unroutable from now on.

        Raises:
            ConfigViolation: A handler of the broker awaits this, or a listener that the handler
                waits for, so it might wait for itself.
        """
        await self._end()
