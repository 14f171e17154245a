"""Questions about the workflows of a prefix, and the index made anew."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from arvo_event_handler import MachineMemoryError, QueryTimeoutError, UnreadableRecordError
from arvo_event_handler.memory import (
    QUERY_TIMEOUT,
    CountRequest,
    PageRequest,
    StoredWorkflow,
    WorkflowCount,
    WorkflowPage,
    WorkflowQuery,
    WorkflowStatus,
)
from arvo_redis import Server
from arvo_time import Clock
from arvo_time.logs import bounded_logger

from . import _scripts as scripts
from ._concurrently import AT_ONCE, all_of
from ._index import Entry, WorkflowIndex
from ._keys import Keys
from ._shown_workflow import ShownWorkflow, shown_workflow
from ._stored_record import RecordLimits

_logger: Final = bounded_logger("arvo_memory_redis")
_BATCH: Final = 100
_LACKS: Final = frozenset({"root", "waits_for", "error", "no_step_since"})
_SWEEP_EVERY: Final = 16
_SWEPT: Final = 16


class _Found(NamedTuple):
    start: int
    workflow: StoredWorkflow


class _Look(NamedTuple):
    """What the hash of an entry says."""

    workflow: StoredWorkflow | None
    """None if it is gone, or damaged."""
    is_gone: bool


class WorkflowTable:
    """The workflows of one prefix: the index, and their hashes, which decide."""

    def __init__(self, server: Server, keys: Keys, *, limits: RecordLimits, clock: Clock) -> None:
        self._server = server
        self._keys = keys
        self._index = WorkflowIndex(server, keys)
        self._limits = limits
        self._clock = clock
        self._ended = 0

    @property
    def index(self) -> WorkflowIndex:
        """The index."""
        return self._index

    async def page(
        self, query: WorkflowQuery, *, after: str | None, limit: int, oldest_first: bool
    ) -> WorkflowPage:
        """Answer `IWorkflowQueries.workflows`."""
        request = PageRequest.of(
            query,
            after=after,
            limit=limit,
            oldest_first=oldest_first,
            cursors="Redis",
            length=1,
        )
        query.check_answerable("a Redis memory", lacks=_LACKS)
        start = None if request.start is None else request.start[0]
        found: list[_Found] = []
        matching = self._matching(query, start, oldest_first=oldest_first, batch=limit + 1)
        async with aclosing(matching):
            async for each in matching:
                found.append(each)
                if len(found) > limit:
                    break
        return request.page([((each.start,), each.workflow) for each in found])

    async def count(self, query: WorkflowQuery, *, at_most: int) -> WorkflowCount:
        """Answer `IWorkflowQueries.count`."""
        request = CountRequest.of(query, at_most=at_most)
        query.check_answerable("a Redis memory", lacks=_LACKS)
        total = 0
        matching = self._matching(query, None, oldest_first=False, batch=at_most + 1)
        async with aclosing(matching):
            async for _ in matching:
                total += 1
                if total > at_most:
                    break
        return request.count(total)

    async def workflow(self, machine_id: str) -> StoredWorkflow | None:
        """Answer `IWorkflowQueries.workflow`."""
        shown = await self._shown(self._keys.machine(machine_id), start=None)
        return None if shown is None else shown.workflow

    async def settle(self, machine_id: str, status: WorkflowStatus) -> None:
        """Bring the index up to date when a workflow has been written with another status.

        Now and then this also looks whether workflows that have ended are still there, so that those
        that expire leave the index. A failure is only logged: the index says too much then, not too
        little.
        """
        self._ended += status != "active"
        look_at = 0 if status == "active" or self._ended % _SWEEP_EVERY else _SWEPT
        try:
            member = self._keys.member(machine_id)
            others = await self._index.settle(member, status, look_at=look_at)
            await self._drop_gone(set(others))
        except MachineMemoryError:
            _logger.warning("could not bring the index of workflows up to date", exc_info=True)

    async def reindex(self) -> int:
        """Make the index anew from all hashes; return how many workflows there are.

        Raises:
            MachineMemoryError: The server failed.
        """
        total = 0
        async with aclosing(self._server.keys(self._keys.machines)) as keys:
            batch: list[bytes] = []
            async for key in keys:
                member = self._keys.member_of(key)
                if member is not None:
                    batch.append(member)
                if len(batch) == AT_ONCE:
                    total += sum(await all_of(map(self._enter_again, batch)))
                    batch = []
            total += sum(await all_of(map(self._enter_again, batch)))
        start: int | None = None
        while entries := await self._index.listed(
            WorkflowQuery(), after=start, oldest_first=True, limit=_BATCH
        ):
            await self._drop_gone({entry.member for entry in entries})
            start = entries[-1].start
        return total

    # --- inside -------------------------------------------------------------

    async def _matching(
        self, query: WorkflowQuery, start: int | None, *, oldest_first: bool, batch: int
    ) -> AsyncGenerator[_Found, None]:
        size = min(batch, _BATCH)
        ends = self._clock.monotonic() + QUERY_TIMEOUT.total_seconds()
        while True:
            entries = await self._index.listed(
                query, after=start, oldest_first=oldest_first, limit=size
            )
            gone: list[bytes] = []
            for entry, look in zip(entries, await self._look(entries), strict=True):
                if look.is_gone:
                    gone.append(entry.member)
                elif look.workflow is not None and query.matches(look.workflow):
                    yield _Found(entry.start, look.workflow)
            if gone and not self._server.read_only:
                self._server.in_background(self._drop(gone))
            if len(entries) < size:
                return
            start = entries[-1].start
            if self._clock.monotonic() > ends:
                raise QueryTimeoutError

    async def _look(self, entries: Sequence[Entry]) -> list[_Look]:
        found: list[_Look] = []
        for first in range(0, len(entries), AT_ONCE):
            part = entries[first : first + AT_ONCE]
            found += await all_of(self._look_at(entry) for entry in part)
        return found

    async def _look_at(self, entry: Entry) -> _Look:
        try:
            shown = await self._shown(self._keys.of_member(entry.member), start=entry.start)
        except UnreadableRecordError:
            _logger.warning("a listing leaves out a workflow that is damaged", exc_info=True)
            return _Look(None, is_gone=False)
        if shown is None:
            return _Look(None, is_gone=True)
        if shown.started not in {None, entry.start} and not self._server.read_only:
            # Another worker began the same workflow, and lost.
            await self._index.enter(entry.member.decode(), shown.workflow, start=shown.started)
        return _Look(shown.workflow, is_gone=False)

    async def _shown(self, key: str, *, start: int | None) -> ShownWorkflow | None:
        fields = await self._server.run(scripts.SHOW, key)
        return shown_workflow(fields, start=start, limits=self._limits)

    async def _enter_again(self, member: bytes) -> int:
        """Enter a workflow as its hash says; return how many that are, one or none."""
        key, name = self._keys.of_member(member), member.decode()
        before: WorkflowStatus | None = None
        try:
            # Until it has not changed meanwhile. Where its hash does not say when it started, the index does.
            while (shown := await self._shown(key, start=0)) is not None:
                workflow = shown.workflow
                if workflow.status == before:
                    return 1
                start = await self._index.enter(name, workflow, start=shown.started)
                await self._server.run(scripts.STAMP, key, start)
                await self._index.settle(name, workflow.status)
                before = workflow.status
        except UnreadableRecordError:
            _logger.warning("the index leaves out a workflow that is damaged", exc_info=True)
        return 0

    async def _drop_gone(self, members: Iterable[bytes]) -> None:
        looked_at = list(members)
        for first in range(0, len(looked_at), AT_ONCE):
            part = looked_at[first : first + AT_ONCE]
            kept = await all_of(
                self._server.ask("EXISTS", self._keys.of_member(member)) for member in part
            )
            gone = [member for member, is_kept in zip(part, kept, strict=True) if not is_kept]
            if gone:
                await self._index.drop(gone)

    async def _drop(self, members: Sequence[bytes]) -> None:
        try:
            await self._index.drop(members)
        except MachineMemoryError:
            _logger.warning("could not remove forgotten workflows from the index", exc_info=True)
