"""What workers do with targets in memory."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from arvo_event_store._errors import EventStoreError, NotSupportedError
from arvo_event_store._lease import Finish, Finished, Lease
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._reaction_state import ParkedEvent
from arvo_event_store._scan_page import Ready
from arvo_event_store.stores import (
    FinishRow,
    append_requests,
    check_claim,
    check_lanes,
    check_lease,
    check_leases,
    finish_row,
    lost_lease,
)

from ._contents import InMemory
from ._targets import Target
from ._windows import window


class MemoryClaims(InMemory):
    """The leases of `IReactionStore` in memory."""

    async def ready(self, group: str, *, lanes: Collection[str]) -> Ready:
        """See `IReactionStore.ready`."""
        asked = check_lanes(group, lanes)
        await self._turn()
        now = self._clock.now()
        found: set[str] = set()
        for lane in asked:
            due = self._targets.next_due(group, lanes=[lane])
            free = (each.is_free(now=now) for each in self._targets.work(group, lane=lane))
            if (due is not None and due <= now) or any(free):
                found.add(lane)
        due = self._targets.next_due(group, lanes=asked)
        return Ready(
            lanes=frozenset(found),
            due_after=None if due is None else max(due - now, timedelta(0)),
        )

    async def claim(
        self,
        group: str,
        *,
        owner: UUID,
        ttl: timedelta,
        reactions: Sequence[ReactionSpec],
        lane: str,
        lagging: int,
        leading: int,
        max_events: int,
        max_bytes: int,
    ) -> list[Lease]:
        """See `IReactionStore.claim`."""
        given = check_claim(
            group,
            owner=owner,
            ttl=ttl,
            reactions=reactions,
            lane=lane,
            lagging=lagging,
            leading=leading,
            max_events=max_events,
            max_bytes=max_bytes,
        )
        await self._turn()
        now = self._clock.now()
        specs = self._reactions.agreed(group, given)
        self._targets.wake(group, now=now)
        taken: dict[Target, bool] = {}
        for is_lagging, count in ((True, lagging), (False, leading)):
            work = self._targets.work(group, lane=lane, backward=not is_lagging)
            free = (
                each
                for each in work
                if each.is_free(now=now) and each.reaction in specs and each not in taken
            )
            taken |= dict.fromkeys(tuple(islice(free, count)), is_lagging)
        leases: list[Lease] = []
        for target, is_lagging in taken.items():
            target.owner, target.leased_until = owner, now + ttl
            target.token += 1
            target.attempt += 1
            events, upto = window(
                target,
                specs[target.reaction],
                log=self._log,
                streams=self._streams,
                max_events=max_events,
                max_bytes=max_bytes,
            )
            leases.append(
                Lease(
                    group=group,
                    reaction=target.reaction,
                    key=target.key,
                    reads=target.reads,
                    stream=target.stream,
                    at=target.at,
                    mark=target.mark,
                    token=target.token,
                    attempt=target.attempt,
                    failed=target.failed,
                    lagging=is_lagging,
                    events=events,
                    upto=upto,
                )
            )
        return leases

    async def extend(self, leases: Sequence[Lease], *, ttl: timedelta) -> list[Lease]:
        """See `IReactionStore.extend`."""
        check_leases(leases)
        check_lease(ttl)
        self._check_open()
        until = self._clock.now() + ttl
        standing: list[Lease] = []
        for lease in leases:
            target = self._leased(lease)
            if target is not None:
                target.leased_until = until
                standing.append(lease)
        return standing

    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        """See `IReactionStore.finish`."""
        rows = [finish_row(each) for each in finishes]
        if any(each.work for each in finishes):
            raise NotSupportedError(
                "the store in memory executes no SQL and runs no work; use one with a database"
            )
        await self._turn()
        now = self._clock.now()
        return [
            Finished(error=self._finished(row, finish, now=now))
            for row, finish in zip(rows, finishes, strict=True)
        ]

    async def release(self, leases: Sequence[Lease]) -> None:
        """See `IReactionStore.release`."""
        check_leases(leases)
        self._check_open()
        for lease in leases:
            target = self._leased(lease)
            if target is not None:
                target.end_lease()
                target.attempt = max(target.attempt - 1, 0)

    def _leased(self, lease: Lease) -> Target | None:
        """Return the target of a lease; None if it is lost."""
        found = self._targets.get(lease.group, reaction=lease.reaction, key=lease.key)
        stands = found is not None and found.owner is not None and found.token == lease.token
        return found if stands else None

    def _finished(self, row: FinishRow, finish: Finish, *, now: datetime) -> Exception | None:
        """Store what became of a lease, or return why nothing of it is stored."""
        try:
            requests = append_requests(finish.appends, max_payload_bytes=self._max_payload_bytes)
            target = self._leased(row.lease)
            if target is None:
                return lost_lease(row.lease)
            decided = self._decided(requests)
        except (EventStoreError, TypeError, ValueError) as error:
            return error
        self._settle(target, row, now=now)
        self._write(decided, now=now)
        return None

    def _settle(self, target: Target, row: FinishRow, *, now: datetime) -> None:
        if row.parked and row.position is not None:
            place = (target.group, target.reaction, target.key, row.position)
            self._parked[place] = ParkedEvent(
                group=target.group,
                reaction=target.reaction,
                key=target.key,
                position=row.position,
                error=row.error or "",
                attempts=row.parked_after,
                parked_at=now,
            )
        if row.gone:
            self._targets.remove(target)
            return
        with self._targets.changing(target):
            target.at = max(target.at, row.at)
            target.drop_positions(upto=target.at)
            target.attempt = target.attempt if row.attempt is None else row.attempt
            target.failed = row.failed
            target.error, target.error_position = row.error, row.position
            target.due = row.due if row.due_after is None else now + row.due_after
            target.blocked_at = now if row.blocked else None
            if row.ttl is None:
                target.end_lease()
            else:
                target.leased_until = now + row.ttl
