"""`arvo memory migrate`: brings what an older version has stored to the form of this one."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from arvo_event_handler.memory import OnMigrated

from ._confirm import confirm
from ._errors import INTERRUPTED
from ._memory_url import migrated
from ._printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateJob:
    """The options of `arvo memory migrate`."""

    memory: str
    """The memory's URL."""
    dry_run: bool
    """Whether only to show what would be done."""
    yes: bool
    """Whether not to ask."""

    def run(self) -> int:
        """Migrate the memory, and return the exit status.

        Raises:
            CommandError: The memory cannot be migrated, or the user does not want it.
        """
        try:
            plan = asyncio.run(migrated(self.memory, dry_run=True))
            if self.dry_run or not plan.changed:
                typer.echo(plan.sql, nl=False)
                _say(plan.summary)
                return 0
            confirm(f"{plan.summary}; are all workers stopped?", yes=self.yes)
            with _progress() as on_migrated:
                report = asyncio.run(migrated(self.memory, dry_run=False, on_migrated=on_migrated))
        except KeyboardInterrupt:
            _say("interrupted; nothing is lost, run it again to go on")
            return INTERRUPTED
        for problem in report.problems:
            _say(problem)
        _say(report.summary)
        return 1 if report.problems else 0


@contextmanager
def _progress() -> Iterator[OnMigrated | None]:
    """Show a bar where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _say(text: str) -> None:
    typer.echo(f"arvo: {printable(text)}", err=True)
