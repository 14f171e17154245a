"""Aggregates: a state folded from the events of a stream, and decisions that append to it."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from arvo_time import SYSTEM_CLOCK, Backoff, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_callable, check_clock, check_count, check_instance

from ._append import Appended
from ._codec import EventTypes, IEventCodec
from ._dataclass_codec import DataclassCodec
from ._errors import ConflictError, StoreFailure, TruncatedStreamError
from ._event import NewEvent
from ._expect import Expect
from ._log import IStreamAccess
from ._names import check_name
from ._snapshot_policy import SnapshotPolicy
from ._state_cache import CachedState, StateCache
from ._stream import Snapshot
from ._telemetry import count_act_retry, count_snapshot_failure

E = TypeVar("E")
S = TypeVar("S")

_BACKOFF: Final = Backoff(initial=timedelta(milliseconds=2), maximum=timedelta(milliseconds=250))
_logger = bounded_logger("arvo_event_store")


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[S]):
    """The state of an aggregate, as loaded."""

    state: S
    """The state."""
    version: int
    """The version of the last event in it; -1 if there is none."""


@dataclass(frozen=True, kw_only=True)
class Acted(Generic[S]):
    """What became of a decision."""

    state: S
    """The state after it."""
    version: int
    """The version after it; -1 if there was no event and none was appended."""
    appended: Appended | None
    """What became of the append; None if nothing was decided, or a reaction's call only staged it."""
    retries: int
    """How often it was decided again because somebody else was faster."""


@dataclass(frozen=True, slots=True)
class _Folded(Generic[S]):
    """A state, and the event that it ends with."""

    version: int
    state: S
    last: UUID | None
    """The id of the last event that was read or appended; None if it is in a snapshot."""


