"""Several finishes in one call."""

from dataclasses import replace

from arvo_event_store._append import Append
from arvo_event_store._lease import Done, Finish, Lease, Retried
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT, TargetKind, Wake

from ._consumer import SCANNED, TTL, WOKEN, Advance, Consumer, stored
from ._expectations import some


class Batching:
    """Each finish of a call stands for itself."""

    async def test_finishes_of_one_call_are_independent(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """F1: one that is refused holds up no other; what became of each is told in order."""
        consumer = await Consumer(store, [WOKEN]).register()
        names = [f"s{number}" for number in range(8)]
        for name in names:
            await consumer.wake(name, 2)
        lost = {lease.key: lease for lease in await consumer.claim()}
        await advance(TTL)
        leases = {lease.key: lease for lease in await consumer.claim()}
        await store.append("full", some(1))
        wake = Wake(group="g", reaction="r", lane="default")
        finishes = [
            Finish(lease=leases["s0"], at=leases["s0"].upto, then=Done()),
            Finish(lease=lost["s1"], at=lost["s1"].upto, then=Done()),
            _with_output(leases["s2"], Append("out2", some(2), wakes=[wake])),
            _with_output(leases["s3"], Append("out3", some(1)), Append("full", some(1), expect=7)),
            _with_output(lost["s4"], Append("out4", some(1))),
            Finish(
                lease=leases["s5"],
                at=leases["s5"].at,
                then=Retried(error="x", position=leases["s5"].mark, failed=1, after=TTL),
            ),
            _with_output(leases["s6"], Append("out2", some(1)), Append("full", some(1), expect=0)),
            Finish(lease=leases["s7"], at=leases["s7"].upto, then=Done()),
        ]
        before = {each.key: each for each in await consumer.targets()}
        errors = [each.error for each in await store.finish(finishes)]
        kinds = ["" if error is None else type(error).__name__ for error in errors]
        lost_one, conflict = "LeaseLostError", "ConflictError"
        assert kinds == ["", lost_one, "", conflict, lost_one, "", "", ""]
        after = {each.key: each for each in await consumer.targets()}
        for name in ("s1", "s3", "s4"):
            assert after[name] == before[name]
        for name in ("s0", "s2", "s6", "s7"):
            assert (after[name].at, after[name].leased_until) == (after[name].mark, None)
        assert (after["s5"].failed, after["s5"].error) == (1, "x")
        heads = await store.heads(["out2", "out3", "out4", "full"])
        assert {name: head.version for name, head in heads.items()} == {"out2": 2, "full": 1}
        assert await store.finish([]) == []

    async def test_many_leases_are_finished_at_once(self, store: IEventStore) -> None:
        """F1: of several reactions and kinds, each as it says."""
        specs = [
            replace(SCANNED, name="streams"),
            replace(SCANNED, name="events", to=PER_EVENT),
            replace(SCANNED, name="keys", to=TargetKind.KEY),
        ]
        consumer = await Consumer(store, specs, keys=lambda each: (f"k{each.stream}",)).register()
        for number in range(60):
            await stored(store, f"s{number}", 2)
        await consumer.catch_up(limit=1000)
        leases = await consumer.claim(lagging=1000)
        assert len(leases) == 60 * 4
        await consumer.done(*leases)
        assert len(await consumer.targets()) == 60 * 2
        assert await consumer.claim() == []
        lags = await store.lag("g")
        assert [(each.reaction, each.pending) for each in lags] == [
            *(("events", 0), ("keys", 0), ("streams", 0)),
        ]


def _with_output(lease: Lease, *appends: Append) -> Finish:
    return Finish(lease=lease, at=lease.upto, then=Done(), appends=appends)
