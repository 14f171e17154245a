"""`arvo memory export`: writes the workflows of a memory as JSON Lines."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from arvo_cli._backend._memory_url import memory_for, read_only_memory
from arvo_cli._errors import INTERRUPTED, CommandError, one_line
from arvo_cli._options._values import STDOUT
from arvo_cli._target._target import load_target
from arvo_cli._target._workflow_code import WorkflowCodes
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._listing import local_time
from arvo_cli._terminal._output import LineWriter, open_output
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._progress import progress
from arvo_cli._terminal._report import counted
from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import IMachineMemory, UnreadableRecordError
from arvo_event_handler.memory import (
    IWorkflowQueries,
    Record,
    WorkflowPage,
    WorkflowQuery,
    WorkflowStatus,
    encode_record,
    lacks_machine_definition,
    stored_details,
    to_typescript,
)

_PAGE: Final = 200
"""How many workflows are listed at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """The options of `arvo memory export`."""

    memory: str
    """The memory's URL."""
    file: str
    """Where the lines go; "-" for standard output."""
    target: str | None
    """A folder, or `module:factory`, with the code of the workflows; None without."""
    flavour: str | None
    """Which handlers the factory makes; None for its default."""
    status: frozenset[str]
    """Only workflows of these statuses; empty means all."""
    source: str | None
    """Only workflows of this type; None means all."""
    force: bool
    """Whether to write workflows that wait for time as well."""
    yes: bool
    """Whether not to ask."""

    def run(self) -> int:
        """Write the workflows, and return the exit status.

        Raises:
            CommandError: The memory cannot be read or list its workflows, the target has no
                handlers, the file cannot be written, or the user does not want it replaced.
        """
        try:
            # It is what checks the statuses.
            wanted = cast(frozenset[WorkflowStatus], self.status)
            query = WorkflowQuery(status=wanted, source=self.source)
        except ValueError as error:
            raise CommandError(one_line(error)) from error
        codes = WorkflowCodes(())
        if self.target is not None:
            target = load_target(self.target)
            codes = WorkflowCodes(
                target.create_handlers(ConcurrentMachineMemory(), flavour=self.flavour)
            )
        elif self.flavour is not None:
            raise CommandError("--flavour chooses among the handlers of a TARGET; give one")
        if self.file != STDOUT and Path(self.file).is_file():
            confirm(f"{self.file} exists and is replaced; go on?", yes=self.yes)
        export = _Export(codes, force=self.force)
        try:
            asyncio.run(self._run(query, export))
        except KeyboardInterrupt:
            say(f"interrupted; {export.left_off}")
            return INTERRUPTED
        except CommandError:
            if export.written:
                say(export.left_off)
            raise
        say(export.summary)
        return 1 if export.unreadable or export.waiting else 0

    async def _run(self, query: WorkflowQuery, export: "_Export") -> None:
        async with memory_for("export", read_only_memory(self.memory)) as memory:
            if not isinstance(memory, IWorkflowQueries):
                raise CommandError(
                    "this memory cannot list its workflows, so they cannot be exported"
                )
            page = await _page(memory, query, after=None)
            with ExitStack() as opened:
                # Only now: a database's file is in use, and so refused, once it was asked something.
                out = open_output("FILE", self.file, opened=opened)
                out.begin()
                # A bar would get between lines that go to the same terminal.
                bar = None if self.file == STDOUT else opened.enter_context(progress())
                while True:
                    for workflow in page.workflows:
                        await export.write(workflow.subject, memory, out)
                        if bar is not None:
                            bar(export.done, None)
                    if page.next is None:
                        return
                    page = await _page(memory, query, after=page.next)


async def _page(
    memory: IWorkflowQueries, query: WorkflowQuery, *, after: str | None
) -> WorkflowPage:
    try:
        return await memory.workflows(query, after=after, limit=_PAGE, oldest_first=True)
    except ValueError as error:  # not every memory can search by every field
        raise CommandError(one_line(error)) from error


@dataclass(slots=True)
class _Export:
    """What one export has done so far."""

    codes: WorkflowCodes
    force: bool
    written: int = 0
    unreadable: int = 0
    waiting: int = 0
    _without_definition: bool = field(default=False, init=False)

    async def write(self, subject: str, memory: IMachineMemory, out: LineWriter) -> None:
        """Write the line of one workflow, or say why it is left out.

        Raises:
            OutputError: The line cannot be written.
            MachineMemoryError: The memory fails.
        """
        try:
            record = await memory.read(subject)
            if record is None:  # it was forgotten since it was listed
                return
            timers = () if self.force else stored_details(record, subject=subject).timers
            line = "" if timers else self._line(subject, record)
        except UnreadableRecordError as error:
            self.unreadable += 1
            say(f"cannot read the workflow {subject}: {one_line(error)}")
            return
        if timers:
            self.waiting += 1
            named = ", ".join(f"{timer.name} at {local_time(timer.at)}" for timer in timers)
            say(
                f"left out: {subject} waits for time, and Arvo for TypeScript fires no timers: {named}"
            )
            return
        out.write(line)
        self.written += 1

    def _line(self, subject: str, record: Record) -> str:
        code = self.codes.of(subject)
        shown = to_typescript(
            record,
            subject=subject,
            answering=code.answering,
            machine_definition=code.machine_definition,
        )
        if lacks_machine_definition(shown) and not self._without_definition:
            self._without_definition = True
            say(
                "there are machines whose charts are not at hand, so their records are written "
                "without machineDefinition; give a TARGET that has these machines"
            )
        return encode_record({"subject": subject, "record": shown}).decode()

    @property
    def done(self) -> int:
        """How many workflows have been looked at."""
        return self.written + self.unreadable + self.waiting

    @property
    def left_off(self) -> str:
        """What is said of an export that did not come to its end."""
        return f"the export is not complete: it has {counted(self.written, 'workflow')}"

    @property
    def summary(self) -> str:
        """What is said at the end."""
        said = [f"exported {counted(self.written, 'workflow')}"]
        if self.waiting:
            said.append(
                f"{self.waiting} left out that wait for time (--force writes them for `import`)"
            )
        if self.unreadable:
            said.append(f"{self.unreadable} cannot be read")
        return "; ".join(said)
