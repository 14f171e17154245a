"""What scanners do with reactions in memory."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._reaction_state import ParkedEvent
from arvo_event_store._scan_page import Mark, ScanPage, UnroutedEvent
from arvo_event_store.stores import (
    check_marks,
    check_name,
    check_reactions,
    check_scan,
    error_text,
    scan_range,
)
from arvo_time.settings import check_flag, check_instance

from ._contents import InMemory
from ._targets import Target


class MemoryScanning(InMemory):
    """The registrations and scans of `IReactionStore` in memory."""

    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        """See `IReactionStore.register`."""
        self._check_open()
        given = check_reactions(reactions, group=group)
        check_flag(redefine, name="redefine")
        moved = self._reactions.register(group, given, horizon=self._log.last, redefine=redefine)
        for name in moved:
            for target in self._targets.of(group, reaction=name):
                with self._targets.changing(target):
                    target.lane = self._reactions.of(group)[name].spec.lane

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
        await self._turn()
        self._reactions.check(group, given)
        now = self._clock.now()
        names = [each.name for each in given if not each.addressed]
        leased = self._reactions.lease(group, names, owner=owner, until=now + ttl, now=now)
        if not leased:
            return None
        asked = scan_range(
            {name: each.scanned for name, each in leased.items()},
            reactions=given,
            limit=limit,
            leading=leading,
        )
        horizon = self._log.last
        events = [
            each.event() for each in self._log.named(asked.names, after=asked.after, limit=limit)
        ]
        upto = asked.upto(events, horizon=horizon)
        return ScanPage(
            group=group,
            owner=owner,
            tokens={name: leased[name].token for name in asked.scanned},
            scanned=asked.scanned,
            events=events,
            upto=upto,
            complete=upto >= horizon,
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
        self._check_open()
        leased = self._reactions.leased(page.group, {name: page.tokens[name] for name in names})
        if leased is None:
            return False
        now = self._clock.now()
        before = {each.spec.name: each.scanned for each in leased}
        raised = [
            self._targets.raise_mark(_marked(mark, group=page.group), now=now)
            for mark in marks
            if mark.mark > before[mark.reaction]
        ]
        for event in unrouted:
            if event.position <= before[event.reaction]:
                continue
            place = (page.group, event.reaction, "?", event.position)
            self._parked[place] = ParkedEvent(
                group=page.group,
                reaction=event.reaction,
                key="?",
                position=event.position,
                error=error_text(event.error),
                attempts=0,
                parked_at=now,
            )
        for each in leased:
            each.scanned = max(each.scanned, page.upto)
        if any(raised):
            self._changes.tell()
        return True

    async def leave(self, group: str, *, owner: UUID) -> None:
        """See `IReactionStore.leave`."""
        self._check_open()
        check_name(group, path="group")
        self._reactions.leave(group, owner=check_instance(owner, kind=UUID, name="owner"))


def _marked(mark: Mark, *, group: str) -> Target:
    return Target(
        group=group,
        reaction=mark.reaction,
        key=mark.key,
        lane=mark.lane,
        reads=mark.reads,
        stream=mark.stream,
        at=mark.at,
        mark=mark.mark,
        listed=sorted({*mark.positions}),
    )
