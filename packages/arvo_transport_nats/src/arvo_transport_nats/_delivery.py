"""A message that a consumer has handed out."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from ._messages import MESSAGE_ID

ACKNOWLEDGED: Final = b""
_NAK: Final = b"-NAK"
_AT_WORK: Final = b"+WPI"


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """A message in hand.

    Its acknowledgements are plain messages to the server, as a reply to each costs more than what
    is lost when one does not arrive: the event comes again.
    """

    client: Client
    message: Msg
    consumer: str
    touched: float
    """When the server last heard of it, at the latest; seconds of the clock."""
    returned: int | None = None
    """How often it was given back before, which the server counts as deliveries; None before
    somebody has looked."""

    @property
    def place(self) -> str:
        """Where the message is in the engine, unlike any other's."""
        found = self.message.metadata
        return f"{found.stream}:{found.sequence.stream}"

    @property
    def identity(self) -> str:
        """What it was stored with, which it keeps when its topic is laid out anew."""
        return (self.message.headers or {}).get(MESSAGE_ID) or self.place

    @property
    def sequence(self) -> int:
        """Where the message is in its stream."""
        return self.message.metadata.sequence.stream

    @property
    def stream(self) -> str:
        """Which stream it is in."""
        return self.message.metadata.stream

    @property
    def handed_out(self) -> int:
        """How often the server has handed it out."""
        return self.message.metadata.num_delivered

    @property
    def deliveries(self) -> int:
        """How often it was handed out, and not given back."""
        return self.handed_out - (self.returned or 0)

    @property
    def followed(self) -> bool:
        """Whether its consumer had more when it handed this out."""
        return self.message.metadata.num_pending > 0

    async def acknowledge(self) -> None:
        """Let the server forget the message."""
        await self._say(ACKNOWLEDGED)

    async def give_back(self, *, delay: timedelta = timedelta(0)) -> None:
        """Let the server hand the message out again, after a delay."""
        said = _NAK
        if delay > timedelta(0):
            said += b" " + json.dumps({"delay": int(delay.total_seconds() * 1e9)}).encode()
        await self._say(said)

    async def extend(self) -> None:
        """Say that it is still being worked on."""
        await self._say(_AT_WORK)

    async def _say(self, what: bytes) -> None:
        await self.client.publish(self.message.reply, what)
