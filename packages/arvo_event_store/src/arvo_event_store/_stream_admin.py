"""What operators do with streams."""

from collections.abc import AsyncIterator
from typing import Protocol

from ._stream import StreamHead


class IStreamAdmin(Protocol):
    """The end of streams: closing, cutting off, forgetting, deleting.

    All of it can be repeated: what is done already changes nothing. A target has work in a stream if it
    reads that stream and its mark is above its watermark, also while it is asleep or blocked. Targets of
    keys, of the log and of events that are replayed hold up nobody: they read what is left when they
    get there.
    """

    def streams(self, *, prefix: str = "") -> AsyncIterator[StreamHead]:
        """List streams in the order of their names, by code points.

        Args:
            prefix: How their names begin, literally.

        Returns:
            An iterator of their heads, read in pages. A stream that appears or goes meanwhile may be
            in it or not.

        Raises:
            TypeError: `prefix` is not a string.
            InvalidEventError: It breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def close_stream(self, stream: str) -> None:
        """Close a stream: later appends raise `StreamClosedError`.

        A stream that is closed stays closed since the first time.

        Raises:
            ConflictError: There is no such stream.
            PendingWorkError: A target has work there.
            InvalidEventError: The name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def reopen_stream(self, stream: str) -> None:
        """Open a closed stream again.

        Raises:
            ConflictError: There is no such stream.
            InvalidEventError: The name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        """Delete the events of a stream below a version. Versions go on as before.

        No event is deleted that a target still has to read. The ids of deleted events are free again,
        their private data is gone, snapshots stay. A closed stream can be truncated too.

        Args:
            stream: The stream.
            before: The first version to keep, at most the one after the last event.
            snapshot: Whether a snapshot of `before - 1` or later must be there, of any kind, so that
                the state can still be loaded. False says that the stream is not an aggregate's.

        Returns:
            The first version that is kept: below `before` if a target still needs what is between,
            above it if the stream was cut off there before.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `before` is below 0 or above the version after the last event, or it is above
                the first version that is kept and no snapshot covers it.
            ConflictError: There is no such stream.
            InvalidEventError: The name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def forget(self, stream: str) -> int:
        """Delete the private data of all events of a stream.

        Returns:
            How many events had any; 0 when it was forgotten before, or there is no such stream.

        Raises:
            InvalidEventError: The name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def delete_stream(self, stream: str) -> bool:
        """Delete a stream with its events, snapshots, private data and idle targets.

        A new stream of that name begins at version 0; positions go on.

        Returns:
            Whether there was one.

        Raises:
            PendingWorkError: A target has work there.
            InvalidEventError: The name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...

    async def record_archive(self, stream: str, *, archive: str) -> None:
        """Record where the archive of a stream lies, as `StreamHead.archive`, in place of the last one.

        Args:
            stream: The stream.
            archive: Where it lies, as a name.

        Raises:
            ConflictError: There is no such stream.
            InvalidEventError: A name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...
