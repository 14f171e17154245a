"""Verifies what a store holds: the order of its streams, and the archives of what was cut off."""

from dataclasses import dataclass
from pathlib import Path

from ._archive import Archive, IRetentionStore
from ._errors import ArchiveError
from ._names import check_prefix
from ._stream import StreamHead


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProblem:
    """What is wrong with a stream."""

    stream: str
    """The stream."""
    problem: str
    """What is wrong, as one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsVerified:
    """What `verify_streams` has read and found."""

    streams: int
    """How many streams were read."""
    events: int
    """How many of their events were read."""
    archived: int
    """How many of the streams have an archive on record."""
    problems: tuple[StreamProblem, ...]
    """What is wrong; empty if nothing is."""


async def verify_streams(store: IRetentionStore, *, prefix: str = "") -> StreamsVerified:
    """Read all events, and check what the store promises of its streams.

    * The versions of a stream go from the first that is kept to the last, without gaps.
    * Its positions follow the order of its versions.
    * Its archive, if one is on record, is whole, and has all that was cut off.

    Writers may run meanwhile: a stream that is changed while it is read is read again. Archives are
    looked for where they were recorded, on this machine.

    Args:
        store: The store.
        prefix: How the names of the streams begin, literally.

    Returns:
        What was read, and what is wrong.

    Raises:
        TypeError: `prefix` is not a string.
        InvalidEventError: It breaks the rules for names.
        StoreFailure: The database failed, or the store is closed.

    Example:
        >>> async def main() -> None:
        ...     async with MemoryEventStore() as store:
        ...         await store.append("counter-a", [NewEvent("Added", {"amount": 7})])
        ...         verified = await verify_streams(store)
        ...         print(verified.streams, verified.events, verified.problems)
        >>> asyncio.run(main())
        1 1 ()
    """
    check_prefix(prefix, path="prefix")
    streams = events = archived = 0
    problems: list[StreamProblem] = []
    async for head in store.streams(prefix=prefix):
        found = await _read(store, head)
        if found is None:
            continue
        streams += 1
        events += found.events
        described = [found.problem]
        if found.head.archive is not None:
            archived += 1
            described.append(await _problem_of_archive(found.head, Path(found.head.archive)))
        problems.extend(
            StreamProblem(stream=head.stream, problem=each)
            for each in described
            if each is not None
        )
    return StreamsVerified(
        streams=streams, events=events, archived=archived, problems=tuple(problems)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What reading a stream gave."""

    head: StreamHead
    """The stream as it was then."""
    events: int
    """How many events were read."""
    problem: str | None
    """What is wrong; None if nothing is."""


async def _read(store: IRetentionStore, head: StreamHead) -> _Read | None:
    """Read a stream, and return what is wrong; None if it was deleted meanwhile."""
    while True:
        found = await _read_once(store, head)
        if found.problem is None:
            return found
        # It may have been cut off, or deleted and begun again, while it was read.
        now = (await store.heads([head.stream])).get(head.stream)
        if now is None:
            return None
        if (now.created, now.first_version) == (head.created, head.first_version):
            return found
        head = now


async def _read_once(store: IRetentionStore, head: StreamHead) -> _Read:
    """Read a stream up to its head, and return the first thing that is wrong."""
    events, position = 0, 0
    version = head.first_version
    problem: str | None = None
    async for event in store.read(head.stream, after=version - 1, upto=head.version):
        events += 1
        if event.version != version:
            problem = f"version {version} is missing: version {event.version} is in its place"
        elif event.position <= position:
            problem = (
                f"version {version} has position {event.position}, which is not after position "
                f"{position} of the version before"
            )
        if problem is not None:
            break
        position, version = event.position, version + 1
    if problem is None and version != head.version + 1:
        problem = f"version {version} is missing: the stream is at version {head.version}"
    return _Read(head=head, events=events, problem=problem)


async def _problem_of_archive(head: StreamHead, place: Path) -> str | None:
    """Return what is wrong with the archive of a stream; None if nothing is."""
    archive = Archive(place.parent)
    if Path(archive.place(head.stream)) != place:
        return f"its archive {place} is not a folder of an `Archive`"
    try:
        [archived] = await archive.verify(head.stream)
    except (ArchiveError, OSError) as error:
        return f"its archive: {error}"
    if archived.last + 1 < head.first_version:
        return (
            f"its archive {place} ends at version {archived.last}, and the store begins at version "
            f"{head.first_version}: what is between is lost"
        )
    return None