class Aggregate(Generic[S, E]):
    """A state folded from the events of a stream, and decisions that append to it.

    The stream of the key "a" in the category "counter" is `counter-a`. `evolve` and `decide` are pure
    functions: they run again whenever somebody else was faster, and change none of their arguments.
    Tasks that act on one stream at the same time through one aggregate take turns.

    Args:
        category: How the names of its streams begin, without "-".
        events: The classes of its events.
        initial: Returns the state of a stream that has no events.
        evolve: Returns the state after an event, given the state before it.
        snapshots: When and how its state is stored; None if it never is.
        codec: How its events are stored; None is a `DataclassCodec()`.
        retries: How often to decide again in one `act` when somebody else was faster.
        cache: Of how many streams the last state is kept in memory. A load then reads the last event
            and what came after it, so it stays right whoever else appends.
        clock: How to wait between retries, 250 ms at most.

    Raises:
        TypeError: A setting is of another type, or the codec cannot store a class of `events`; the
            message names the field.
        ValueError: `events` is empty, has a class twice or two of one name, `category` contains "-",
            or a number is negative.
        InvalidEventError: `category` breaks the rules for names.

    Example:
        >>> from arvo_event_store import MemoryEventStore
        >>> @dataclass(frozen=True)
        ... class Added:
        ...     amount: int
        >>> counters = Aggregate(
        ...     category="counter", events=[Added], initial=int, evolve=lambda total, e: total + e.amount
        ... )
        >>> async def main() -> None:
        ...     async with MemoryEventStore() as store:
        ...         await counters.act(store, "a", lambda total: [Added(7), Added(1)])
        ...         print(await counters.load(store, "a"))
        >>> asyncio.run(main())
        Loaded(state=8, version=1)
    """

    def __init__(
        self,
        *,
        category: str,
        events: Sequence[type[E]],
        initial: Callable[[], S],
        evolve: Callable[[S, E], S],
        snapshots: SnapshotPolicy[S] | None = None,
        codec: IEventCodec | None = None,
        retries: int = 10,
        cache: int = 0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._category = check_name(category, path="category")
        if "-" in category:
            raise ValueError(f"category must not contain '-', got {category!r}")
        self._types = EventTypes(events, codec=DataclassCodec() if codec is None else codec)
        check_callable(initial, name="initial")
        check_callable(evolve, name="evolve")
        self._initial = initial
        self._evolve = evolve
        if snapshots is not None:
            check_instance(snapshots, kind=SnapshotPolicy, name="snapshots")
        self._snapshots = snapshots
        self._retries = check_count(retries, name="retries")
        self._cache: StateCache[S] = StateCache(check_count(cache, name="cache"))
        self._clock = check_clock(clock)
        self._turns: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()

    @property
    def category(self) -> str:
        """How the names of its streams begin, and the kind of its snapshots."""
        return self._category

    def stream(self, key: str) -> str:
        """Return the stream of a key.

        Raises:
            TypeError: The key is not a string.
            InvalidEventError: The key is empty, or the name breaks the rules for names.
        """
        check_name(key, path="key")
        return check_name(f"{self._category}-{key}", path="stream")

    async def load(self, log: IStreamAccess, key: str, *, upto: int | None = None) -> Loaded[S]:
        """Return the state of a stream.

        Args:
            log: Where to read it.
            key: Which one.
            upto: The last version to fold; None is all.

        Raises:
            TypeError: The key is not a string, or `upto` not a number.
            ValueError: `upto` is negative, or beyond 64 bits.
            InvalidEventError: The key breaks the rules for names.
            UnknownEventError: An event cannot be read by this program.
            TruncatedStreamError: The beginning was cut off, and no snapshot covers it.
            StoreFailure: The database failed, or the store is closed.
        """
        stream = self.stream(key)
        found = await self._load(log, stream, upto=upto)
        await self._check_new(log, stream, found.version)
        return Loaded(state=found.state, version=found.version)

    async def act(
        self, log: IStreamAccess, key: str, decide: Callable[[S], Sequence[E]]
    ) -> Acted[S]:
        """Load the state, decide, and append what was decided.

        An append whose outcome is unknown is sent again, which stores it once.

        Args:
            log: Where to read and append. The call of a reaction stages the append.
            key: Which stream.
            decide: Returns the events to append, given the state; an empty sequence is nothing. It
                may raise any exception to refuse, which passes through unchanged.

        Returns:
            What became of it.

        Raises:
            TypeError: The key is not a string, `decide` did not return a sequence, or an event is not
                of the classes of this aggregate, or one of its fields of another type.
            InvalidEventError: The key, a name or JSON breaks the rules.
            ConflictError: Somebody else was faster, more than `retries` times.
            StreamClosedError: The stream is closed.
            UnknownEventError: An event cannot be read by this program.
            TruncatedStreamError: The beginning was cut off, and no snapshot covers it.
            StoreFailure: The database failed, or the store is closed.
        """
        stream = self.stream(key)
        check_callable(decide, name="decide")
        # Racers of this process would only make each other decide again.
        async with self._turns.setdefault((id(log), stream), asyncio.Lock()):
            for tried in itertools.count():
                before = await self._load(log, stream)
                events = self._decided(decide, before.state)
                state = before.state
                for event in events:
                    # Before the append: what cannot be folded must not be stored.
                    state = self._evolve(state, self._types.read_new(event))
                if not events:
                    await self._check_new(log, stream, before.version)
                    return Acted(state=state, version=before.version, appended=None, retries=tried)
                try:
                    appended = await self._append(log, stream, events, after=before.version)
                except ConflictError as error:
                    await self._before_retry(error, tried, before.version)
                    continue
                after = _Folded(before.version + len(events), state, events[-1].id)
                if appended is not None:
                    await self._keep(log, stream, before, after)
                return Acted(state=state, version=after.version, appended=appended, retries=tried)
        raise AssertionError("the loop ends by returning or raising")

    # --- loading ------------------------------------------------------------

    async def _load(
        self, log: IStreamAccess, stream: str, *, upto: int | None = None
    ) -> _Folded[S]:
        cached = None if upto is not None else self._cache.get(stream)
        if cached is not None:
            found = await self._from_cache(log, stream, cached)
            if found is not None:
                return found
            self._cache.drop(stream)
        try:
            found = await self._from_snapshot(log, stream, upto=upto)
        except TruncatedStreamError:
            # It may have been cut off after the snapshot was read; then there is a newer one.
            found = await self._from_snapshot(log, stream, upto=upto)
        if upto is None and found.last is not None:
            self._cache.put(stream, CachedState(found.version, found.last, found.state))
        return found

    async def _from_cache(
        self, log: IStreamAccess, stream: str, cached: CachedState[S]
    ) -> _Folded[S] | None:
        """Fold what came after a state; None if its own event is not there any more."""
        state, version, last = cached.state, cached.version - 1, cached.id
        async for event in log.read(stream, after=version):
            if event.version != version + 1:
                return None
            if event.version == cached.version:
                if event.id != cached.id:
                    return None
            else:
                state = self._evolve(state, self._types.read(event))
            version, last = event.version, event.id
        if version < cached.version:
            return None
        self._cache.put(stream, CachedState(version, last, state))
        return _Folded(version, state, last)

    async def _from_snapshot(
        self, log: IStreamAccess, stream: str, *, upto: int | None
    ) -> _Folded[S]:
        snapshot = None
        state, version, last = self._initial(), -1, None
        if self._snapshots is not None:
            snapshot = await log.latest_snapshot(stream, kind=self._category, upto=upto)
            if snapshot is not None and snapshot.schema == self._snapshots.schema:
                state, version = self._snapshots.load(snapshot.state), snapshot.version
        async for event in log.read(stream, after=version, upto=upto):
            if event.version != version + 1:
                raise TruncatedStreamError(stream, first_version=event.version)
            state = self._evolve(state, self._types.read(event))
            version, last = event.version, event.id
        if snapshot is not None and snapshot.version > version:
            raise TruncatedStreamError(stream, first_version=snapshot.version + 1)
        if upto is not None and version < upto:
            await self._check_end(log, stream, version)
        return _Folded(version, state, last)

    async def _check_end(self, log: IStreamAccess, stream: str, version: int) -> None:
        """Check that a stream ends at a version, and was not cut off there."""
        async for event in log.read(stream, after=version, limit=1):
            if event.version != version + 1:
                raise TruncatedStreamError(stream, first_version=event.version)

    async def _check_new(self, log: IStreamAccess, stream: str, version: int) -> None:
        """Check that a stream of which nothing was read was not cut off; an append finds that out."""
        head = (await log.heads([stream])).get(stream) if version == -1 else None
        if head is not None and head.first_version > 0:
            raise TruncatedStreamError(stream, first_version=head.first_version)

    # --- acting -------------------------------------------------------------

    def _decided(self, decide: Callable[[S], Sequence[E]], state: S) -> list[NewEvent]:
        objects = decide(state)
        if isinstance(objects, str) or not isinstance(objects, Sequence):
            if asyncio.iscoroutine(objects):
                objects.close()
            raise TypeError(f"decide must return a list of events, got {objects!r}")
        return [self._types.new_event(given) for given in objects]

    async def _append(
        self, log: IStreamAccess, stream: str, events: Sequence[NewEvent], *, after: int
    ) -> Appended | None:
        expect = Expect.NO_STREAM if after == -1 else after
        for tried in itertools.count():
            try:
                return await log.append(stream, events, expect=expect)
            except StoreFailure as error:
                if error.outcome != "unknown" or not error.retryable or tried == self._retries:
                    raise
            await self._clock.sleep(_BACKOFF.delay(tried))
        raise AssertionError("the loop ends by returning or raising")

    async def _before_retry(self, error: ConflictError, tried: int, version: int) -> None:
        """Wait before it is decided again, or raise the error."""
        if error.actual is not None and version == -1 and tried:
            # Twice nothing was read where something is.
            raise TruncatedStreamError(error.stream, first_version=error.actual + 1) from error
        if tried == self._retries:
            raise error
        count_act_retry()
        if tried:
            await self._clock.sleep(_BACKOFF.delay(tried - 1))

    async def _keep(
        self, log: IStreamAccess, stream: str, before: _Folded[S], after: _Folded[S]
    ) -> None:
        """Keep the state after an append, in the cache and, where it is due, as a snapshot."""
        if after.last is not None:
            self._cache.put(stream, CachedState(after.version, after.last, after.state))
        policy = self._snapshots
        if policy is None or not policy.is_due(before=before.version, now=after.version):
            return
        try:
            state = policy.dump(after.state)
            await log.save_snapshot(
                Snapshot(
                    stream=stream,
                    kind=self._category,
                    version=after.version,
                    schema=policy.schema,
                    state=state,
                )
            )
        except Exception:
            # The events are stored, and the state can be folded from them.
            count_snapshot_failure()
            _logger.warning("could not store a snapshot of stream %r", stream, exc_info=True)
