"""What a log does: the protocols that every store implements."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from typing_extensions import override

from ._append import Append, Appended
from ._event import Event, NewEvent
from ._expect import Expect
from ._query import Query
from ._stream import Snapshot, StreamHead


class IStreamAccess(Protocol):
    """What an aggregate needs. A store has it, and the call of a reaction, which stages its appends."""

    def read(
        self,
        stream: str,
        *,
        after: int = -1,
        upto: int | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Event]:
        """Read events of a stream, in the order of their versions.

        Arguments are checked at the call. Events come in pages, and nothing is held between them: an
        iterator may be left at any event. It ends where the stream ended when its first event was
        asked for. Events that were cut off are not there: see `Event.version`, or `StreamHead`.

        Args:
            stream: The stream; one that does not exist has no events.
            after: The version after which to begin; -1 is the beginning.
            upto: The last version; None is the end.
            backward: Whether to begin at the end, with the highest version.
            limit: How many events at most; None is all.

        Returns:
            An iterator of the events.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `after` is below -1, `upto` or `limit` below 0, or one beyond 64 bits.
            InvalidEventError: The name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended | None:
        """Append events to a stream, all or nothing.

        The same append again is no error, even if `expect` no longer holds: it gives what the first
        one gave, with `duplicate=True`. So an append whose outcome is unknown may be sent again.

        What is wrong is found in this order: arguments, known ids, a closed stream, the expectation.

        Args:
            stream: The stream; it begins with its first event.
            events: What to append, in this order. An empty sequence does nothing, and checks neither
                the stream nor the expectation.
            expect: What the stream must be like: the version of its last event, or an `Expect`.

        Returns:
            What became of it; None from a reaction's call, which only stages it.

        Raises:
            TypeError: An argument is of another type; `expect=True` too.
            ValueError: `expect` is a negative number.
            InvalidEventError: A name, an id or JSON breaks the rules, or an id comes twice.
            EventIdReusedError: An id is in the log already, with other content.
            StreamClosedError: The stream is closed.
            ConflictError: The stream is not as expected.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def heads(self, streams: Sequence[str]) -> dict[str, StreamHead]:
        """Return where streams stand; those that do not exist are left out.

        Raises:
            TypeError: `streams` is a string, or a name is not one.
            InvalidEventError: A name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def latest_snapshot(
        self, stream: str, *, kind: str, upto: int | None = None
    ) -> Snapshot | None:
        """Return the snapshot with the highest version, of whatever schema.

        Args:
            stream: The stream.
            kind: The kind of the snapshot.
            upto: The highest version that it may have; None is no bound.

        Returns:
            The snapshot; None if there is none.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `upto` is below 0 or beyond 64 bits.
            InvalidEventError: A name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Store a snapshot. One of the same stream, kind and version is replaced.

        Args:
            snapshot: What to store.

        Raises:
            TypeError: A field is of another type.
            ValueError: Its version is below 0, its schema below 1, or one beyond 64 bits.
            InvalidEventError: A name or the state breaks the rules.
            ConflictError: The stream does not exist, or ends before the snapshot's version.
            StoreFailure: The database failed, or the store is closed.
        """
        ...


class IEventLog(IStreamAccess, Protocol):
    """Streams, and one order over all of their events."""

    @override
    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expect: Expect | int = Expect.ANY
    ) -> Appended:
        """See `IStreamAccess.append`; a log appends now, so there is always an answer."""
        ...

    async def append_all(self, appends: Sequence[Append]) -> list[Appended]:
        """Append to several streams, all or nothing.

        Each append is judged for itself: one that is known gives what it gave the first time, and
        the others are stored. If one is refused, nothing is stored.

        Args:
            appends: What to append; each stream once. Positions follow this order.

        Returns:
            What became of each, in the same order.

        Raises:
            TypeError: An argument is of another type.
            ValueError: A stream comes twice, or `expect` is a negative number.
            InvalidEventError: A name, an id or JSON breaks the rules, or an id comes twice.
            EventIdReusedError: An id is in the log already, with other content.
            StreamClosedError: A stream is closed.
            ConflictError: A stream is not as expected.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    def read_all(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        where: Query | None = None,
        backward: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Event]:
        """Read events of all streams, in the order of their positions, up to the horizon.

        As `read`: arguments are checked at the call, nothing is held between pages, and the iterator
        ends at what was the horizon when its first event was asked for.

        Args:
            after: The position after which to begin; 0 is the beginning.
            upto: The last position; None is the horizon.
            where: Which events; None is all.
            backward: Whether to begin at the end, with the highest position.
            limit: How many events at most; None is all.

        Returns:
            An iterator of the events.

        Raises:
            TypeError: An argument is of another type.
            ValueError: A number is below 0, or beyond 64 bits.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def horizon(self) -> int:
        """Return the position up to which nothing can appear any more; 0 if there are no events.

        It never goes back. A consumer that stops there, and begins after it the next time, misses
        nothing.

        Raises:
            StoreFailure: The database failed, or the store is closed.
        """
        ...
