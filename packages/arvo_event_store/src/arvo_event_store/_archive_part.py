"""A part of an archive: the events of one stream from one version to another, in two files.

The events are lines of JSON, compressed; the manifest beside them says what they must be. It is written
last, so a part without one was never finished, and is written anew.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final
from uuid import UUID

from ._errors import ArchiveError
from ._event import Event, NewEvent

_FORMAT: Final = 1
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePart:
    """The manifest of a part."""

    stream: str
    """The stream."""
    created: str
    """When the stream was created, as text; a later stream of the same name has another time."""
    first: int
    """The version of the first event."""
    last: int
    """The version of the last event."""
    count: int
    """How many events there are."""
    private: bool
    """Whether private data is in it."""
    sha256: str
    """The SHA-256 of the file of events, as hexadecimal digits."""
    format: int = _FORMAT
    """The format of both files."""

    def name(self) -> str:
        """Return the name of its files, without their endings."""
        return f"{self.first:020}-{self.last:020}"

    def store(self, folder: Path, *, content: bytes) -> None:
        """Write both files, so that they survive a crash of the machine.

        Raises:
            OSError: The folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{self.name()}.jsonl.gz", content)
        _write(folder / f"{self.name()}.json", json.dumps(asdict(self)).encode())

    def events(self, folder: Path) -> Iterator[tuple[int, NewEvent]]:
        """Yield its events with their versions, and check that they are what was written.

        Raises:
            ArchiveError: They are not.
            OSError: The file cannot be read.
        """
        path = folder / f"{self.name()}.jsonl.gz"
        if not path.exists():
            raise ArchiveError(f"{path} is missing; restore it from a backup")
        if _sha256(path) != self.sha256:
            raise ArchiveError(f"{path} is damaged: its SHA-256 is not {self.sha256}")
        expected = self.first
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                version, event = _parsed(line, path)
                if version != expected or version > self.last:
                    raise ArchiveError(f"{path} has version {version} in the place of {expected}")
                expected += 1
                yield version, event
        if expected != self.last + 1 or self.count != expected - self.first:
            raise ArchiveError(f"{path} does not have the {self.count} events that it must have")


def find_parts(folder: Path) -> list[ArchivePart]:
    """Return the parts of a folder that were finished, in their order, without gaps.

    Where several processes wrote the same events, parts overlap; those that have nothing of their own
    are left out.

    Raises:
        ArchiveError: A manifest is damaged, or of a newer program, or versions are missing.
        OSError: The folder cannot be read.
    """
    found = [_manifest(path) for path in folder.glob("*.json")]
    parts: list[ArchivePart] = []
    for part in sorted(found, key=lambda each: (each.first, -each.last)):
        if not parts:
            parts.append(part)
        elif part.created != parts[-1].created:
            raise ArchiveError(
                f"{folder} has streams that were created at {parts[-1].created} and {part.created}"
            )
        elif part.first > parts[-1].last + 1:
            raise ArchiveError(
                f"{folder} is not complete: after version {parts[-1].last} comes {part.first}"
            )
        elif part.last > parts[-1].last:
            parts.append(part)
    return parts


def part_events(parts: Iterable[ArchivePart], folder: Path) -> Iterator[NewEvent]:
    """Yield the events of parts that `find_parts` returned, each once; see `ArchivePart.events`."""
    last = -1
    for part in parts:
        for version, event in part.events(folder):
            if version > last:
                yield event
        last = part.last


class PartWriter:
    """Compresses the events of a part. Its methods take time, so they run in a thread.

    Args:
        private: Whether private data is to be in it.
    """

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._gzip = zlib.compressobj(wbits=31)  # with a header that has no time
        self._content: list[bytes] = []

    def add(self, events: Iterable[Event]) -> None:
        """Add events."""
        for event in events:
            self._content.append(self._gzip.compress(_line(event, private=self._private)))

    def finish(
        self, *, stream: str, created: str, first: int, last: int
    ) -> tuple[ArchivePart, bytes]:
        """Return the manifest and the content of the file of events."""
        content = b"".join([*self._content, self._gzip.flush()])
        part = ArchivePart(
            stream=stream,
            created=created,
            first=first,
            last=last,
            count=last + 1 - first,
            private=self._private,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        return part, content


def _line(event: Event, *, private: bool) -> bytes:
    members = {
        "version": event.version,
        "id": str(event.id),
        "name": event.name,
        "data": event.data,
        "meta": event.meta,
        "correlation": event.correlation,
        "causation": None if event.causation is None else str(event.causation),
        "created": event.created.isoformat(),
    }
    if private and event.private is not None:
        members["private"] = event.private
    text = json.dumps(members, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"{text}\n".encode()


def _parsed(line: str, path: Path) -> tuple[int, NewEvent]:
    try:
        found = json.loads(line)
        causation = found["causation"]
        return found["version"], NewEvent(
            found["name"],
            found["data"],
            id=UUID(found["id"]),
            correlation=found["correlation"],
            causation=None if causation is None else UUID(causation),
            meta=found["meta"],
            private=found.get("private"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{path} has a line that is not an event: {error!r}") from error


def _manifest(path: Path) -> ArchivePart:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        if found["format"] > _FORMAT:
            raise ArchiveError(f"{path} has format {found['format']}; a newer program can read it")
        part = ArchivePart(**found)
        if path.name != f"{part.name()}.json":
            raise ArchiveError(f"{path} is damaged: it is of versions {part.first} to {part.last}")
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{path} is damaged: {error!r}") from error
    return part


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write a file, all or nothing, whoever else writes the same one."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
