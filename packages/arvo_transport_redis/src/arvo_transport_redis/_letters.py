"""Dead letters."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from arvo_event_handler import ConfigViolation, UnroutableError
from arvo_event_handler.delivery import DeadLetterReason, StoredLetter
from arvo_time.settings import check_count
from arvo_transport import Output

from ._namespace import Namespace
from ._outgoing import Outgoing
from ._scripts import REDRIVE
from ._shard import entry_order

_READ_AT_ONCE = 100


@dataclass(frozen=True, order=True, slots=True)
class _Place:
    """Where a letter is. Letters of all topics are in the order of their places."""

    milliseconds: int
    number: int
    topic: str

    @classmethod
    def of(cls, topic: str, entry_id: str) -> Self:
        return cls(*entry_order(entry_id), topic)

    @classmethod
    def of_key(cls, key: str) -> Self | None:
        milliseconds, _, rest = key.partition("-")
        number, _, topic = rest.partition("-")
        if not (milliseconds.isdecimal() and number.isdecimal()):
            return None
        return cls(int(milliseconds), int(number), topic)

    @property
    def key(self) -> str:
        return f"{self.milliseconds:015d}-{self.number:010d}-{self.topic}"

    @property
    def entry_id(self) -> str:
        return f"{self.milliseconds}-{self.number}"


@dataclass(frozen=True, slots=True)
class _Kept:
    place: _Place
    letter: StoredLetter

    @property
    def output(self) -> Output | None:
        """The event and the topic that it goes to; None when it cannot be published again."""
        event = self.letter.event
        if event is None or not self.letter.publishable:
            return None
        return Output(event, topic=self.place.topic)


class Letters:
    """The dead letters of a namespace: a stream for each topic, and one for what has none."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    async def list(
        self,
        topic: str | None,
        *,
        reason: DeadLetterReason | str | None,
        type: str | None,
        after: str | None,
        limit: int,
    ) -> Sequence[StoredLetter]:
        """Return letters, oldest first; see `IDeadLetters.dead_letters`."""
        check_count(limit, name="limit", least=1)
        start = None if after is None else _Place.of_key(after)
        if after is not None and start is None:
            raise ValueError(f"{after!r:.100} is not the key of a dead letter")
        topics = [topic] if topic is not None else await self._topics()
        found: list[_Kept] = []
        for each in topics:
            found += await self._list(each, reason=reason, type=type, after=start, limit=limit)
        return [kept.letter for kept in heapq.nsmallest(limit, found, key=lambda kept: kept.place)]

    async def redrive(self, keys: Iterable[str], *, force: bool) -> int:
        """Publish events again, and forget their letters; see `IDeadLetters.redrive`."""
        kept = [found for key in dict.fromkeys(keys) if (found := await self._get(key))]
        await self._check_redrivable(kept, force=force)
        return sum([await self._redrive(each.output, each.place) for each in kept if each.output])

    async def drop(self, keys: Iterable[str]) -> int:
        """Forget letters, and return how many there were."""
        count = 0
        for key in dict.fromkeys(keys):
            place = _Place.of_key(key)
            if place is not None:
                count += await self._namespace.server.ask(
                    "XDEL", self._stream(place.topic), place.entry_id
                )
        return count

    async def _list(
        self,
        topic: str,
        *,
        reason: DeadLetterReason | str | None,
        type: str | None,
        after: _Place | None,
        limit: int,
    ) -> Sequence[_Kept]:
        found: list[_Kept] = []
        start = "-"
        if after is not None:
            bound = "(" if topic <= after.topic else ""
            start = f"{bound}{after.entry_id}"
        while len(found) < limit:
            entries = await self._range(topic, start, count=_READ_AT_ONCE)
            for kept in entries:
                letter = kept.letter
                if reason in (None, letter.reason) and (
                    type is None or (letter.event is not None and letter.event.type == type)
                ):
                    found.append(kept)
            if len(entries) < _READ_AT_ONCE:
                break
            start = f"({entries[-1].place.entry_id}"
        return found[:limit]

    async def _get(self, key: str) -> _Kept | None:
        place = _Place.of_key(key)
        if place is None:
            return None
        found = await self._range(place.topic, place.entry_id, end=place.entry_id, count=1)
        return found[0] if found else None

    async def _range(
        self, topic: str, start: str, *, end: str = "+", count: int
    ) -> Sequence[_Kept]:
        entries: list[Any] = await self._namespace.server.ask(
            "XRANGE", self._stream(topic), start, end, "COUNT", count
        )
        found: list[_Kept] = []
        for entry_id, words in entries:
            fields: dict[bytes, bytes] = dict(zip(words[::2], words[1::2], strict=True))
            place = _Place.of(topic, entry_id.decode())
            letter = StoredLetter.from_json(fields[b"letter"], key=place.key)
            found.append(_Kept(place, letter))
        return found

    async def _check_redrivable(self, kept: Sequence[_Kept], *, force: bool) -> None:
        cut = [each.place.key for each in kept if each.output is None]
        if cut:
            raise ConfigViolation(
                f"{len(cut)} of the letters do not have all of their event, such as {cut[0]}; drop "
                "them, and publish what is right"
            )
        replied = [each.place.key for each in kept if each.letter.replied]
        if replied and not force:
            raise ValueError(
                f"{len(replied)} of the letters were answered by a system error, such as "
                f"{replied[0]}; to publish their events nevertheless, pass force=True"
            )
        topics = (await self._namespace.registry.layout(fresh=True)).topics
        for each in kept:
            if each.output is not None and each.output.topic not in topics:
                raise UnroutableError(each.output.event)

    async def _redrive(self, output: Output, place: _Place) -> int:
        async def run(outgoing: Outgoing) -> Any:
            return await self._namespace.server.run(
                REDRIVE,
                self._namespace.keys.partition(place.topic, 0),
                place.entry_id,
                self._namespace.keys.layout,
                outgoing.layout.version,
                *outgoing.event(output, again=f"redrive:{place.key}"),
            )

        redriven: int = await self._namespace.store([output.topic], run)
        return redriven

    async def _topics(self) -> Sequence[str]:
        """Return the topics that have had letters, also those that nobody has declared."""
        keys = self._namespace.keys
        return [
            each.decode() for each in await self._namespace.server.ask("SMEMBERS", keys.letters)
        ]

    def _stream(self, topic: str) -> str:
        return f"{self._namespace.keys.partition(topic, 0)}:x"
