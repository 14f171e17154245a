"""`arvo store archive`: writes streams to files, and records where they are."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arvo_cli._errors import INTERRUPTED, CommandError, NotReachedError, RefusedError, one_line
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._listing import print_json, print_table
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_event_store import Archive, ArchivedStream, ArchiveError, ConflictError, StreamHead

from ._rows import ARCHIVED_COLUMNS, archived_json, archived_row
from ._url import looked_into_store, store_for


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveJob:
    """The options of `arvo store archive`."""

    store: str
    """The store's URL."""
    folder: str
    """Where the archive is."""
    streams: list[str]
    """The streams; empty for those that `prefix` or `all` choose."""
    prefix: str | None
    """How the names of the streams begin; None for those that are named."""
    all: bool
    """Whether all streams are meant."""
    upto: int | None
    """The last version to write, of a single stream; None for all that is there."""
    private: bool
    """Whether to write private data too."""
    yes: bool
    """Whether not to ask."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Archive the streams, and return the exit status.

        Raises:
            CommandError: The store cannot be used, a stream that the user named is not there, or the
                user does not want it.
        """
        if sum((bool(self.streams), self.prefix is not None, self.all)) != 1:
            raise CommandError("which streams? Give STREAMs, --prefix, or --all")
        if self.upto is not None and len(self.streams) != 1:
            raise CommandError("--upto is a version of one stream; give one STREAM")
        # It is recorded in the store, which other processes open elsewhere.
        folder = Path(self.folder).absolute()
        heads = asyncio.run(self._heads())
        if not heads:
            say("no stream to archive")
            return 0
        confirm(f"Archive {counted(len(heads), 'stream')} in {folder}?", yes=self.yes)
        done = _Done([], {})
        try:
            asyncio.run(self._archive(folder, heads, done))
        except NotReachedError:
            say(f"{counted(len(done.archived), 'stream')} archived")
            raise
        except KeyboardInterrupt:
            say(f"interrupted; {counted(len(done.archived), 'stream')} archived, run it again")
            return INTERRUPTED
        if self.json:
            print_json(map(archived_json, done.archived))
        elif done.archived:
            print_table(ARCHIVED_COLUMNS, map(archived_row, done.archived))
        for stream, why in done.left.items():
            say(f"{stream} left: {why}")
        say(f"{counted(len(done.archived), 'stream')} archived in {folder}")
        return 1 if done.left else 0

    async def _heads(self) -> Sequence[StreamHead]:
        async with looked_into_store(self.store) as store:
            if not self.streams:
                heads = [each async for each in store.streams(prefix=self.prefix or "")]
                # Of the others nothing is left that could be written.
                return [each for each in heads if each.first_version <= each.version]
            found = await store.heads(self.streams)
            for stream in self.streams:
                if stream not in found:
                    raise RefusedError(f"there is no stream {stream!r}; nothing was archived")
            return list(found.values())

    async def _archive(self, folder: Path, heads: Sequence[StreamHead], done: "_Done") -> None:
        archive = Archive(folder)
        async with store_for("archive", self.store) as store:
            for head in heads:
                try:
                    archived = await archive.record(
                        store, head.stream, upto=self.upto, private=self.private
                    )
                except (ArchiveError, ConflictError, ValueError, OSError) as error:
                    done.left[head.stream] = one_line(error)
                else:
                    done.archived.append(archived)


@dataclass(frozen=True, slots=True)
class _Done:
    archived: list[ArchivedStream]
    left: dict[str, str]
