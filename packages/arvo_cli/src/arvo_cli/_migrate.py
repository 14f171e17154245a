"""`arvo memory migrate`: brings what an older version has stored to the form of this one."""

import asyncio
from dataclasses import dataclass

import typer

from ._confirm import confirm
from ._errors import INTERRUPTED
from ._memory_url import migrated
from ._printable import say
from ._progress import progress


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
                say(plan.summary)
                return 0
            confirm(f"{plan.summary}; are all workers stopped?", yes=self.yes)
            with progress() as on_migrated:
                report = asyncio.run(migrated(self.memory, dry_run=False, on_migrated=on_migrated))
        except KeyboardInterrupt:
            say("interrupted; nothing is lost, run it again to go on")
            return INTERRUPTED
        for problem in report.problems:
            say(problem)
        say(report.summary)
        return 1 if report.problems else 0
