"""Streams that are closed, opened again, archived, listed."""

from datetime import UTC, datetime

from arvo_event_store._append import Append
from arvo_event_store._errors import (
    ConflictError,
    EventIdReusedError,
    InvalidEventError,
    PendingWorkError,
    StreamClosedError,
)
from arvo_event_store._expect import Expect
from arvo_event_store._store import IEventStore
from arvo_event_store._stream import Snapshot
from arvo_event_store._target import PER_EVENT, Wake

from ._expectations import added, listed, refused, some, versions

WAKE = Wake(group="g", reaction="r", lane="l")


class Closing:
    """A closed stream takes no events, and can be read."""

    async def test_a_closed_stream_takes_no_events(self, store: IEventStore) -> None:
        """A21: whatever is expected, alone or with other streams; nothing is stored."""
        await store.append("a", some(2))
        await store.close_stream("a")
        before = await store.heads(["a"])
        for expect in (Expect.ANY, Expect.NO_STREAM, Expect.STREAM_EXISTS, 1, 0):
            error = await refused(store.append("a", some(1), expect=expect), StreamClosedError)
            assert error.stream == "a"
        both = [Append("b", some(1)), Append("a", some(1), wakes=[WAKE])]
        error = await refused(store.append_all(both), StreamClosedError)
        assert error.stream == "a"
        assert await store.heads(["a", "b"]) == before
        assert await versions(store.read_all()) == [0, 1]
        assert [target async for target in store.targets("g")] == []

    async def test_a_known_append_to_a_closed_stream_is_a_duplicate(
        self, store: IEventStore
    ) -> None:
        """A21: known ids are answered first, also if they were used for other content."""
        batch = some(2)
        first = await store.append("a", batch)
        await store.close_stream("a")
        again = await store.append("a", batch)
        assert (again.version, again.duplicate) == (first.version, True)
        await refused(store.append("a", [*batch, added(3)]), EventIdReusedError)
        nothing = await store.append("a", [])
        assert nothing.count == 0

    async def test_a_closed_stream_can_be_read(self, store: IEventStore) -> None:
        """C1: its events, its snapshots and its head, which says since when it is closed."""
        await store.append("a", some(2))
        await store.close_stream("a")
        assert await versions(store.read("a")) == [0, 1]
        assert await versions(store.read_all()) == [0, 1]
        await store.save_snapshot(Snapshot(stream="a", kind="k", version=1, schema=1, state=1))
        assert await store.latest_snapshot("a", kind="k") is not None
        head = (await store.heads(["a"]))["a"]
        assert head.closed is not None
        assert head.closed.utcoffset() == datetime.now(UTC).utcoffset()
        assert head.closed >= head.updated

    async def test_closing_again_keeps_the_time_of_the_first(self, store: IEventStore) -> None:
        """C1: whoever repeats it after a crash changes nothing."""
        await store.append("a", some(1))
        await store.close_stream("a")
        before = await store.heads(["a"])
        await store.close_stream("a")
        assert await store.heads(["a"]) == before

    async def test_a_reopened_stream_goes_on(self, store: IEventStore) -> None:
        """C1: at its next version; opening it again changes nothing."""
        await store.append("a", some(2))
        before = await store.heads(["a"])
        await store.reopen_stream("a")
        assert await store.heads(["a"]) == before
        await store.close_stream("a")
        for _ in range(2):
            await store.reopen_stream("a")
            assert await store.heads(["a"]) == before
        assert (await store.append("a", some(1), expect=1)).version == 2

    async def test_a_stream_with_work_is_not_closed(self, store: IEventStore) -> None:
        """C1: the targets that have it are named, in order, asleep or not, also those of one event."""
        asleep = Wake(group="g", reaction="z", lane="l", due=datetime(2040, 1, 1, tzinfo=UTC))
        each = Wake(group="G", reaction="e", lane="l", to=PER_EVENT)
        await store.append_all([Append("a", some(1), wakes=[asleep, WAKE, each])])
        await store.append_all([Append("b", some(1), wakes=[WAKE])])
        await store.append("c", some(1))
        error = await refused(store.close_stream("a"), PendingWorkError)
        position = (await listed(store.read("a")))[0].position
        assert (error.stream, error.targets) == ("a", (f"G/e/{position}", "g/r/a", "g/z/a"))
        assert (await store.heads(["a"]))["a"].closed is None
        await store.close_stream("c")

    async def test_of_many_targets_with_work_the_first_are_named(self, store: IEventStore) -> None:
        """C1: ten of them, in the order of group, reaction and key."""
        wakes = [Wake(group="g", reaction=f"r{n:02}", lane="l") for n in range(12)]
        await store.append_all([Append("a", some(1), wakes=wakes)])
        error = await refused(store.close_stream("a"), PendingWorkError)
        assert list(error.targets) == [f"g/r{n:02}/a" for n in range(10)]

    async def test_a_stream_must_be_there(self, store: IEventStore) -> None:
        """C1: to be closed, opened again, cut off, or noted as archived."""
        for call in (
            lambda: store.close_stream("a"),
            lambda: store.reopen_stream("a"),
            lambda: store.truncate("a", before=0, snapshot=False),
            lambda: store.record_archive("a", archive="x"),
        ):
            error = await refused(call(), ConflictError)
            assert (error.stream, error.expected, error.actual) == ("a", Expect.STREAM_EXISTS, None)
        assert await store.heads(["a"]) == {}

    async def test_operators_are_refused_wrong_names(self, store: IEventStore) -> None:
        """A10: as all other calls."""
        for name in ("", "a\0b", "\ud800", "x" * 513):
            await refused(store.close_stream(name), InvalidEventError)
            await refused(store.reopen_stream(name), InvalidEventError)
            await refused(store.truncate(name, before=0), InvalidEventError)
            await refused(store.forget(name), InvalidEventError)
            await refused(store.delete_stream(name), InvalidEventError)
            await refused(store.record_archive(name, archive="x"), InvalidEventError)
            await refused(store.record_archive("a", archive=name), InvalidEventError)
        await refused(listed_names(store, prefix="a\0"), InvalidEventError)

    async def test_an_archive_is_recorded_with_its_stream(self, store: IEventStore) -> None:
        """C3: the last one that was recorded; nothing else changes."""
        await store.append("a", some(1))
        before = (await store.heads(["a"]))["a"]
        assert before.archive is None
        for archive in ("/backup/é", "s3://bucket/a", "s3://bucket/a"):
            await store.record_archive("a", archive=archive)
            head = (await store.heads(["a"]))["a"]
            assert (head.archive, head.version) == (archive, before.version)
            assert (head.created, head.updated) == (before.created, before.updated)

    async def test_streams_are_listed_by_their_names(self, store: IEventStore) -> None:
        """C4: by code points, with a literal beginning, as `heads` says."""
        names = ["b", "a", "A", "a%", "a_b", "ab", "é", "日", "🛒", "a\uffff"]
        assert await listed_names(store) == []
        for name in names:
            await store.append(name, some(1))
        await store.close_stream("ab")
        assert await listed_names(store) == sorted(names)
        for prefix in ("", "a", "a%", "a_", "_", "A", "é", "🛒", "x", "a\uffff"):
            expected = [name for name in sorted(names) if name.startswith(prefix)]
            assert await listed_names(store, prefix=prefix) == expected
        heads = await store.heads(names)
        async for head in store.streams():
            assert heads.pop(head.stream) == head
        assert heads == {}

    async def test_many_streams_are_listed_in_pages(self, store: IEventStore) -> None:
        """C4: each once; those that go meanwhile disturb nothing."""
        for begin in range(0, 1200, 300):
            await store.append_all([Append(f"s{n:04}", some(1)) for n in range(begin, begin + 300)])
        found = []
        async for head in store.streams(prefix="s"):
            found.append(head.stream)
            if len(found) % 300 == 10:
                await store.delete_stream(head.stream)
        assert found == [f"s{n:04}" for n in range(1200)]


async def listed_names(store: IEventStore, *, prefix: str = "") -> list[str]:
    """Return the names of the streams that a store lists."""
    return [head.stream async for head in store.streams(prefix=prefix)]
