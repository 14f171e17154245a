"""What handlers get, and how they decline."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from arvo_event_store._append import Append
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._lease import Statement, Work
from arvo_event_store._log import IStreamAccess
from arvo_event_store._stream import Snapshot, StreamHead
from arvo_time.settings import (
    TEN_YEARS,
    check_callable,
    check_duration,
    check_flag,
    check_instance,
)

E_co = TypeVar("E_co", covariant=True)


class Reject(Exception):
    """Raised by a handler: the event cannot be handled, and no further try would help.

    Its target is blocked, or the event parked, as when all tries are used up.

    Args:
        reason: Why, for the operator.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(check_instance(reason, kind=str, name="reason"))


class Postpone(Exception):
    """Raised by a handler: the event is to be tried later, which outlives the process.

    Args:
        after: How long until then.
        until: The time, with a time zone, by the store's clock.
        counts: Whether it counts as a failed try, so that it ends some day.

    Raises:
        TypeError: An argument is of another type.
        ValueError: Neither `after` nor `until` is given, or both, `after` is negative or above ten
            years, or `until` has no time zone.
    """

    def __init__(
        self,
        *,
        after: timedelta | None = None,
        until: datetime | None = None,
        counts: bool = False,
    ) -> None:
        if (after is None) == (until is None):
            raise ValueError("Postpone takes either after or until")
        if after is not None:
            check_duration(after, name="after", most=TEN_YEARS)
        if until is not None and (
            check_instance(until, kind=datetime, name="until").utcoffset() is None
        ):
            raise ValueError(f"until must have a time zone, got {until!r}")
        super().__init__(f"postponed by {after}" if until is None else f"postponed until {until}")
        self.after: timedelta | None = after
        """How long until then; None if `until` is given."""
        self.until: datetime | None = until
        """The time; None if `after` is given."""
        self.counts: bool = check_flag(counts, name="counts")
        """Whether it counts as a failed try."""


class _Staging:
    """What the calls of reactions and projections have in common."""

    def __init__(
        self,
        *,
        group: str,
        reaction: str,
        key: str,
        attempt: int,
        token: int,
        deadline: Callable[[], datetime],
        stage_work: Callable[[Work], None],
    ) -> None:
        self.group: str = group
        """The group of the reaction."""
        self.reaction: str = reaction
        """The name of the reaction."""
        self.key: str = key
        """Its target: the stream, the position of the event as a decimal, or the key."""
        self.attempt: int = attempt
        """Which try this is, from 1, those of workers that died counted."""
        self.token: int = token
        """The number of the lease, which only grows for a target, so that other systems can refuse
        what comes with a lower one than they have seen."""
        self._deadline = deadline
        self._stage_work = stage_work

    @property
    def deadline(self) -> datetime:
        """Until when nobody else has this target, by this process's clock.

        It moves on as long as the worker can renew its lease.
        """
        return self._deadline()

    def execute(self, sql: str, *parameters: object) -> None:
        """Stage a statement, which is executed in the transaction of the acknowledgement.

        Args:
            sql: The statement, with the placeholders of the store's database.
            parameters: Its parameters.

        Raises:
            TypeError: `sql` is not a string.
            RuntimeError: The handler has ended.
        """
        check_instance(sql, kind=str, name="sql")
        self._stage_work(Statement(sql, parameters))

    def run(self, work: Callable[..., Any]) -> None:
        """Stage a function, which the store calls in the transaction of the acknowledgement.

        Args:
            work: Called as the store's own `write` or `transaction` would call it.

        Raises:
            TypeError: It cannot be called.
            RuntimeError: The handler has ended.
        """
        check_callable(work, name="work")
        self._stage_work(work)


