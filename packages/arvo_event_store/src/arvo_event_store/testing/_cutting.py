"""Streams that are cut off, forgotten, deleted."""

from typing import Any

from arvo_event_store._append import Append
from arvo_event_store._errors import PendingWorkError
from arvo_event_store._event import NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._store import IEventStore
from arvo_event_store._stream import Snapshot
from arvo_event_store._target import PER_EVENT, Wake

from ._closing import WAKE
from ._expectations import added, listed, refused, some, versions


class Cutting:
    """What is deleted, what stays, and how a stream goes on."""

    async def test_the_beginning_of_a_stream_is_cut_off(self, store: IEventStore) -> None:
        """C2: from the stream and from the log, in all directions; other streams stay whole."""
        for _ in range(3):
            await store.append_all([Append("a", some(2)), Append("b", some(1))])
        before = await listed(store.read_all())
        assert await store.truncate("a", before=3, snapshot=False) == 3
        assert await versions(store.read("a")) == [3, 4, 5]
        assert await versions(store.read("a", backward=True, limit=9)) == [5, 4, 3]
        assert await versions(store.read("a", after=1, upto=4)) == [3, 4]
        assert await versions(store.read("a", upto=2)) == []
        left = [event for event in before if event.stream == "b" or event.version >= 3]
        assert await listed(store.read_all()) == left
        assert await listed(store.read_all(backward=True)) == left[::-1]
        assert await versions(store.read("b")) == [0, 1, 2]
        head = (await store.heads(["a"]))["a"]
        assert (head.version, head.first_version) == (5, 3)

    async def test_versions_and_positions_go_on_after_a_cut(self, store: IEventStore) -> None:
        """C2: also when nothing is left, and the horizon does not go back."""
        await store.append("a", some(3))
        horizon = await store.horizon()
        assert await store.truncate("a", before=3, snapshot=False) == 3
        assert await listed(store.read("a")) == []
        head = (await store.heads(["a"]))["a"]
        assert (head.version, head.first_version) == (2, 3)
        assert await store.horizon() == horizon
        done = await store.append("a", some(2), expect=2)
        assert done.version == 4
        assert done.position is not None
        assert done.position > horizon
        assert await versions(store.read("a")) == [3, 4]

    async def test_a_cut_can_be_repeated(self, store: IEventStore) -> None:
        """C2: what is cut off already changes nothing, and needs no snapshot."""
        await store.append("a", some(5))
        await store.truncate("a", before=3, snapshot=False)
        before = await store.heads(["a"])
        for again in (3, 1, 0):
            for snapshot in (False, True):
                assert await store.truncate("a", before=again, snapshot=snapshot) == 3
        assert await store.heads(["a"]) == before
        assert await versions(store.read("a")) == [3, 4]
        assert await store.truncate("a", before=4, snapshot=False) == 4

    async def test_a_cut_needs_a_snapshot_that_covers_it(self, store: IEventStore) -> None:
        """C2: of the last version that goes, or a later one, of any kind, of this stream."""
        await store.append("a", some(6))
        await store.append("b", some(6))
        await _snapshot(store, "b", 5)
        for version in (None, 0, 1):
            if version is not None:
                await _snapshot(store, "a", version)
            await refused(store.truncate("a", before=3), ValueError)
        assert await versions(store.read("a")) == [0, 1, 2, 3, 4, 5]
        assert await store.truncate("a", before=2) == 2
        await _snapshot(store, "a", 4, kind="other")
        assert await store.truncate("a", before=3) == 3
        assert await store.truncate("a", before=5) == 5
        await refused(store.truncate("a", before=6), ValueError)
        assert await versions(store.read("a")) == [5]
        for kind, version in (("k", 1), ("other", 4)):
            snapshot = await store.latest_snapshot("a", kind=kind)
            assert snapshot is not None
            assert snapshot.version == version

    async def test_a_wrong_cut_is_refused(self, store: IEventStore) -> None:
        """C2: beyond the next version, below 0, and what is not a number."""
        await store.append("a", some(2))
        await _snapshot(store, "a", 1)
        wrong: tuple[tuple[Any, Any], ...] = (
            *((3, True), (10**6, False), (-1, True), (2**63, True), ("1", True), (True, True)),
            *((1.0, True), (1, 1)),
        )
        for before, snapshot in wrong:
            kind = ValueError if type(before) is int and isinstance(snapshot, bool) else TypeError
            await refused(store.truncate("a", before=before, snapshot=snapshot), kind)
        assert await versions(store.read("a")) == [0, 1]
        assert await store.truncate("a", before=2) == 2

    async def test_a_cut_keeps_what_targets_have_to_read(self, store: IEventStore) -> None:
        """C4: by stream and by event; without them it goes as far as asked."""
        await store.append("a", some(2))
        await store.append_all([Append("a", some(2), wakes=[WAKE])])
        await store.append("a", some(2))
        assert await store.truncate("a", before=6, snapshot=False) == 2
        assert await store.truncate("a", before=1, snapshot=False) == 2
        assert await store.truncate("a", before=4, snapshot=False) == 2
        assert await versions(store.read("a")) == [2, 3, 4, 5]
        each = Wake(group="g", reaction="e", lane="l", to=PER_EVENT)
        await store.append("b", some(1))
        await store.append_all([Append("b", some(1), wakes=[each])])
        assert await store.truncate("b", before=2, snapshot=False) == 1
        await store.append("c", some(1))
        assert await store.truncate("c", before=1, snapshot=False) == 1

    async def test_ids_of_events_that_are_gone_are_free(self, store: IEventStore) -> None:
        """C2: an id is stored once while its event is kept."""
        batch = some(2)
        await store.append("a", batch)
        await store.truncate("a", before=2, snapshot=False)
        again = await store.append("a", batch)
        assert (again.version, again.duplicate) == (3, False)
        await store.delete_stream("a")
        again = await store.append("b", batch)
        assert (again.version, again.duplicate) == (1, False)

    async def test_a_reader_goes_on_while_a_stream_is_cut_off(self, store: IEventStore) -> None:
        """R6: it may miss what is gone, and sees nothing twice."""
        await store.append("a", some(1200))
        for backward in (False, True):
            for read in (lambda **given: store.read("a", **given), store.read_all):
                found = []
                async for event in read(backward=backward):
                    found.append(event.version)
                    if len(found) == 10:
                        await store.truncate("a", before=500, snapshot=False)
                assert found == sorted(set(found), reverse=backward)
                assert set(range(500, 1200)) <= set(found)

    async def test_private_data_is_forgotten(self, store: IEventStore) -> None:
        """C5: of one stream, once; everything else stays as it is."""
        for name in ("a", "ab"):
            await store.append(
                name,
                [
                    NewEvent("Named", {"n": 1}, private={"name": "Ann"}, meta={"m": 1}),
                    added(2),
                    NewEvent("Named", {"n": 3}, private=0),
                ],
            )
        before = await listed(store.read_all())
        assert await store.forget("a") == 2
        after = await listed(store.read_all())
        for old, new in zip(before, after, strict=True):
            assert new.private == (None if old.stream == "a" else old.private)
            assert (new.id, new.data, new.meta) == (old.id, old.data, old.meta)
        assert [event.private async for event in store.read("a")] == [None, None, None]
        assert await store.forget("a") == 0
        assert await store.forget("none") == 0
        again = NewEvent("Named", {"n": 1}, id=before[0].id, private={"name": "Bob"})
        await store.append_all([Append("a", [again], known="skip")])
        assert await store.forget("a") == 0

    async def test_private_data_goes_with_its_event(self, store: IEventStore) -> None:
        """C5: what is cut off has nothing left to forget."""
        await store.append("a", [NewEvent("Named", 1, private=n) for n in range(3)])
        await store.truncate("a", before=2, snapshot=False)
        assert await store.forget("a") == 1
        await store.close_stream("a")
        await store.reopen_stream("a")
        await store.append("a", [NewEvent("Named", 1, private=1)])
        await store.close_stream("a")
        assert await store.forget("a") == 1

    async def test_a_deleted_stream_begins_again_at_version_0(self, store: IEventStore) -> None:
        """C2: open, without snapshots and without an archive, while positions go on."""
        await store.append("a", [*some(2), NewEvent("Named", 1, private=1)])
        await store.append("b", some(1))
        await _snapshot(store, "a", 1)
        await store.record_archive("a", archive="x")
        await store.close_stream("a")
        horizon = await store.horizon()
        assert await store.delete_stream("a")
        assert not await store.delete_stream("a")
        assert await store.heads(["a"]) == {}
        assert await listed(store.read("a")) == []
        assert [event.stream async for event in store.read_all()] == ["b"]
        assert await store.latest_snapshot("a", kind="k") is None
        assert await store.horizon() == horizon
        done = await store.append("a", some(2), expect=Expect.NO_STREAM)
        assert done.version == 1
        assert done.position is not None
        assert done.position > horizon
        head = (await store.heads(["a"]))["a"]
        assert (head.first_version, head.closed, head.archive) == (0, None, None)
        assert await store.forget("a") == 0
        assert await store.latest_snapshot("a", kind="k") is None

    async def test_a_stream_with_work_is_not_deleted(self, store: IEventStore) -> None:
        """C1: nothing of it is gone."""
        await store.append_all([Append("a", some(2), wakes=[WAKE])])
        error = await refused(store.delete_stream("a"), PendingWorkError)
        assert (error.stream, error.targets) == ("a", ("g/r/a",))
        assert await versions(store.read("a")) == [0, 1]
        assert [target.key async for target in store.targets("g")] == ["a"]


async def _snapshot(store: IEventStore, stream: str, version: int, *, kind: str = "k") -> None:
    await store.save_snapshot(
        Snapshot(stream=stream, kind=kind, version=version, schema=1, state=version)
    )
