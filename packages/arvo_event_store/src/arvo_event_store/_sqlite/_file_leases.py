"""The leases of targets in a file.

A claim survives a power cut: its token is handed to other systems, and must never come again. What
prolongs a lease or gives it back need not.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from arvo_event_store._errors import EventStoreError, StoreFailure
from arvo_event_store._lease import Finish, Finished, Lease
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Ready
from arvo_event_store.stores import (
    Statement,
    Work,
    append_requests,
    check_claim,
    check_lanes,
    check_lease,
    check_leases,
    finish_row,
)
from arvo_time.cancellation import take_or_give_back

from . import _claims, _windows
from ._file import OnFile
from ._finishes import AskedFinish, FinishBatch


class FileLeases(OnFile):
    """What `IReactionStore` has for workers, in a file."""

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
                    reactions=[*specs.values()],
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
        refused = await self._file.write_telling(
            "FINISH",
            lambda connection: batch.run(connection, now=self._file.clock.now()),
            collection="target",
        )
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
