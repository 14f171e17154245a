"""Moves the workflows of the layout before to the keys of this one.

Each workflow is one key before and after. A key cannot be renamed into another slot of a Cluster, so it
is copied as a whole, with its expiry, and the old one is deleted when the copy stands. Whoever is
killed in between leaves both; the next run finds the copy and deletes the old key.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import MigrationReport, OnMigrated
from arvo_redis import Script, Server

from ._concurrently import AT_ONCE, all_of
from ._keys import Keys
from ._layout import is_marked, mark
from ._queries import WorkflowTable

_UP_TO_DATE: Final = "the keys are up to date"

# Version and last writer name one write. A key that is no hash, by damage, has neither and is moved too.
_WRITTEN: Final = """
local function written()
    local found = redis.pcall('HMGET', KEYS[1], 'version', 'last_owner')
    if found.err then
        return '', ''
    end
    return found[1] or '', found[2] or ''
end
"""
_LOOK: Final = Script(
    name="look",
    writes=False,
    source=_WRITTEN
    + """
local version, last_owner = written()
return {redis.call('DUMP', KEYS[1]), redis.call('PTTL', KEYS[1]), version, last_owner}
""",
)
_PLACE: Final = Script(
    name="place",
    source=_WRITTEN
    + """
-- what DUMP returned, ms until it expires or 0 for never, version, last owner
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('RESTORE', KEYS[1], ARGV[2], ARGV[1])
    return 1
end
local version, last_owner = written()
return version == ARGV[3] and last_owner == ARGV[4] and 1 or 0
""",
)
_DISCARD: Final = Script(
    name="discard",
    source=_WRITTEN
    + """
-- version, last owner
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 1
end
local version, last_owner = written()
if version ~= ARGV[1] or last_owner ~= ARGV[2] then
    return 0
end
redis.call('UNLINK', KEYS[1])
return 1
""",
)


async def migrate(
    server: Server,
    keys: Keys,
    *,
    table: WorkflowTable,
    dry_run: bool,
    on_migrated: OnMigrated | None,
) -> MigrationReport:
    """Move all workflows of a prefix, and index them; see `RedisMachineMemory.migrate`."""
    marked = await is_marked(server, keys)
    total = 0
    async with aclosing(_earlier_keys(server, keys)) as found:
        async for _ in found:
            total += 1
    if dry_run and total:
        return MigrationReport(changed=True, summary=f"would move {_counted(total)}")
    if dry_run:
        return MigrationReport(changed=False, summary=_UP_TO_DATE)
    moving = _Moving(server, keys, total=total, on_migrated=on_migrated)
    # Until a pass finds none: a Cluster that moves slots meanwhile may hide some from a pass.
    while await moving.one_pass():
        pass
    if not marked or moving.moved:
        await table.reindex()
    problems = tuple(moving.problems)
    if not marked and not problems:
        await mark(server, keys)
    if not total:
        return MigrationReport(changed=False, summary=_UP_TO_DATE)
    return MigrationReport(
        changed=True, summary=f"moved {_counted(moving.moved)}", problems=problems
    )


class _Moving:
    """One run of the migration."""

    def __init__(
        self, server: Server, keys: Keys, *, total: int, on_migrated: OnMigrated | None
    ) -> None:
        self._server = server
        self._keys = keys
        self._total = total
        self._on_migrated = on_migrated
        self._kept: set[bytes] = set()
        self.moved = 0
        """How many workflows were moved."""
        self.problems: list[str] = []
        """A line for each workflow that was left."""

    async def one_pass(self) -> bool:
        """Move all that are found; return whether any was moved.

        Raises:
            MachineMemoryError: A workflow was written meanwhile, or the server failed.
        """
        before = self.moved
        batch: list[bytes] = []
        async with aclosing(_earlier_keys(self._server, self._keys)) as found:
            async for key in found:
                if key not in self._kept:
                    batch.append(key)
                if len(batch) == AT_ONCE:
                    await self._move_all(batch)
                    batch = []
        await self._move_all(batch)
        return self.moved > before

    async def _move_all(self, keys: list[bytes]) -> None:
        if not keys:
            return
        await all_of(map(self._move, keys))
        if self._on_migrated is not None:
            self._on_migrated(self.moved, max(self._total, self.moved))

    async def _move(self, key: bytes) -> None:
        target = self._keys.moved(key)
        assert target is not None, "only keys of the layout before are found"  # noqa: S101
        name = key.decode()
        dump, left, *written = await self._server.run(_LOOK, name)
        if dump is None:
            return  # it has expired, or another run has moved it
        expiry = 0 if left < 0 else max(left, 1)
        if not await self._server.run(_PLACE, target, dump, expiry, *written):
            self._kept.add(key)
            self.problems.append(
                f"{name} and {target} hold different records of one workflow, as workers of both "
                "versions were running; delete the wrong key and run this again"
            )
            return
        if not await self._server.run(_DISCARD, name, *written):
            # The copy is out of date, and nobody else may take it for the workflow.
            await self._server.run(_DISCARD, target, *written)
            raise MachineMemoryError(
                f"{name} was written while it was moved, so a worker of the version before is still "
                "running; stop all workers and run this again",
                retryable=True,
                outcome="failed",
            )
        self.moved += 1


async def _earlier_keys(server: Server, keys: Keys) -> AsyncGenerator[bytes, None]:
    async with aclosing(server.keys(keys.earlier_machines)) as found:
        async for key in found:
            if keys.moved(key) is not None:
                yield key


def _counted(workflows: int) -> str:
    return f"{workflows} {'workflow' if workflows == 1 else 'workflows'} to the present keys"
