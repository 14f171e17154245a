"""Archives of a store, and retention."""

from tempfile import TemporaryDirectory
from typing import Any

from arvo_event_store._aggregate import Loaded
from arvo_event_store._append import Append
from arvo_event_store._archive import Archive
from arvo_event_store._errors import ConflictError
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._retention import RetentionPolicy, RetentionWorker
from arvo_event_store._store import IEventStore

from ._aggregates import Added, counters
from ._closing import WAKE
from ._expectations import added, listed, refused, some, versions


class Archiving:
    """What is archived can be cut off, and comes back as it was."""

    async def test_a_restored_archive_equals_the_original(self, store: IEventStore) -> None:
        """C3: ids, versions, data and causations, after the streams were deleted."""
        first = added(1)
        for name in ("a", "a%", "日本"):
            await store.append(
                name,
                [
                    NewEvent("Added", {"z": [1, 1.0, 2**70], "a": "é\x00"}, meta={"m": 1}),
                    NewEvent("Secret", None, causation=first.id, private={"name": "Ann"}),
                ],
            )
            await store.append(name, some(3))
        before = {name: await _contents(store, name) for name in ("a", "a%", "日本")}
        with TemporaryDirectory() as folder:
            archive = Archive(folder)
            for name in before:
                written = await archive.write(store, name, private=True)
                await store.record_archive(name, archive=written.place)
                await store.delete_stream(name)
            assert await listed(store.read_all()) == []
            for _ in range(2):
                await archive.restore(store)
            assert {name: await _contents(store, name) for name in before} == before
            assert len(await listed(store.read_all())) == 15

    async def test_a_restore_undoes_itself(self, store: IEventStore) -> None:
        """C6: one stream that is there already, and nothing is restored."""
        with TemporaryDirectory() as folder:
            archive = Archive(folder)
            for name in ("a", "b", "c"):
                await store.append(name, some(2))
                await archive.write(store, name)
                await store.delete_stream(name)
            await store.append("b", some(1))
            for dry_run in (True, False):
                error = await refused(archive.restore(store, dry_run=dry_run), ConflictError)
                assert error.stream == "b"
            assert [event.stream for event in await listed(store.read_all())] == ["b"]

    async def test_retention_respects_the_slowest_consumer(self, store: IEventStore) -> None:
        """C4: what a target has to read stays; what is cut off is archived."""
        await store.append("log-a", some(1500))
        await store.append_all([Append("log-a", some(10), wakes=[WAKE])])
        await store.append("log-b", some(1500))
        with TemporaryDirectory() as folder:
            policy = RetentionPolicy(
                "log-", max_count=5, archive=Archive(folder), snapshot_kind=None
            )
            cuts = await RetentionWorker(store, policies=[policy]).run_once()
            assert [(cut.stream, cut.wanted, cut.kept) for cut in cuts] == [
                *(("log-a", 1505, 1500), ("log-b", 1495, 1495)),
            ]
            assert all(cut.error is None for cut in cuts)
            assert await versions(store.read("log-a")) == list(range(1500, 1510))
            head = (await store.heads(["log-b"]))["log-b"]
            assert (head.first_version, head.archive) == (1495, Archive(folder).place("log-b"))
            (archived,) = await Archive(folder).verify("log-b")
            assert archived.last == 1494

    async def test_a_state_can_be_loaded_after_its_events_were_cut_off(
        self, store: IEventStore
    ) -> None:
        """C2: and acted on, from the snapshot that covers them."""
        counter = counters(every=10)
        for _ in range(4):
            await counter.act(store, "a", lambda _: [Added(1)] * 7)
        policy = RetentionPolicy("counter-", max_count=1, snapshot_kind="counter")
        (cut,) = await RetentionWorker(store, policies=[policy]).run_once()
        assert (cut.wanted, cut.kept) == (21, 21)
        assert await counter.load(store, "a") == Loaded(state=28, version=27)
        acted = await counter.act(store, "a", lambda _: [Added(1)])
        assert (acted.state, acted.version) == (29, 28)


async def _contents(store: IEventStore, stream: str) -> list[tuple[Any, ...]]:
    def content(event: Event) -> tuple[Any, ...]:
        return (
            *(event.version, event.id, event.name, repr(event.data), event.meta),
            *(event.correlation, event.causation, event.private),
        )

    return [content(event) for event in await listed(store.read(stream))]
