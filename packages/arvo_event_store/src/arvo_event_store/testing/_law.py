"""Sequences of operations on a store, and what they must give: the same as on the store in memory."""

from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final
from uuid import UUID

from arvo_event_store._append import Append, Appended, KnownEvents
from arvo_event_store._errors import EventStoreError, PendingWorkError, StoreFailure
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._query import Query
from arvo_event_store._store import IEventStore
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_event_store._target import PER_EVENT, PER_STREAM, TargetState, Wake

Call = Callable[[IEventStore], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A call of a store."""

    text: str
    """What it does, for the report of a difference."""
    call: Call
    """Makes the call."""


class Operations:
    """Draws operations on the streams of one sequence, which nobody else uses.

    Args:
        seed: The number of the sequence.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(f"operations {seed}")  # noqa: S311 - it draws tests
        self.prefix = f"law{seed}-"
        self.group = f"law{seed}"
        self._streams = [f"{self.prefix}{name}" for name in ("a", "A", "a%")]
        self._ids = [UUID(int=self._random.getrandbits(128), version=4) for _ in range(12)]
        self._sent: list[Append] = []

    def draw(self) -> Operation:
        """Return the next operation."""
        # A sequence begins with appends, as there would be little to do without them.
        kinds = _KINDS[:2] if len(self._sent) < 4 else _KINDS
        (make,) = self._random.choices([make for make, _ in kinds], [odds for _, odds in kinds])
        text, call = make(self)
        return Operation(text, call)

    def _stream(self) -> str:
        return self._random.choice(self._streams)

    def _events(self) -> list[NewEvent]:
        draw = self._random
        ids = draw.sample(self._ids, draw.choice((0, 1, 1, 2, 3)))
        return [
            NewEvent(
                draw.choice(("Added", "Removed")),
                draw.choice(_DATA),
                # Most ids are new; the others may be known.
                id=id_ if draw.random() < 0.3 else UUID(int=draw.getrandbits(128), version=4),
                private=draw.choice(_PRIVATE),
                meta=draw.choice(({}, {"schema": 1})),
            )
            for id_ in ids
        ]

    def _append(self) -> Append:
        draw = self._random
        if self._sent and draw.random() < 0.4:
            again = draw.choice(self._sent)
            known: KnownEvents = "skip" if draw.random() < 0.3 else "refuse"
            return replace(again, expect=Expect.ANY, known=known, wakes=self._wakes(0.2))
        self._sent.append(self._new_append())
        return self._sent[-1]

    def _wakes(self, odds: float) -> list[Wake]:
        draw = self._random
        if draw.random() >= odds:
            return []
        kind, reaction = draw.choice((PER_STREAM, PER_EVENT)), draw.choice(("r", "s"))
        return [Wake(group=self.group, reaction=reaction, lane="l", to=kind)]

    def _new_append(self) -> Append:
        draw = self._random
        expect = draw.choice((Expect.ANY, Expect.ANY, Expect.NO_STREAM, Expect.STREAM_EXISTS))
        return Append(
            self._stream(),
            self._events(),
            expect=expect if draw.random() < 0.8 else draw.randrange(5),
            known=draw.choice(("refuse", "refuse", "skip")),
            wakes=self._wakes(0.2),
        )

    def append(self) -> tuple[str, Call]:
        """Append to one stream."""
        given = self._append()
        return f"append({given})", lambda store: store.append(
            given.stream, given.events, expect=given.expect
        )

    def append_all(self) -> tuple[str, Call]:
        """Append to several streams, in most cases different ones."""
        given = [self._append() for _ in range(self._random.choice((1, 2, 3)))]
        if self._random.random() < 0.8:
            given = list({each.stream: each for each in given}.values())
        return f"append_all({given})", lambda store: store.append_all(given)

    def read(self) -> tuple[str, Call]:
        """Read a part of a stream."""
        draw, stream = self._random, self._stream()
        given: dict[str, Any] = {
            "after": draw.choice((-1, -1, 0, 1, 2)),
            "upto": draw.choice((None, draw.randrange(5))),
            "backward": draw.random() < 0.5,
            "limit": draw.choice((None, draw.randrange(4))),
        }
        return f"read({stream!r}, {given})", lambda store: listed(store.read(stream, **given))

    def read_all(self) -> tuple[str, Call]:
        """Read what a query finds."""
        draw = self._random
        where = Query(
            stream_prefix=self.prefix + draw.choice(("", "", "a", "a%", "_")),
            names=draw.choice((None, ["Added"], [])),
        )
        given: dict[str, Any] = {
            "backward": draw.random() < 0.5,
            "limit": draw.choice((None, draw.randrange(4))),
        }
        return f"read_all({where}, {given})", lambda store: listed(
            store.read_all(where=where, **given)
        )

    def heads(self) -> tuple[str, Call]:
        """Ask where the streams stand."""
        return "heads()", lambda store: store.heads(self._streams)

    def streams(self) -> tuple[str, Call]:
        """List streams."""
        prefix = self.prefix + self._random.choice(("", "a", "A"))
        return f"streams({prefix!r})", lambda store: listed(store.streams(prefix=prefix))

    def targets(self) -> tuple[str, Call]:
        """List targets."""
        reaction = self._random.choice((None, "r"))
        return f"targets({reaction!r})", lambda store: listed(
            store.targets(self.group, reaction=reaction)
        )

    def save_snapshot(self) -> tuple[str, Call]:
        """Save a snapshot, which may be ahead of its stream."""
        draw = self._random
        snapshot = Snapshot(
            stream=self._stream(),
            kind=draw.choice(("k", "K")),
            version=draw.randrange(5),
            schema=draw.choice((1, 2)),
            state=draw.choice(_DATA),
        )
        return f"save_snapshot({snapshot})", lambda store: store.save_snapshot(snapshot)

    def latest_snapshot(self) -> tuple[str, Call]:
        """Ask for a snapshot."""
        stream, kind = self._stream(), self._random.choice(("k", "K"))
        upto = self._random.choice((None, self._random.randrange(5)))
        return (
            f"latest_snapshot({stream!r}, {kind!r}, {upto})",
            lambda store: store.latest_snapshot(stream, kind=kind, upto=upto),
        )

    def truncate(self) -> tuple[str, Call]:
        """Cut off a stream."""
        stream, before = self._stream(), self._random.randrange(5)
        snapshot = self._random.random() < 0.3
        return f"truncate({stream!r}, {before}, {snapshot})", lambda store: store.truncate(
            stream, before=before, snapshot=snapshot
        )

    def change(self) -> tuple[str, Call]:
        """Do to a stream what needs no further arguments."""
        stream = self._stream()
        name = self._random.choice(("close_stream", "reopen_stream", "forget", "delete_stream"))
        return f"{name}({stream!r})", lambda store: getattr(store, name)(stream)

    def record_archive(self) -> tuple[str, Call]:
        """Record an archive."""
        stream = self._stream()
        return f"record_archive({stream!r})", lambda store: store.record_archive(
            stream, archive="somewhere"
        )


_PRIVATE: Final[tuple[Any, ...]] = (None, None, {"name": "Ann"}, 0)
_DATA: Final[tuple[Any, ...]] = (None, 0, {"amount": 7}, {"z": [1, 1.0], "a": "é🛒\x00"}, [])
_KINDS: Final[tuple[tuple[Callable[[Operations], tuple[str, Call]], int], ...]] = (
    (Operations.append, 8),
    (Operations.append_all, 8),
    (Operations.read, 5),
    (Operations.read_all, 2),
    (Operations.heads, 2),
    (Operations.streams, 1),
    (Operations.targets, 1),
    (Operations.save_snapshot, 2),
    (Operations.latest_snapshot, 1),
    (Operations.truncate, 3),
    (Operations.change, 4),
    (Operations.record_archive, 1),
)


class Side:
    """One of the two stores, with the order in which its events were stored.

    Positions differ between stores, as they may have gaps; what is compared is which event it was.
    """

    def __init__(self, store: IEventStore) -> None:
        self._store = store
        self._order: dict[int, int] = {}

    async def outcome(self, operation: Operation) -> Any:
        """Return what an operation gives, in a form that is the same for all stores."""
        try:
            given = await operation.call(self._store)
        except StoreFailure:
            raise
        except (EventStoreError, TypeError, ValueError) as error:
            if isinstance(error, PendingWorkError):
                return type(error), error.stream, len(error.targets)
            return type(error), str(error), vars(error)
        for appended in given if isinstance(given, list) else [given]:
            if isinstance(appended, Appended) and not appended.duplicate:
                await self._note(appended)
        return self._plain(given)

    async def _note(self, appended: Appended) -> None:
        if appended.version is None:
            return
        after = appended.version - appended.count
        async for event in self._store.read(appended.stream, after=after, upto=appended.version):
            assert event.position not in self._order, f"position {event.position} is used again"
            self._order[event.position] = len(self._order)

    def _plain(self, given: Any) -> Any:
        if isinstance(given, list):
            found = [self._plain(each) for each in given]
            # The keys of targets are positions, whose order as text differs between stores.
            is_of_targets = bool(given) and isinstance(given[0], TargetState)
            return sorted(found, key=repr) if is_of_targets else found
        if isinstance(given, dict):
            return {key: self._plain(value) for key, value in given.items()}
        plain = _PLAIN.get(type(given))
        return given if plain is None else plain(given, self._order)


# A position that is not in `order` was never given to an event.
def _event(event: Event, order: dict[int, int]) -> tuple[Any, ...]:
    return (
        *(order.get(event.position), event.stream, event.version, event.id, event.name),
        *(repr(event.data), event.meta, repr(event.private), event.correlation, event.causation),
    )


def _appended(given: Appended, order: dict[int, int]) -> tuple[Any, ...]:
    place = None if given.position is None else order.get(given.position, "unknown")
    return given.stream, given.version, place, given.count, given.duplicate, given.skipped


def _head(head: StreamHead, _: dict[int, int]) -> tuple[Any, ...]:
    return head.stream, head.version, head.first_version, head.closed is None, head.archive


def _target(target: TargetState, order: dict[int, int]) -> tuple[Any, ...]:
    key = order.get(int(target.key)) if target.once else target.key
    return (
        *(target.group, target.reaction, key, target.lane, target.stream, target.once),
        *(
            order.get(target.at + 1),
            order.get(target.mark),
            target.attempt,
            target.failed,
            target.due,
        ),
    )


_PLAIN: Final[dict[type, Callable[[Any, dict[int, int]], Any]]] = {
    Event: _event,
    Appended: _appended,
    StreamHead: _head,
    TargetState: _target,
}


async def listed(found: AsyncIterable[Any]) -> list[Any]:
    """Return all that an iterator gives."""
    return [each async for each in found]
