"""Migrates what an older version of a machine memory's package has stored."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final, Protocol, TypeAlias

from ._connect import registered

_GROUP: Final = "arvo.machine_memory_migration"

OnMigrated: TypeAlias = Callable[[int, int], None]
"""Told how many workflows are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """What a migration did, or would do."""

    changed: bool
    """Whether there was anything to do."""
    summary: str
    """One line that says what was done, or would be."""
    sql: str = ""
    """The SQL that was run, or would be; empty if there was none."""
    problems: tuple[str, ...] = ()
    """What could not be migrated, a line each; it was left as it is."""


class MigrateUrl(Protocol):
    """What a package registers so that `migrate_memory` can migrate its memories."""

    async def __call__(
        self, url: str, *, dry_run: bool, on_migrated: OnMigrated | None
    ) -> MigrationReport:
        """Migrate the memory of a URL; see `migrate_memory`."""
        ...


async def migrate_memory(
    url: str, *, dry_run: bool = False, on_migrated: OnMigrated | None = None
) -> MigrationReport:
    """Bring what the machine memory of a URL holds to the form that the installed package uses.

    It may be interrupted at any time and run again. Stop all workers of the version before first.

    A package offers this by an entry point in the group `arvo.machine_memory_migration`: its name is
    the scheme of the URL in lower case, and it names a `MigrateUrl`. It is no method of a memory, as
    opening one comes too late: some are migrated when they are opened, others refuse to be opened
    before.

    Args:
        url: As for `connect_memory`.
        dry_run: Only say what would be done, and change nothing.
        on_migrated: Called as the migration proceeds, where it goes workflow by workflow.

    Returns:
        What was done. A memory whose package offers no migration has nothing to do.

    Raises:
        UnknownMemoryError: It is not a URL, or no installed package knows its scheme.
        ValueError: The package that knows the scheme refuses the URL.
        MachineMemoryError: The backend failed, or holds what only a newer version can read.

    Example:
        >>> asyncio.run(migrate_memory("memory:")).changed
        False
    """
    scheme = registered(url).name
    for entry in entry_points(group=_GROUP, name=scheme):
        migrate: MigrateUrl = entry.load()
        return await migrate(url, dry_run=dry_run, on_migrated=on_migrated)
    return MigrationReport(
        changed=False, summary=f"memories with {scheme}: have no migration; there is nothing to do"
    )
