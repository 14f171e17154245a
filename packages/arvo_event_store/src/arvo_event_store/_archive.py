"""Archives: streams in files, before their events are cut off."""

import asyncio
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from arvo_time.settings import check_count, check_flag
from arvo_time.telemetry import without_trace

from ._append import Append
from ._archive_part import ArchivePart, PartWriter, find_parts, part_events
from ._errors import ArchiveError, ConflictError
from ._event import Event, NewEvent
from ._expect import Expect
from ._log import IEventLog
from ._names import check_name
from ._stream import StreamHead
from ._stream_admin import IStreamAdmin

_PART_EVENTS: Final = 10_000
_PAGE_EVENTS: Final = 500


class IRetentionStore(IEventLog, IStreamAdmin, Protocol):
    """What archives with records, retention and verification need of a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedStream:
    """A stream in an archive, which has its events from the first one without gaps."""

    stream: str
    """Its name."""
    first: int
    """The version of the first event in it; above 0 if the stream was cut off before it was archived,
    and then it cannot be restored."""
    last: int
    """The version of the last event in it."""
    place: str
    """The folder it is in, as `IStreamAdmin.record_archive` takes it."""


class Archive:
    """Streams in a folder: compressed lines of JSON, with a manifest that has their SHA-256.

    Every method may be repeated after a crash, whatever was done. Several processes may use a folder at
    the same time. Private data is not in it unless you ask for it, as `forget` does not reach archives.

    Args:
        folder: Where it is; made when the first stream is written.

    Raises:
        TypeError: `folder` is neither a string nor a path.

    Example:
        >>> import tempfile
        >>> from arvo_event_store import MemoryEventStore
        >>> async def main(folder: str) -> None:
        ...     archive = Archive(folder)
        ...     async with MemoryEventStore() as store, MemoryEventStore() as other:
        ...         await store.append("a", [NewEvent("Added", {"amount": 7})])
        ...         await archive.write(store, "a")
        ...         await archive.restore(other)
        ...         print([event.data async for event in other.read("a")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     asyncio.run(main(folder))
        [{'amount': 7}]
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"folder must be a path, got {folder!r}")
        self._folder = Path(folder)

    def place(self, stream: str) -> str:
        """Return the folder that a stream is in, or would be in.

        Raises:
            InvalidEventError: The name breaks the rules for names.
        """
        return str(self._place(stream))

    async def write(
        self, store: IEventLog, stream: str, *, upto: int | None = None, private: bool = False
    ) -> ArchivedStream:
        """Write the events of a stream that are not in the archive yet.

        Args:
            store: Where to read them.
            stream: The stream.
            upto: The last version to write; None is all that is there.
            private: Whether to write private data too.

        Returns:
            What the archive has of the stream now.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `upto` is below 0 or above the version of the stream.
            InvalidEventError: The name breaks the rules for names.
            ConflictError: There is no such stream.
            ArchiveError: Events between the archive and `upto` were cut off already, the archive is
                damaged, or it is of an earlier stream of that name: use another folder.
            StoreFailure: The database failed, or the store is closed.
            OSError: The folder cannot be written.
        """
        check_flag(private, name="private")
        folder = self._place(stream)
        head = await _head(store, stream)
        if upto is None:
            upto = head.version
        elif check_count(upto, name="upto") > head.version:
            raise ValueError(f"stream {stream!r} ends at version {head.version}, got upto={upto}")
        parts = await asyncio.to_thread(find_parts, folder)
        _check_same(parts, head, folder)
        next_version = parts[-1].last + 1 if parts else head.first_version
        if head.first_version > next_version:
            raise ArchiveError(
                f"stream {stream!r} begins at version {head.first_version}, and {folder} ends at "
                f"{next_version - 1}: what is between was cut off before it was archived"
            )
        while next_version <= upto:
            last = min(next_version + _PART_EVENTS - 1, upto)
            part, content = await _compressed(store, head, next_version, last, private=private)
            if (await _head(store, stream)).created != head.created:
                raise ArchiveError(f"stream {stream!r} was deleted while it was archived")
            await asyncio.to_thread(part.store, folder, content=content)
            parts.append(part)
            next_version = last + 1
        if not parts:
            raise ArchiveError(f"stream {stream!r} has no events to archive")
        return _archived(parts, folder)

    async def record(
        self, store: IRetentionStore, stream: str, *, upto: int | None = None, private: bool = False
    ) -> ArchivedStream:
        """Write the events of a stream, verify them, and record the archive as `StreamHead.archive`.

        After that they may be cut off. Only files with events that the store still has are verified.

        Args:
            store: Where to read them.
            stream: The stream.
            upto: The last version to write; None is all that is there.
            private: Whether to write private data too.

        Returns:
            What the archive has of the stream now.

        Raises:
            TypeError: As for `write`.
            ValueError: As for `write`.
            InvalidEventError: The name breaks the rules for names.
            ConflictError: There is no such stream.
            ArchiveError: As for `write`, or what was written is not what is there.
            StoreFailure: The database failed, or the store is closed.
            OSError: The folder cannot be written.
        """
        head = await _head(store, stream)
        archived = await self.write(store, stream, upto=upto, private=private)
        await self.verify(stream, after=head.first_version - 1)
        if head.archive != archived.place:
            await store.record_archive(stream, archive=archived.place)
        return archived

    async def verify(self, stream: str | None = None, *, after: int = -1) -> list[ArchivedStream]:
        """Read what is in the archive, and check it against its manifests.

        Args:
            stream: Which stream; None is all of them.
            after: Only the files that have later versions than this.

        Returns:
            The streams, in the order of their folders.

        Raises:
            TypeError: An argument is of another type.
            InvalidEventError: The name breaks the rules for names.
            ArchiveError: It is damaged, incomplete, or the stream is not in it.
            OSError: The folder cannot be read.
        """
        folders = [self._place(stream)] if stream is not None else await self._folders()
        return [await asyncio.to_thread(_verified, folder, after) for folder in folders]

    async def restore(self, store: IEventLog, *, dry_run: bool = False) -> list[ArchivedStream]:
        """Append all streams of the archive to a store that has none of them, all or nothing.

        Ids, versions, names, data, meta, correlations and causations are the same again, and private
        data if it was archived. Positions and times are new, and streams follow each other. All events
        are held in memory. Restoring again is no error.

        Args:
            store: Where to append them.
            dry_run: Whether to check everything and append nothing.

        Returns:
            What was restored, or would be.

        Raises:
            TypeError: An argument is of another type.
            ConflictError: The store has a stream of that name, with other events.
            EventIdReusedError: The store has an event with one of the ids elsewhere.
            ArchiveError: The archive is damaged, or has a stream without its beginning.
            StoreFailure: The database failed, or the store is closed.
            OSError: The folder cannot be read.
        """
        check_flag(dry_run, name="dry_run")
        found: list[ArchivedStream] = []
        appends: list[Append] = []
        for folder in await self._folders():
            parts, events = await asyncio.to_thread(_events, folder)
            stream = _archived(parts, folder)
            if stream.first:
                raise ArchiveError(
                    f"stream {stream.stream!r} begins at version {stream.first} in {folder}, so it "
                    "cannot be appended; what was before was never archived"
                )
            found.append(stream)
            appends.append(Append(stream.stream, events, expect=Expect.NO_STREAM))
        if not dry_run:
            with without_trace():  # which is not theirs
                await store.append_all(appends)
            return found
        for name, head in (await store.heads([each.stream for each in found])).items():
            raise ConflictError(name, expected=Expect.NO_STREAM, actual=head.version)
        return found

    def _place(self, stream: str) -> Path:
        check_name(stream, path="stream")
        # Some systems do not tell names by case, so the digest does.
        readable = re.sub(r"[^A-Za-z0-9._-]", "_", stream)[:60]
        return self._folder / f"{readable}-{hashlib.sha256(stream.encode()).hexdigest()[:32]}"

    async def _folders(self) -> list[Path]:
        def found() -> list[Path]:
            # One without a manifest is of a write that was not finished.
            return sorted({path.parent for path in self._folder.glob("*/*.json")})

        return await asyncio.to_thread(found)


async def _head(store: IEventLog, stream: str) -> StreamHead:
    head = (await store.heads([stream])).get(stream)
    if head is None:
        raise ConflictError(stream, expected=Expect.STREAM_EXISTS, actual=None)
    return head


def _check_same(parts: list[ArchivePart], head: StreamHead, folder: Path) -> None:
    if parts and parts[-1].created != head.created.isoformat():
        raise ArchiveError(
            f"{folder} is of a stream {head.stream!r} that was created at {parts[-1].created}, and not "
            f"of the one created at {head.created.isoformat()}; archive it in another folder"
        )


async def _compressed(
    store: IEventLog, head: StreamHead, first: int, last: int, *, private: bool
) -> tuple[ArchivePart, bytes]:
    """Read the events of a part, and return its manifest and content."""
    writer = PartWriter(private=private)
    page: list[Event] = []
    expected = first
    async for event in store.read(head.stream, after=first - 1, upto=last):
        if event.version != expected:
            break
        expected += 1
        page.append(event)
        if len(page) == _PAGE_EVENTS:
            await asyncio.to_thread(writer.add, page)
            page = []
    if expected != last + 1:
        raise ArchiveError(f"stream {head.stream!r} was cut off while it was archived")
    await asyncio.to_thread(writer.add, page)
    return await asyncio.to_thread(
        writer.finish,
        stream=head.stream,
        created=head.created.isoformat(),
        first=first,
        last=last,
    )


def _verified(folder: Path, after: int) -> ArchivedStream:
    parts = find_parts(folder)
    if not parts:
        raise ArchiveError(f"{folder} has no archive of a stream")
    for part in parts:
        if part.last > after:
            for _ in part.events(folder):
                pass
    return _archived(parts, folder)


def _events(folder: Path) -> tuple[list[ArchivePart], list[NewEvent]]:
    parts = find_parts(folder)
    return parts, list(part_events(parts, folder))


def _archived(parts: list[ArchivePart], folder: Path) -> ArchivedStream:
    return ArchivedStream(
        stream=parts[0].stream, first=parts[0].first, last=parts[-1].last, place=str(folder)
    )
