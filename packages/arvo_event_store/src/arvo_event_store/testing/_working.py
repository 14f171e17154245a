"""Work of the user in the database, which is done with the end of a lease, or not at all."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from unittest import SkipTest

from arvo_event_store._append import Append
from arvo_event_store._errors import (
    ConflictError,
    InvalidEventError,
    LeaseLostError,
    NotSupportedError,
)
from arvo_event_store._event import NewEvent
from arvo_event_store._lease import Done, Finish, Statement, Work
from arvo_event_store._store import IEventStore
from arvo_event_store._target import Wake

from ._consumer import TTL, WOKEN, Advance, Consumer, single
from ._expectations import refused, some

_WAKE: Final = Wake(group="g", reaction="r", lane="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTable:
    """A table of the user in the database of a store, empty, with numbers that are there once."""

    insert: Callable[[int], Work]
    """Returns work that inserts a number, and fails if it is there."""
    numbers: Callable[[], Awaitable[list[int]]]
    """Reads the numbers, sorted."""


class Works:
    """What a user does in the database is stored with the acknowledgement, if the store can do it."""

    async def own_table(self, store: IEventStore) -> OwnTable | None:
        """Return a table in the database of the store, for stores that run work; None if it runs none."""
        return None

    async def test_work_is_done_with_the_acknowledgement(self, store: IEventStore) -> None:
        """F10: and with the outputs, in one transaction."""
        table = await self._table(store)
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a", 2)
        lease = await consumer.lease()
        work = [table.insert(2), table.insert(1)]
        outputs = [Append("out", some(1))]
        finish = Finish(lease=lease, at=lease.upto, then=Done(), appends=outputs, work=work)
        assert [each.error for each in await store.finish([finish])] == [None]
        assert await table.numbers() == [1, 2]
        assert (await store.heads(["out"]))["out"].version == 0
        assert (await consumer.target("a")).at == lease.upto

    async def test_work_that_fails_stores_nothing(self, store: IEventStore) -> None:
        """F10: its error is told, and the lease stands; others in the call are not held up."""
        table = await self._table(store)
        consumer = await Consumer(store, [WOKEN]).register()
        for name in ("a", "b"):
            await consumer.wake(name)
        leases = {lease.key: lease for lease in await consumer.claim()}
        before = await consumer.target("a")
        failing = Finish(
            lease=leases["a"],
            at=leases["a"].upto,
            then=Done(),
            appends=[Append("out", some(1), wakes=[_WAKE])],
            work=[table.insert(1), table.insert(1)],
        )
        other = Finish(lease=leases["b"], at=leases["b"].upto, then=Done(), work=[table.insert(2)])
        first, second = await store.finish([failing, other])
        assert first.error is not None
        assert not isinstance(first.error, LeaseLostError)
        assert second.error is None
        assert await table.numbers() == [2]
        assert await store.heads(["out"]) == {}
        assert await consumer.target("a") == before
        await consumer.done(leases["a"])

    async def test_work_with_a_refused_output_is_undone(self, store: IEventStore) -> None:
        """F10: as nothing of the finish is stored."""
        table = await self._table(store)
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        lease = await consumer.lease()
        for append, error in (
            (Append("a", some(1), expect=7), ConflictError),
            (Append("a", [NewEvent("", 1)]), InvalidEventError),
        ):
            finish = Finish(
                lease=lease, at=lease.upto, then=Done(), appends=[append], work=[table.insert(1)]
            )
            finished = single(await store.finish([finish]))
            assert isinstance(finished.error, error)
            assert await table.numbers() == []
        await consumer.done(lease)

    async def test_work_of_a_stale_lease_is_undone(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """F10, F3: whether there are outputs or not."""
        table = await self._table(store)
        consumer = await Consumer(store, [WOKEN]).register()
        await consumer.wake("a")
        old = await consumer.lease()
        await advance(TTL)
        current = await consumer.lease()
        outputs: tuple[Sequence[Append], ...] = ((), [Append("out", some(1))])
        for appends in outputs:
            finish = Finish(
                lease=old, at=old.upto, then=Done(), appends=appends, work=[table.insert(1)]
            )
            finished = single(await store.finish([finish]))
            assert isinstance(finished.error, LeaseLostError)
            assert await table.numbers() == []
        assert await store.heads(["out"]) == {}
        await consumer.done(current)

    async def test_a_store_without_work_says_so(self, store: IEventStore) -> None:
        """F10: nothing of the call is stored, also of finishes that have none."""
        if await self.own_table(store) is not None:
            raise SkipTest("the store runs work with an acknowledgement")
        consumer = await Consumer(store, [WOKEN]).register()
        for name in ("a", "b"):
            await consumer.wake(name)
        leases = await consumer.claim()
        before = await consumer.targets()
        work: Any
        for work in (Statement("select 1"), lambda: None):
            finishes = [
                Finish(lease=leases[0], at=leases[0].upto, then=Done()),
                Finish(lease=leases[1], at=leases[1].upto, then=Done(), work=[work]),
            ]
            await refused(store.finish(finishes), NotSupportedError)
            assert await consumer.targets() == before
        await consumer.done(*leases)

    async def _table(self, store: IEventStore) -> OwnTable:
        table = await self.own_table(store)
        if table is None:
            raise SkipTest("the store runs no work with an acknowledgement")
        return table
