"""Where dead letters are kept, looked at, published again and dropped."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler._errors import ConfigViolation
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_async, check_clock, check_count

from ._dead_letter import DeadLetter, DeadLetterReason
from ._dead_letter_log import log_dead_letter
from ._stored_letter import StoredLetter

_logger = bounded_logger("arvo_event_handler")

Republish: TypeAlias = Callable[[ArvoEvent], Awaitable[None]]
"""Publishes the event of a dead letter again."""


class IDeadLetters(Protocol):
    """Whatever keeps dead letters: a box in the process, or a transport."""

    async def dead_letters(
        self,
        topic: str | None = None,
        *,
        reason: DeadLetterReason | str | None = None,
        type: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[StoredLetter]:
        """Return letters, oldest first.

        Args:
            topic: Of this handler alone; None for all, also those that no handler was for.
            reason: With this reason alone, such as "exhausted"; None for all.
            type: Of events of this type alone; None for all.
            after: Those kept after the letter of this key, which need not be there any more; None
                from the oldest.
            limit: How many at most; at least 1.

        Raises:
            TypeError: `limit` is not an int.
            ValueError: `limit` is below 1.
        """
        ...

    async def redrive(self, keys: Iterable[str], *, force: bool = False) -> int:
        """Publish events again, and forget their letters.

        Args:
            keys: Of the letters; those that are not there (any more) are passed over.
            force: Also letters whose senders were sent a system error (`DeadLetter.replied`).

        Returns:
            How many were published.

        Raises:
            ConfigViolation: The letters cannot be published.
            ValueError: Some need `force`; nothing was published.
        """
        ...

    async def drop(self, keys: Iterable[str]) -> int:
        """Forget letters, and return how many there were."""
        ...


class DeadLetterBox(IDeadLetters):
    """Keeps the latest dead letters of one process, as the `on_dead_letter` of its broker.

    Everything is gone when the process ends. Use it from the tasks of one event loop.

    Args:
        most: How many letters are kept; the oldest one beyond that is logged and dropped.
        clock: For when a letter was kept.

    Raises:
        TypeError: `most` is not an int, or `clock` not a `Clock`.
        ValueError: `most` is below 1.

    Example:
        >>> async def lose(event: ArvoEvent) -> None:
        ...     await box(
        ...         DeadLetter(
        ...             event=event,
        ...             error=UnroutableError(event),
        ...             attempts=0,
        ...             handler=None,
        ...             reason=DeadLetterReason.UNROUTABLE,
        ...         )
        ...     )
        >>> box = DeadLetterBox()
        >>> lost = ArvoEvent.create(
        ...     source="com.app.main", type="com.nobody.there", subject="a", data={}
        ... )
        >>> asyncio.run(lose(lost))
        >>> [stored] = asyncio.run(box.dead_letters(reason="unroutable"))
        >>> stored.event == lost, asyncio.run(box.drop([stored.key])), len(box)
        (True, 1, 0)
    """

    def __init__(self, *, most: int = 10_000, clock: Clock = SYSTEM_CLOCK) -> None:
        self._most = check_count(most, name="most", least=1)
        self._clock = check_clock(clock)
        # As they came: they are described when somebody looks, not when they die.
        self._letters: dict[str, tuple[datetime, DeadLetter]] = {}
        self._count = 0
        self._republish: Republish | None = None

    def __len__(self) -> int:
        return len(self._letters)

    def publish_with(self, publish: Republish) -> None:
        """Say how events are published again, such as by `broker.publish`.

        Raises:
            TypeError: `publish` is not an `async def` function.
        """
        check_async(publish, name="publish")
        self._republish = publish

    async def __call__(self, letter: DeadLetter) -> None:
        """Keep a letter."""
        self._count += 1
        key = f"{self._count:016d}"
        self._letters[key] = self._clock.now(), letter
        while len(self._letters) > self._most:
            _, pushed_out = self._letters.pop(next(iter(self._letters)))
            self._push_out(pushed_out)

    @override
    async def dead_letters(
        self,
        topic: str | None = None,
        *,
        reason: DeadLetterReason | str | None = None,
        type: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[StoredLetter]:
        check_count(limit, name="limit", least=1)
        found: list[StoredLetter] = []
        for key, (at, letter) in self._letters.items():
            if (
                (after is None or key > after)
                and topic in (None, letter.handler)
                and reason in (None, letter.reason)
                and type in (None, letter.event.type)
            ):
                found.append(StoredLetter.of(letter, key=key, at=at))
                if len(found) == limit:
                    break
        return found

    @override
    async def redrive(self, keys: Iterable[str], *, force: bool = False) -> int:
        if self._republish is None:
            raise ConfigViolation(
                "the dead letters cannot be published again: say how, as by "
                "`box.publish_with(broker.publish)`"
            )
        wanted = [key for key in dict.fromkeys(keys) if key in self._letters]
        replied = [key for key in wanted if self._letters[key][1].replied]
        if replied and not force:
            raise ValueError(
                f"{len(replied)} of the letters were answered by a system error, such as "
                f"{replied[0]}; to publish their events nevertheless, pass force=True"
            )
        published = 0
        for key in wanted:
            kept = self._letters.pop(key, None)  # another call may have taken it meanwhile
            if kept is None:
                continue
            _, letter = kept
            try:
                await self._republish(letter.event)
            except BaseException:
                self._letters = dict(sorted({**self._letters, key: kept}.items()))
                raise
            published += 1
        return published

    @override
    async def drop(self, keys: Iterable[str]) -> int:
        dropped = [self._letters.pop(key, None) for key in keys]
        return sum(letter is not None for letter in dropped)

    def _push_out(self, letter: DeadLetter) -> None:
        log_dead_letter(
            letter.event,
            error=letter.error,
            handler=letter.handler,
            reason=f"{letter.reason}; dropped, as {self._most} later ones are kept",
            attempts=letter.attempts,
            logger=_logger,
        )
