"""`arvo memory import`: writes workflows of JSON Lines into a memory."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from arvo_cli._backend._memory_url import memory_for
from arvo_cli._errors import INTERRUPTED, CommandError, RejectedLineError, one_line
from arvo_cli._input._lines import Line, LineReader
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._progress import progress
from arvo_cli._terminal._report import counted
from arvo_event_handler import (
    IMachineMemory,
    TransactionViolation,
    TransactionViolationCause,
    UnreadableRecordError,
    UnwritableRecordError,
)
from arvo_event_handler.memory import Record, decode_record, to_typescript

_MAX_LINE_BYTES: Final = 256 * 2**20
"""Far above what a memory stores, which has a limit of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """The options of `arvo memory import`."""

    memory: str
    """The memory's URL."""
    file: str
    """Where the lines are; "-" for standard input."""
    replace: bool
    """Whether to replace workflows that are stored already."""
    yes: bool
    """Whether not to ask."""

    def run(self) -> int:
        """Write the workflows into the memory, and return the exit status.

        Raises:
            CommandError: The file cannot be read, the memory cannot be reached or fails, or the
                user does not want it.
        """
        done = _Import()
        with ExitStack() as opened:
            # Closed last: closing a database's own file would drop the locks on it.
            lines = LineReader(self.file, max_bytes=_MAX_LINE_BYTES)
            opened.callback(lines.close)
            confirm("the workflows are written into the memory; go on?", yes=self.yes)
            try:
                asyncio.run(self._run(lines, done))
            except KeyboardInterrupt:
                say(f"interrupted; {done.summary}")
                return INTERRUPTED
            except CommandError:
                if lines.number:
                    say(f"stopped at line {lines.number}; {done.summary}")
                raise
        say(done.summary)
        return 0 if done.is_clean else 1

    async def _run(self, lines: LineReader, done: "_Import") -> None:
        async with memory_for("import into", self.memory) as memory:
            with progress() as bar:
                while (line := await lines.next()) is not None:
                    try:
                        subject, record = _read(line)
                        await self._write(memory, subject, record, done)
                    except (RejectedLineError, UnwritableRecordError) as error:
                        done.rejected += 1
                        say(f"line {line.number}: {one_line(error)}")
                    if bar is not None:
                        bar(line.number, None)

    async def _write(
        self, memory: IMachineMemory, subject: str, record: Record, done: "_Import"
    ) -> None:
        """Write one record, unless it is left out.

        Raises:
            RejectedLineError: The memory has a record that cannot be read, or has changed it since.
            UnwritableRecordError: The memory can never keep it.
        """
        try:
            # Not every memory compares what it has with what `write` is told.
            stored = await memory.read(subject)
            if stored is not None and not self.replace:
                done.existing += 1
                say(f"left as it is, since the memory has it: {subject}")
                return
            await memory.write(subject, record, stored)
        except UnreadableRecordError as error:
            raise RejectedLineError(
                f"the memory has a record of {subject} that cannot be read: {one_line(error)}"
            ) from error
        except TransactionViolation as error:
            if error.cause is not TransactionViolationCause.VERSION_MOVED:
                raise
            raise RejectedLineError(
                f"somebody else wrote {subject} at the same time; import it again"
            ) from error
        done.written += 1


@dataclass(slots=True)
class _Import:
    """What one import has done so far."""

    written: int = 0
    existing: int = 0
    rejected: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether each line was written."""
        return not (self.existing or self.rejected)

    @property
    def summary(self) -> str:
        """What is said at the end."""
        done = f"imported {counted(self.written, 'workflow')}"
        if self.existing:
            done += f"; {self.existing} left as they were (--replace replaces them)"
        if self.rejected:
            done += f"; {counted(self.rejected, 'line')} rejected"
        return done


def _read(line: Line) -> tuple[str, Record]:
    """Return the subject and the record of a line.

    Raises:
        RejectedLineError: It does not have both, or they are not those of one workflow.
    """
    if line.excess:
        raise RejectedLineError(f"it is longer than {_MAX_LINE_BYTES} bytes")
    try:
        said = decode_record(line.content)
    except UnreadableRecordError as error:
        reason = "" if error.__cause__ is None else f": {one_line(error.__cause__)}"
        raise RejectedLineError(f"it is not a JSON object{reason}") from error
    subject, record = said.get("subject"), said.get("record")
    if not isinstance(subject, str) or not isinstance(record, dict):
        raise RejectedLineError(
            "expected an object with `subject`, a string, and `record`, an object, as "
            "`arvo memory export` writes it"
        )
    if not subject or "\0" in subject or any("\ud800" <= each <= "\udfff" for each in subject):
        raise RejectedLineError("its subject is empty, or has NUL or half a character")
    if record.get("subject", subject) != subject:
        raise RejectedLineError("its record is that of another subject")
    try:
        to_typescript(record, subject=subject)
    except UnreadableRecordError as error:
        raise RejectedLineError(f"its record is not that of a workflow: {error}") from error
    return subject, record
