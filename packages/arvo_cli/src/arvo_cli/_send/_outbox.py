"""Publishes events in the order in which they come, several at a time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from arvo_core import ArvoError, ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_time import SYSTEM_CLOCK, Backoff, Clock, RetryPolicy
from arvo_transport import (
    IAnswerBox,
    IEventTransport,
    Publisher,
    TopicFullError,
    TransportError,
)

_AT_ONCE: Final = 32
"""How many events are published by one call at most."""
_BETWEEN_LOOKS: Final = timedelta(seconds=1)
_RETRY: Final = RetryPolicy(
    retries=5, backoff=Backoff(initial=timedelta(milliseconds=200), maximum=timedelta(seconds=5))
)


@dataclass(frozen=True, slots=True, eq=False)
class _Letter:
    event: ArvoEvent
    box: IAnswerBox | None
    stored: "asyncio.Future[ArvoEvent | None]"


class Outbox:
    """Publishes events in the order of the calls. Use it as an async context manager.

    Args:
        transport: Takes the events.
        patience: How long to wait for a topic that is full; None as long as it takes.
        say: Shows that a topic is full, and when the events were stored after all.
        clock: For the pauses after failures.
    """

    def __init__(
        self,
        transport: IEventTransport,
        *,
        patience: timedelta | None,
        say: Callable[[str], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._publisher = Publisher(transport, clock=clock)
        self._patience = patience
        self._say = say
        self._clock = clock
        self._letters: asyncio.Queue[_Letter] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def publish(self, event: ArvoEvent, *, box: IAnswerBox | None) -> ArvoEvent | None:
        """Store an event, unless it has its answer already; return that answer, else None.

        Args:
            event: The event.
            box: Where its answer would be; None not to look.

        Raises:
            TopicFullError: Its topic was full for longer than patience lasts.
            TransportError: The engine failed, and so did several tries.
            UnroutableError: Nobody has declared its topic.
            ValueError: The engine does not take it, as it is too large or has too long an address.
        """
        stored: asyncio.Future[ArvoEvent | None] = asyncio.get_running_loop().create_future()
        self._letters.put_nowait(_Letter(event, box, stored))
        return await stored

    async def _serve(self) -> None:
        while True:
            letters = [await self._letters.get()]
            while len(letters) < _AT_ONCE and not self._letters.empty():
                letters.append(self._letters.get_nowait())
            try:
                unanswered = await self._without_answered(letters)
                await self._store(unanswered)
            except ArvoError as error:
                _fail(letters, error)

    async def _without_answered(self, letters: Sequence[_Letter]) -> list[_Letter]:
        """Hand over the answers that are there, and return the letters that have none."""

        async def answer_to(letter: _Letter) -> ArvoEvent | None:
            return None if letter.box is None else await letter.box.get(letter.event.id)

        answers = await asyncio.gather(*map(answer_to, letters))
        unanswered = []
        for letter, answer in zip(letters, answers, strict=True):
            if letter.stored.done():  # whoever sends it was cancelled
                continue
            if answer is None:
                unanswered.append(letter)
            else:
                letter.stored.set_result(answer)
        return unanswered

    async def _store(self, letters: Sequence[_Letter]) -> None:
        """Publish all; where one is refused, each by itself, so that the others are stored."""
        if not letters:
            return
        try:
            await self._publish([letter.event for letter in letters])
        except (UnroutableError, ValueError) as error:
            if len(letters) == 1:
                _fail(letters, error)
                return
            for letter in letters:
                await self._store([letter])
        else:
            for letter in letters:
                if not letter.stored.done():
                    letter.stored.set_result(None)

    async def _publish(self, events: list[ArvoEvent]) -> None:
        failed = 0
        while True:
            try:
                await self._publish_with_room(events)
            except TopicFullError:
                raise
            except TransportError as error:
                failed += 1
                pause = _RETRY.pause_after(failed) if error.retryable else None
                if pause is None:
                    raise
            else:
                return
            await self._clock.sleep(pause)

    async def _publish_with_room(self, events: list[ArvoEvent]) -> None:
        """Publish once no topic is full, and show that this is waited for."""
        started = self._clock.monotonic()
        shown: set[str] = set()
        while True:
            try:
                await self._publisher.publish(events)
            except TopicFullError as error:
                if self._patience is not None:
                    waited = timedelta(seconds=self._clock.monotonic() - started)
                    if waited >= self._patience:
                        raise
                if error.topic not in shown:
                    self._say(f"waiting for room: {error}")
                    shown.add(error.topic)
            else:
                if shown:
                    self._say(f"there is room again in {', '.join(sorted(shown))}")
                return
            await self._clock.sleep(_BETWEEN_LOOKS)


def _fail(letters: Sequence[_Letter], error: Exception) -> None:
    for letter in letters:
        if not letter.stored.done():
            letter.stored.set_exception(error)
