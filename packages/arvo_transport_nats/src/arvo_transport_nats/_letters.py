"""Dead letters: a stream of their own, which keeps them until they are redriven or dropped."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Final

from nats.js import JetStreamContext, api, errors as js_errors

from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason, StoredLetter
from arvo_time import Clock
from arvo_time.settings import check_count

from ._failure import DRIVER_ERRORS, transport_error
from ._layout import Layout
from ._messages import EXPECTED_STREAM, MESSAGE_ID, Message
from ._names import Names

_KEY_DIGITS: Final = 16


class Letters:
    """The dead letters of a namespace. The key of one is its place in the stream.

    Args:
        js: JetStream.
        names: What is called how.
        layout: What makes streams.
        clock: For when a letter was kept.
        max_bytes: The most that a letter may take.
    """

    def __init__(
        self,
        js: JetStreamContext,
        *,
        names: Names,
        layout: Layout,
        clock: Clock,
        max_bytes: int,
    ) -> None:
        self._js = js
        self._names = names
        self._layout = layout
        self._clock = clock
        self._max_bytes = max_bytes

    async def open(self) -> None:
        """Make the stream exist."""
        await self._layout.ensure_stream(
            self._names.letters,
            subjects=[self._names.letters_of(None)],
            retention=api.RetentionPolicy.LIMITS,
        )

    # --- in -----------------------------------------------------------------

    def message(self, letter: DeadLetter, *, topic: str, message_id: str) -> Message:
        """Return what is to be stored of a letter of a topic."""
        stored = StoredLetter.of(
            replace(letter, handler=topic), key="", at=self._now(), worker=_release()
        )
        return self._message(stored, topic=topic, message_id=message_id)

    def unparsable(self, raw: bytes, *, topic: str, error: Exception, message_id: str) -> Message:
        """Return what is to be stored of bytes that are not an event."""
        stored = StoredLetter.unparsable(
            raw, key="", at=self._now(), topic=topic, error=error, worker=_release()
        )
        return self._message(stored, topic=topic, message_id=message_id)

    def _message(self, letter: StoredLetter, *, topic: str, message_id: str) -> Message:
        return Message(
            subject=self._names.letters_of(topic),
            payload=letter.to_json(max_bytes=self._max_bytes),
            headers={MESSAGE_ID: message_id, EXPECTED_STREAM: self._names.letters},
        )

    # --- looks --------------------------------------------------------------

    async def find(
        self,
        topic: str | None,
        *,
        reason: DeadLetterReason | str | None,
        type: str | None,
        after: str | None,
        limit: int,
    ) -> list[StoredLetter]:
        """Return letters, oldest first, as `IDeadLetters.dead_letters` says."""
        check_count(limit, name="limit", least=1)
        found: list[StoredLetter] = []
        async for letter in self._walk(topic, after=0 if after is None else _place(after)):
            if reason in (None, letter.reason) and type in (
                None,
                None if letter.event is None else letter.event.type,
            ):
                found.append(letter)
                if len(found) == limit:
                    break
        return found

    async def publishable(
        self, keys: Iterable[str], *, force: bool
    ) -> list[tuple[StoredLetter, ArvoEvent, str]]:
        """Return those of the letters that are there, each with its event and topic.

        Raises:
            ConfigViolation: One does not have all of its event.
            ValueError: One needs `force`.
        """
        found = [await self._letter(key) for key in dict.fromkeys(keys)]
        letters = [letter for letter in found if letter is not None]
        replied = [letter for letter in letters if letter.replied]
        if replied and not force:
            raise ValueError(
                f"{len(replied)} of the letters were answered by a system error, such as "
                f"{replied[0].key}; to publish their events nevertheless, pass force=True"
            )
        whole = [
            (letter, letter.event, letter.topic)
            for letter in letters
            if letter.publishable and letter.event is not None and letter.topic is not None
        ]
        if len(whole) < len(letters):
            complete = {letter.key for letter, _, _ in whole}
            short = [letter.key for letter in letters if letter.key not in complete]
            raise ConfigViolation(
                f"{len(short)} of the letters do not have all of their event, such as "
                f"{short[0]}; drop them"
            )
        return whole

    async def count(self, topic: str) -> int:
        """Return how many letters a topic has."""
        subject = self._names.letters_of(topic)
        try:
            info = await self._js.stream_info(self._names.letters, subjects_filter=subject)
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing="count the dead letters") from error
        return (info.state.subjects or {}).get(subject, 0)

    # --- out ----------------------------------------------------------------

    async def drop(self, keys: Iterable[str]) -> int:
        """Forget letters, and return how many there were."""
        return sum([await self._drop(key) for key in dict.fromkeys(keys)])

    async def _drop(self, key: str) -> bool:
        if await self._letter(key) is None:
            return False
        try:
            return await self._js.delete_msg(self._names.letters, _place(key))
        except DRIVER_ERRORS as error:
            if await self._letter(key) is None:  # somebody else was faster
                return False
            raise transport_error(error, doing=f"drop the dead letter {key}") from error

    # --- inside -------------------------------------------------------------

    async def _walk(self, topic: str | None, *, after: int) -> AsyncIterator[StoredLetter]:
        subject = self._names.letters_of(topic)
        place = after
        while True:
            try:
                found = await self._js.get_msg(
                    self._names.letters, seq=place + 1, subject=subject, next=True
                )
            except js_errors.NotFoundError:
                return
            except DRIVER_ERRORS as error:
                raise transport_error(error, doing="read the dead letters") from error
            place = found.seq or 0
            yield StoredLetter.from_json(found.data or b"", key=_key(place))

    async def _letter(self, key: str) -> StoredLetter | None:
        place = _place(key)
        if place < 1:
            return None
        try:
            found = await self._js.get_msg(self._names.letters, seq=place)
        except js_errors.NotFoundError:
            return None
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"read the dead letter {key}") from error
        return StoredLetter.from_json(found.data or b"", key=key)

    def _now(self) -> datetime:
        return self._clock.now()


def _key(place: int) -> str:
    return f"{place:0{_KEY_DIGITS}d}"


def _place(key: str) -> int:
    """Return the place of a letter in the stream; 0 for a key that no letter has."""
    return int(key) if key.isascii() and key.isdecimal() and len(key) <= _KEY_DIGITS else 0


@cache
def _release() -> str:
    return version("arvo-transport-nats")
