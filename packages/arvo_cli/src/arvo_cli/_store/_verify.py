"""`arvo store verify`: reads streams and archives, and says what is wrong."""

import asyncio
from dataclasses import dataclass

from arvo_cli._terminal._listing import Column, print_json, print_table
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_event_store import Archive, ArchiveError, StreamsVerified, verify_streams

from ._url import looked_into_store

_COLUMNS = (Column("stream", whole=True), Column("problem", whole=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyJob:
    """The options of `arvo store verify`."""

    store: str
    """The store's URL."""
    prefix: str
    """How the names of the streams begin."""
    archive: str | None
    """A folder with archives to verify too, whatever the store has recorded; None for none."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print what is wrong, and return the exit status: 0 if nothing is.

        Raises:
            CommandError: The store cannot be used.
        """
        verified, folder, problem = asyncio.run(self._verified())
        found: list[tuple[str | None, str]] = [
            (each.stream, each.problem) for each in verified.problems
        ]
        if problem is not None:
            found.append((None, problem))
        if self.json:
            report = {
                "streams": verified.streams,
                "events": verified.events,
                "archived": verified.archived,
                "in_archive": folder,
                "problems": [{"stream": stream, "problem": each} for stream, each in found],
            }
            print_json([report])
        elif found:
            print_table(_COLUMNS, ((stream or "-", each) for stream, each in found))
        read = f"{counted(verified.streams, 'stream')}, {counted(verified.events, 'event')}"
        archives = f"{counted(verified.archived, 'recorded archive')}"
        if self.archive is not None and problem is None:
            archives += f", {counted(folder, 'stream')} in {self.archive}"
        say(
            f"{read}, {archives}: {counted(len(found), 'problem') if found else 'nothing is wrong'}"
        )
        return 1 if found else 0

    async def _verified(self) -> tuple[StreamsVerified, int, str | None]:
        """Return what was found in the store, how many streams a folder has, and its problem."""
        async with looked_into_store(self.store) as store:
            verified = await verify_streams(store, prefix=self.prefix)
        if self.archive is None:
            return verified, 0, None
        try:
            archived = await Archive(self.archive).verify()
        except (ArchiveError, OSError) as error:
            return verified, 0, str(error)
        if not archived:
            return verified, 0, f"{self.archive} has no archive"
        return verified, len(archived), None