class ReactionCall(_Staging, Generic[E_co]):
    """One try of one event, for the handler of a `Reaction`.

    What it emits, appends and executes is staged: it is stored together with the acknowledgement of the
    event, or not at all. `await aggregate.act(call, ...)` stages what is decided. Reads see what is
    stored, not what is staged.

    Args:
        event: The event.
        data: The object that it stores.
        group: The group of the reaction.
        reaction: The reaction.
        key: Its target.
        attempt: Which try this is.
        token: The number of the lease.
        deadline: Returns when the lease ends.
        log: Where to read.
        new_event: Returns the event that stores an object.
        stage_append: Stages an append.
        stage_work: Stages a statement or a function.
    """

    def __init__(
        self,
        *,
        event: Event,
        data: E_co,
        group: str,
        reaction: str,
        key: str,
        attempt: int,
        token: int,
        deadline: Callable[[], datetime],
        log: IStreamAccess,
        new_event: Callable[[object], NewEvent],
        stage_append: Callable[[Append], None],
        stage_work: Callable[[Work], None],
    ) -> None:
        super().__init__(
            group=group,
            reaction=reaction,
            key=key,
            attempt=attempt,
            token=token,
            deadline=deadline,
            stage_work=stage_work,
        )
        self._event = event
        self._data = data
        self._log = log
        self._new_event = new_event
        self._stage_append = stage_append

    @property
    def event(self) -> Event:
        """The event."""
        return self._event

    @property
    def data(self) -> E_co:
        """The object that the event stores; the event itself where `on` is `[Event]`."""
        return self._data

    def emit(self, stream: str, *objects: object) -> None:
        """Stage events for a stream, whatever it is like.

        Args:
            stream: The stream.
            objects: What happened: objects that the codec of the reaction can store, or `NewEvent`.

        Raises:
            TypeError: The stream is not a string, or the codec cannot store an object.
            ValueError: An object cannot be stored.
            InvalidEventError: The stream breaks the rules for names.
            RuntimeError: The handler has ended.
        """
        self._stage_append(Append(stream, [self._new_event(each) for each in objects]))

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> None:
        """Stage an append. If its stream is not as expected in the end, the event is handled again.

        Args:
            stream: The stream.
            events: What to append. Their correlation and causation are those of the event handled,
                unless they have their own.
            expect: What the stream must be like.

        Raises:
            TypeError: An argument is of another type.
            InvalidEventError: The stream breaks the rules for names.
            NotSupportedError: There is an expectation, and this call has staged events for the stream
                already, which its reads do not see.
            RuntimeError: The handler has ended.
        """
        self._stage_append(Append(stream, events, expect=expect))

    def read(
        self,
        stream: str,
        *,
        after: int = -1,
        upto: int | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Event]:
        """See `IStreamAccess.read`. What is staged is not read."""
        return self._log.read(stream, after=after, upto=upto, backward=backward, limit=limit)

    async def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        """See `IStreamAccess.heads`. What is staged is not counted."""
        return await self._log.heads(streams)

    async def latest_snapshot(
        self, stream: str, *, kind: str, upto: int | None = None
    ) -> Snapshot | None:
        """See `IStreamAccess.latest_snapshot`."""
        return await self._log.latest_snapshot(stream, kind=kind, upto=upto)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `IStreamAccess.save_snapshot`. It is stored now, not staged."""
        await self._log.save_snapshot(snapshot)


@dataclass(frozen=True, kw_only=True)
class BatchItem(Generic[E_co]):
    """An event of a batch."""

    event: Event
    """The event."""
    data: E_co
    """The object that it stores; the event itself where `on` is `[Event]`."""


class Batch(_Staging, Generic[E_co]):
    """One try of some events in the order of the log, for the handler of a `Projection`.

    What it executes is stored together with the acknowledgement of all of them, or not at all. A batch
    that fails is handed out again event by event, so that the one that fails is known.

    Args:
        items: The events.
        group: The group of the projection.
        reaction: The projection.
        key: Its target.
        attempt: Which try this is.
        token: The number of the lease.
        deadline: Returns when the lease ends.
        stage_work: Stages a statement or a function.
    """

    def __init__(
        self,
        *,
        items: Sequence[BatchItem[E_co]],
        group: str,
        reaction: str,
        key: str,
        attempt: int,
        token: int,
        deadline: Callable[[], datetime],
        stage_work: Callable[[Work], None],
    ) -> None:
        super().__init__(
            group=group,
            reaction=reaction,
            key=key,
            attempt=attempt,
            token=token,
            deadline=deadline,
            stage_work=stage_work,
        )
        self._items = items

    def __iter__(self) -> Iterator[BatchItem[E_co]]:
        """Iterate over the events, in order."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return how many events there are, at least one."""
        return len(self._items)
