"""Registering and scanning the reactions of a file.

Leases of scans and marks need not survive a power cut: what was written after them does not survive
without them, and what a scanner had marked is marked again.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Mark, ScanPage, UnroutedEvent
from arvo_event_store.stores import (
    check_marks,
    check_name,
    check_reactions,
    check_scan,
    scan_range,
)
from arvo_time.settings import check_flag, check_instance

from . import _reactions, _windows
from ._file import OnFile


class FileScans(OnFile):
    """What `IReactionStore` has for scanners, in a file."""

    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        """See `IReactionStore.register`."""
        given = check_reactions(reactions, group=group)
        check_flag(redefine, name="redefine")
        await self._file.write(
            "REGISTER",
            lambda connection: _reactions.register(connection, group, given, redefine=redefine),
            collection="reaction",
        )
        # Of what others do from now on, the first wait is told.
        changes = self._file.changes
        changes.compare(await self._file.read(None, changes.look))

    async def scan(
        self,
        group: str,
        *,
        owner: UUID,
        ttl: timedelta,
        reactions: Sequence[ReactionSpec],
        limit: int,
        leading: bool = True,
    ) -> ScanPage | None:
        """See `IReactionStore.scan`."""
        given = check_scan(
            group, owner=owner, ttl=ttl, reactions=reactions, limit=limit, leading=leading
        )
        leased = await self._file.write(
            "LEASE_SCAN",
            lambda connection: _reactions.lease_scan(
                connection, group, given, owner=owner, ttl=ttl, now=self._file.clock.now()
            ),
            collection="reaction",
            durable=False,
        )
        if not leased:
            return None
        asked = scan_range(
            {name: scan.scanned for name, scan in leased.items()},
            reactions=given,
            limit=limit,
            leading=leading,
        )
        page, end = await self._file.read(
            "SCAN", lambda connection: _windows.unscanned(connection, asked)
        )
        upto = page.events[-1].position if page.is_cut else asked.upto(page.events, horizon=end)
        return ScanPage(
            group=group,
            owner=owner,
            tokens={name: leased[name].token for name in asked.scanned},
            scanned=asked.scanned,
            events=page.events,
            upto=upto,
            complete=upto >= end,
            others=asked.others,
        )

    async def mark(
        self,
        page: ScanPage,
        marks: Sequence[Mark],
        *,
        unrouted: Sequence[UnroutedEvent] = (),
        progress: Collection[str],
    ) -> bool:
        """See `IReactionStore.mark`."""
        names = check_marks(page, marks, unrouted=unrouted, progress=progress)
        given, aside = tuple(marks), tuple(unrouted)
        raised = await self._file.write_telling(
            "MARK",
            lambda connection: _reactions.mark(
                connection,
                page,
                given,
                unrouted=aside,
                progress=names,
                now=self._file.clock.now(),
            ),
            collection="target",
            durable=False,
        )
        return raised is not None

    async def leave(self, group: str, *, owner: UUID) -> None:
        """See `IReactionStore.leave`."""
        check_name(group, path="group")
        check_instance(owner, kind=UUID, name="owner")
        await self._file.write(
            "LEAVE",
            lambda connection: _reactions.leave(connection, group, owner=owner),
            collection="reaction",
            durable=False,
        )
