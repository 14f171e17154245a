"""What workers do with the reactions of a file.

Leases of scans and marks need not survive a power cut, as nothing does that was written after them: what
a scanner marked is marked again. A claim must: its token is handed to other systems and must never come
again.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from arvo_event_store._errors import EventStoreError, StoreFailure
from arvo_event_store._lease import Finish, Finished, Lease
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Mark, Ready, ScanPage, UnroutedEvent
from arvo_event_store.stores import (
    Statement,
    Work,
    append_requests,
    check_claim,
    check_lanes,
    check_lease,
    check_leases,
    check_marks,
    check_name,
    check_reactions,
    check_scan,
    finish_row,
    scan_range,
)
from arvo_time.cancellation import take_or_give_back
from arvo_time.settings import check_flag, check_instance

from . import _claims, _reactions, _windows
from ._changes import State, with_state
from ._file import OnFile
from ._finishes import AskedFinish, FinishBatch
from ._reads import horizon


class FileReactions(OnFile):
    """What `IReactionStore` has for workers, in a file."""

    # --- scanning -----------------------------------------------------------

    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        """See `IReactionStore.register`."""
        given = check_reactions(reactions, group=group)
        check_flag(redefine, name="redefine")
        _, state = await self._file.write(
            "REGISTER",
            with_state(
                lambda connection: _reactions.register(connection, group, given, redefine=redefine)
            ),
            collection="reaction",
        )
        # Of what others do from now on, the first wait is told.
        self._file.changes.compare(state)

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
        raised, state = await self._file.write(
            "MARK",
            with_state(
                lambda connection: _reactions.mark(
                    connection,
                    page,
                    given,
                    unrouted=aside,
                    progress=names,
                    now=self._file.clock.now(),
                )
            ),
            collection="target",
            durable=False,
        )
        if raised:
            self._file.changes.tell_own(state)
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

    # --- leases -------------------------------------------------------------

    async def ready(self, group: str, *, lanes: Collection[str]) -> Ready:
        """See `IReactionStore.ready`."""
        asked = check_lanes(group, lanes)
        return await self._file.read(
            "READY",
            lambda connection: _claims.ready(connection, group, asked, now=self._file.clock.now()),
            collection="target",
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
        """See `IReactionStore.claim`. A caller that is cancelled gives back what it claimed."""
        specs = check_claim(
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

        async def take() -> list[Lease]:
            claimed = await self._file.write(
                "CLAIM",
                lambda connection: _claims.claim(
                    connection,
                    group,
                    owner=owner,
                    ttl=ttl,
                    reactions=specs,
                    lane=lane,
                    lagging=lagging,
                    leading=leading,
                    now=self._file.clock.now(),
                ),
                collection="target",
            )
            if not claimed:
                return []
            return await self._file.read(
                "WINDOWS",
                lambda connection: _windows.leases(
                    connection,
                    group,
                    claimed,
                    reactions=specs,
                    max_events=max_events,
                    max_bytes=max_bytes,
                ),
            )

        return await take_or_give_back(take(), give_back=self._give_back)

    async def _give_back(self, leases: Sequence[Lease]) -> None:
        if leases:
            await self.release(leases)

    async def extend(self, leases: Sequence[Lease], *, ttl: timedelta) -> list[Lease]:
        """See `IReactionStore.extend`."""
        given = tuple(check_leases(leases))
        check_lease(ttl)
        return await self._file.write(
            "EXTEND",
            lambda connection: _claims.extend(
                connection, given, ttl=ttl, now=self._file.clock.now()
            ),
            collection="target",
            durable=False,
        )

    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        """See `IReactionStore.finish`.

        Work is a `Statement` with `?` for each parameter, or a function as for
        `SqliteEventStore.write`. What SQLite refuses in it is a `StoreFailure`. It may run more than
        once, and only what its last run did is stored.
        """
        rows = [finish_row(each) for each in finishes]
        self._file.check_open()
        ended: dict[int, Exception | None] = {}
        left: dict[int, AskedFinish] = {}
        for number, (row, finish) in enumerate(zip(rows, finishes, strict=True)):
            try:
                requests = append_requests(
                    finish.appends, max_payload_bytes=self._file.max_payload_bytes
                )
            except (EventStoreError, TypeError, ValueError) as error:
                ended[number] = error
            else:
                work = tuple(_checked(each) for each in finish.work)
                left[number] = AskedFinish(row=row, requests=requests, work=work)
        while left:
            batch = FinishBatch([*left.values()], runner=self._file.runner)
            try:
                ended.update(zip(left, await self._finished(batch), strict=True))
                left.clear()
            except StoreFailure as error:
                if batch.culprit is None or error.outcome != "failed":
                    raise
                # Without it, the others are stored.
                culprit = [*left][batch.culprit]
                del left[culprit]
                ended[culprit] = error
        return [Finished(error=ended[number]) for number in range(len(rows))]

    async def _finished(self, batch: FinishBatch) -> list[Exception | None]:
        before, refused, after = await self._file.write(
            "FINISH",
            lambda connection: (
                horizon(connection),
                batch.run(connection, now=self._file.clock.now()),
                horizon(connection),
            ),
            collection="target",
        )
        if after > before:
            self._file.changes.tell_own(State(horizon=after))
        return [_error(each) for each in refused]

    async def release(self, leases: Sequence[Lease]) -> None:
        """See `IReactionStore.release`."""
        given = tuple(check_leases(leases))
        await self._file.write(
            "RELEASE",
            lambda connection: _claims.release(connection, given),
            collection="target",
            durable=False,
        )


def _checked(work: Work) -> Work:
    if not isinstance(work, Statement) and not callable(work):
        raise TypeError(f"work must be a Statement or a plain function, got {work!r}")
    return work


def _error(refused: BaseException | None) -> Exception | None:
    if refused is None or isinstance(refused, Exception):
        return refused
    raise refused
