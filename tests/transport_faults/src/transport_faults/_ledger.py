"""What workers did, and when: lines at the end of one file."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from arvo_core import ArvoEvent

from ._events import number_of

What: TypeAlias = Literal["ready", "received", "begun", "ended", "settled", "lost"]
"""A worker is `ready`; an event was `received` by an inbox, `begun` and `ended` by a handler, `settled` or found `lost` by an inbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line."""

    what: What
    """What happened."""
    worker: int
    """Number of the worker."""
    topic: str = ""
    """The topic of the event."""
    subject: str = ""
    """Its subject."""
    number: int = -1
    """Its number."""
    deliveries: int = 0
    """Of what an inbox did: how often the event was delivered, with this time."""
    at: float = field(default_factory=time.monotonic)
    """When, by a clock that all processes of this machine share."""


class Ledger:
    """A file that any number of processes append to.

    A line is written in one call, so a killed process leaves a whole line or none.

    Args:
        path: The file; made where there is none.
        worker: Who writes.
    """

    def __init__(self, path: Path, *, worker: int = 0) -> None:
        self._path = path
        self._worker = worker
        self._read: list[Entry] = []
        self._begin = 0  # of what was not read
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def book(self, what: What, event: ArvoEvent, *, deliveries: int = 0) -> None:
        """Write what happened to an event."""
        self._write(
            what=what,
            topic=event.to or event.type,
            subject=event.subject,
            number=number_of(event),
            deliveries=deliveries,
        )

    def book_ready(self) -> None:
        """Write that this worker is ready."""
        self._write(what="ready")

    def read(self) -> Sequence[Entry]:
        """Return what all have written, in the order in which it happened."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            found = file.read()
        lines = found[: found.rfind(b"\n") + 1]  # the last one may be on its way
        self._begin += len(lines)
        self._read += (Entry(**json.loads(line)) for line in lines.splitlines())
        return self._read

    def _write(self, **values: Any) -> None:
        entry = Entry(worker=self._worker, **values)
        os.write(self._file, f"{json.dumps(asdict(entry))}\n".encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
