"""`arvo store migrate`: creates the tables of an event store, or brings them up to date."""

from dataclasses import dataclass

from arvo_cli._backend._migration import run_migration
from arvo_cli._terminal._progress import OnProgress
from arvo_event_handler.memory import MigrationReport

from ._url import migrated_store


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMigrateJob:
    """The options of `arvo store migrate`."""

    store: str
    """The store's URL."""
    dry_run: bool
    """Whether only to show what would be done."""
    yes: bool
    """Whether not to ask."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Migrate the store, and return the exit status.

        Raises:
            CommandError: The store cannot be migrated, or the user does not want it.
        """
        return run_migration(
            self._migrated,
            question="go on?",
            dry_run=self.dry_run,
            yes=self.yes,
            json=self.json,
        )

    async def _migrated(self, dry_run: bool, on_progress: OnProgress | None) -> MigrationReport:
        del on_progress  # it is one transaction
        sql = await migrated_store(self.store, dry_run=dry_run)
        if not sql:
            return MigrationReport(changed=False, summary="the tables are up to date")
        done = "would create the tables or bring" if dry_run else "created the tables or brought"
        return MigrationReport(changed=True, summary=f"{done} them up to date", sql=sql)
