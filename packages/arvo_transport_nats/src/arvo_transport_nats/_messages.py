"""Events as messages of NATS: JSON in the body, what engines keep beside it in the headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, unquote

from arvo_core import ArvoEvent, EventLimits

CONTENT_TYPE: Final = "application/cloudevents+json"
MESSAGE_ID: Final = "Nats-Msg-Id"
EXPECTED_STREAM: Final = "Nats-Expected-Stream"
_AGAIN: Final = "Arvo-Again"
_FAILED: Final = "Arvo-Failed"
_DUE: Final = "Arvo-Due"
_COUNT: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something to store in a stream."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What is known of an event beside itself."""

    again: str = ""
    failed: int = 0
    due: datetime | None = None
    """The time before which it is not handed out; None for none."""

    def headers(self, *, message_id: str, stream: str) -> dict[str, str]:
        """Return the headers of a message.

        Args:
            message_id: What the stream drops repetitions by.
            stream: The only stream that may take it, as its subject may be another's meanwhile.
        """
        written = {
            "Content-Type": CONTENT_TYPE,
            MESSAGE_ID: message_id,
            EXPECTED_STREAM: stream,
        }
        if self.again:
            written[_AGAIN] = quote(self.again, safe=":")
        if self.failed:
            written[_FAILED] = str(self.failed)
        if self.due is not None:
            written[_DUE] = self.due.isoformat()
        return written

    @classmethod
    def of(cls, headers: Mapping[str, str] | None) -> "Envelope":
        """Read the headers of a message; a foreign one has none of ours, or anything."""
        found = headers or {}
        failed, due = found.get(_FAILED, ""), found.get(_DUE)
        return cls(
            again=unquote(found.get(_AGAIN, "")),
            failed=_count(failed),
            due=None if due is None else _moment(due),
        )


def written(event: ArvoEvent) -> bytes:
    """Return the body of an event's message."""
    return event.to_json().encode()


def read(body: bytes) -> ArvoEvent:
    """Return the event of a body.

    Raises:
        InvalidEventError: It is not one.
    """
    return ArvoEvent.from_json(body, limits=_limits(len(body)))


def _limits(size: int) -> EventLimits:
    """Accept whatever the server has accepted."""
    return EventLimits(max_bytes=max(size, 1))


def _count(text: str) -> int:
    return int(text) if _COUNT.fullmatch(text) else 0


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.utcoffset() is None else moment
