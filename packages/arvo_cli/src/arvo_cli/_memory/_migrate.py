"""`arvo memory migrate`: brings what an older version has stored to the form of this one."""

from dataclasses import dataclass

from arvo_cli._backend._memory_url import migrated
from arvo_cli._backend._migration import run_migration
from arvo_cli._terminal._progress import progress


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
        return run_migration(
            lambda dry_run, on_migrated: migrated(
                self.memory, dry_run=dry_run, on_migrated=on_migrated
            ),
            question="are all workers stopped?",
            dry_run=self.dry_run,
            yes=self.yes,
            progress=progress,
        )
