"""What is kept of a dead letter, in a box of the process or by a transport."""

import base64
import traceback
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from pydantic_core import from_json, to_json

from arvo_core import ArvoEvent, InvalidEventError
from arvo_time.logs import excerpt

from ._dead_letter import DeadLetter, DeadLetterReason

_MESSAGE_BYTES: Final = 4 * 1024
_STACK_BYTES: Final = 16 * 1024
_DATA_BYTES: Final = 16 * 1024
_ATTRIBUTE_BYTES: Final = 2 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterError:
    """The last error of a dead letter, as it is kept."""

    name: str
    """The name of its class."""
    message: str
    """Its message, at most 4 KiB of UTF-8: the middle of a longer one is cut out."""
    stack: str | None = None
    """The formatted traceback, likewise at most 16 KiB; None when the error was never raised."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Describe an exception."""
        stack = None
        if error.__traceback__ is not None:
            stack = _fitting("".join(traceback.format_exception(error)), _STACK_BYTES)
        try:
            message = str(error)
        except Exception:
            # That it failed matters more than that it cannot say why.
            message = "<the error's text cannot be read>"
        return cls(
            name=_fitting(type(error).__name__, _ATTRIBUTE_BYTES),
            message=_fitting(message, _MESSAGE_BYTES),
            stack=stack,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLetter:
    """A dead letter that is kept: its event, and what is known of its failure.

    It holds values only, so that it can be written as JSON and read in another process.

    Example:
        >>> event = ArvoEvent.create(source="com.app.main", type="com.gone.away", subject="a", data={})
        >>> letter = DeadLetter(
        ...     event=event,
        ...     error=UnroutableError(event),
        ...     attempts=0,
        ...     handler=None,
        ...     reason=DeadLetterReason.UNROUTABLE,
        ... )
        >>> kept = StoredLetter.of(letter, key="1", at=datetime.fromisoformat("2026-11-30T12:00:00Z"))
        >>> StoredLetter.from_json(kept.to_json(), key="1") == kept, kept.error.name
        (True, 'UnroutableError')
    """

    key: str
    """Names the letter; later letters of one topic have greater keys, also of the same event."""
    at: datetime
    """When it was kept, in UTC."""
    topic: str | None
    """The topic whose event it is: the handler that was to handle it; None when there is none."""
    reason: DeadLetterReason
    """Why the event is dead."""
    event: ArvoEvent | None
    """The event as it was published, or without its data if that was too much; None when the bytes
    are not an event, or its attributes alone are too much."""
    error: LetterError
    """The last error."""
    attempts: int
    """How many tries failed; 0 when none was made."""
    deliveries: int
    """How often the event was delivered."""
    replied: bool = False
    """Whether its sender was sent a system error."""
    data_excerpt: str | None = None
    """The first 16 KiB of the data as JSON, where all of it is too much to keep; None when `event`
    has all of it. Such an event cannot be published again."""
    raw: bytes | None = field(default=None, repr=False)
    """The first 16 KiB of what was published; None when `event` says more."""
    worker: str | None = None
    """The version of Arvo that kept it; None when that is not known."""

    @property
    def publishable(self) -> bool:
        """Whether its event can be published again."""
        return self.event is not None and self.data_excerpt is None

    @classmethod
    def of(cls, letter: DeadLetter, *, key: str, at: datetime, worker: str | None = None) -> Self:
        """Keep a dead letter.

        Args:
            letter: The letter.
            key: Names it.
            at: The time, in UTC.
            worker: The version of Arvo that keeps it.
        """
        return cls(
            key=key,
            at=at,
            topic=letter.handler,
            reason=letter.reason,
            event=letter.event,
            error=LetterError.of(letter.error),
            attempts=letter.attempts,
            deliveries=letter.deliveries,
            replied=letter.replied,
            worker=worker,
        )

    @classmethod
    def unparsable(
        cls, raw: bytes, *, key: str, at: datetime, topic: str, error: Exception, worker: str | None
    ) -> Self:
        """Keep bytes that are not an event.

        Args:
            raw: The bytes.
            key: Names the letter.
            at: The time, in UTC.
            topic: Where they were.
            error: What is wrong with them.
            worker: The version of Arvo that keeps them.
        """
        return cls(
            key=key,
            at=at,
            topic=topic,
            reason=DeadLetterReason.UNPARSABLE,
            event=None,
            error=LetterError.of(error),
            attempts=0,
            deliveries=1,
            raw=raw[:_DATA_BYTES],
            worker=worker,
        )

    def to_json(self, *, max_bytes: int | None = None) -> bytes:
        """Write all but the key as JSON.

        Args:
            max_bytes: The most that can be kept, at least 64 KiB: of an event that is too large for it,
                the data is cut to an excerpt, and so are attributes of more than 2 KiB. None: any
                size, as for a box in the process.
        """
        written = to_json(self._members(None if self.event is None else self.event.to_dict()))
        if max_bytes is None or len(written) <= max_bytes or self.event is None:
            return written
        return to_json(self._shortened(self.event))

    @classmethod
    def from_json(cls, text: str | bytes, *, key: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is not a letter.
        """
        try:
            members: dict[str, Any] = from_json(text)
            event, raw, error = members["event"], members["raw"], members["error"]
            return cls(
                key=key,
                at=datetime.fromisoformat(members["at"]),
                topic=members["topic"],
                reason=DeadLetterReason(members["reason"]),
                event=None if event is None else ArvoEvent.from_dict(event),
                error=LetterError(
                    name=error["name"], message=error["message"], stack=error["stack"]
                ),
                attempts=members["attempts"],
                deliveries=members["deliveries"],
                replied=members["replied"],
                data_excerpt=members["data_excerpt"],
                raw=None if raw is None else base64.b64decode(raw),
                worker=members["worker"],
            )
        except (KeyError, TypeError, AttributeError) as damage:
            raise ValueError(f"the dead letter {key} is damaged: {damage!r}") from damage

    def _shortened(self, event: ArvoEvent) -> dict[str, Any]:
        whole = event.to_dict()
        short = {name: _short(value) for name, value in whole.items()} | {"data": {}}
        try:
            ArvoEvent.from_dict(short)
        except InvalidEventError:  # an attribute that means nothing when it is cut
            raw = event.to_json().encode()[:_DATA_BYTES]
            return self._members(None) | {"raw": base64.b64encode(raw).decode()}
        excerpt_of_data = _head(to_json(whole["data"]).decode(), _DATA_BYTES)
        return self._members(short) | {"data_excerpt": excerpt_of_data}

    def _members(self, event: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "topic": self.topic,
            "reason": self.reason.value,
            "event": event,
            "error": {
                "name": self.error.name,
                "message": self.error.message,
                "stack": self.error.stack,
            },
            "attempts": self.attempts,
            "deliveries": self.deliveries,
            "replied": self.replied,
            "data_excerpt": self.data_excerpt,
            "raw": None if self.raw is None else base64.b64encode(self.raw).decode(),
            "worker": self.worker,
        }


def _fitting(text: str, max_bytes: int) -> str:
    """Cut the middle out of a long string, and replace lone surrogates, which JSON cannot express."""
    return excerpt(text.encode("utf-8", "replace").decode(), max_bytes=max_bytes)


def _short(value: object) -> object:
    return _head(value, _ATTRIBUTE_BYTES) if isinstance(value, str) else value


def _head(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore")
