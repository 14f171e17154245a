"""How often events were given back, which the server counts as deliveries."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from nats.js import JetStreamContext, api, errors as js_errors

from arvo_time.logs import bounded_logger

from ._delivery import Delivery
from ._failure import DRIVER_ERRORS
from ._layout import Layout
from ._messages import Message
from ._names import Names
from ._publisher import Publisher

_logger = bounded_logger("arvo_transport_nats")

_KEPT: Final = timedelta(days=7)


class Returns:
    """Remembers returns, so that an event is not taken for one that ends its workers.

    The count of an event is written before it is given back. Where that fails, or is older than a
    week, its returns are deliveries.

    Args:
        js: JetStream.
        publisher: What stores counts.
        names: What is called how.
        layout: What makes streams.
    """

    def __init__(
        self, js: JetStreamContext, *, publisher: Publisher, names: Names, layout: Layout
    ) -> None:
        self._js = js
        self._publisher = publisher
        self._names = names
        self._layout = layout

    async def open(self) -> None:
        """Make the stream exist."""
        await self._layout.ensure_stream(
            self._names.returns,
            subjects=[self._names.returns_of("*", "*")],
            retention=api.RetentionPolicy.LIMITS,
            kept=_KEPT,
            per_subject=1,
        )

    async def look(self, deliveries: Collection[Delivery]) -> None:
        """Find out how often each was given back before."""
        unknown = [each for each in deliveries if each.returned is None]
        await asyncio.gather(*map(self._look, unknown))

    async def note(self, deliveries: Collection[Delivery]) -> None:
        """Write that each is given back once more."""
        await self.look(deliveries)
        results = await self._publisher.publish([self._message(each) for each in deliveries])
        for result in results:
            if isinstance(result, Exception):
                _logger.debug("a return of an event will count as a delivery", exc_info=result)

    async def _look(self, delivery: Delivery) -> None:
        returned = 0
        if delivery.handed_out > 1:
            try:
                found = await self._js.get_last_msg(
                    self._names.returns, self._subject(delivery), direct=True
                )
                returned = int(found.data or b"0")
            except (js_errors.NotFoundError, ValueError):
                pass
            except DRIVER_ERRORS:
                _logger.debug("the returns of an event count as deliveries", exc_info=True)
        delivery.returned = min(returned, delivery.handed_out - 1)

    def _message(self, delivery: Delivery) -> Message:
        count = str((delivery.returned or 0) + 1)
        return Message(subject=self._subject(delivery), payload=count.encode(), headers={})

    def _subject(self, delivery: Delivery) -> str:
        return self._names.returns_of(delivery.stream, str(delivery.sequence))
