"""Archives: what is written, verified, restored, and what of it survives a crash."""

import asyncio
import gzip
import hashlib
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typing_extensions import override

from arvo_event_store import (
    Append,
    Archive,
    ArchivedStream,
    ArchiveError,
    ConflictError,
    Event,
    EventIdReusedError,
    InvalidEventError,
    MemoryEventStore,
    NewEvent,
    RetentionPolicy,
    RetentionWorker,
)


def some(count: int) -> list[NewEvent]:
    return [NewEvent("Added", {"amount": amount}) for amount in range(count)]


async def listed(store: MemoryEventStore, stream: str) -> list[Event]:
    return [event async for event in store.read(stream)]


def kept(events: list[Event]) -> list[tuple[Any, ...]]:
    """Return what an archive keeps of events."""
    return [
        *(
            (
                event.stream,
                event.version,
                event.id,
                event.name,
                repr(event.data),
                event.meta,
                event.correlation,
                event.causation,
                event.private,
            )
            for event in events
        )
    ]


def files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(path for path in folder.rglob(pattern) if path.is_file())


def times(folder: Path) -> list[int]:
    return [path.stat().st_mtime_ns for path in files(folder)]


def move_into(target: Path, source: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in files(source):
        path.rename(target / path.name)


async def test_a_restored_archive_equals_the_original(tmp_path: Path) -> None:
    store, archive = MemoryEventStore(), Archive(tmp_path)
    deep: Any = []
    for _ in range(255):
        deep = [deep]
    first = NewEvent("Added", {"z": 1, "a": [1.0, 1, 2**70, "\u2028\x00é🛒\n"]}, meta={"schema": 2})
    names = ("a", "A", "a/b", "..", "日本", "x" * 512, "a%b")
    for name in names:
        await store.append(
            name,
            [
                NewEvent(**{**_fields(first), "id": UUID(int=names.index(name))}),
                NewEvent("Deep", deep, causation=first.id, correlation="c"),
                NewEvent("Secret", None, private={"name": "Ann"}),
            ],
        )
        written = await archive.write(store, name, private=True)
        assert (written.stream, written.first, written.last) == (name, 0, 2)
        assert written.place == archive.place(name)
    verified = await archive.verify()
    assert {each.stream for each in verified} == {*names}
    other = MemoryEventStore()
    assert await archive.restore(other, dry_run=True) == verified
    assert await other.horizon() == 0
    assert await archive.restore(other) == verified
    for name in names:
        assert kept(await listed(other, name)) == kept(await listed(store, name))
    assert await archive.restore(other) == verified
    assert len([event async for event in other.read_all()]) == 3 * len(names)


def _fields(event: NewEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in ("name", "data", "meta")}


async def test_private_data_is_archived_only_on_request(tmp_path: Path) -> None:
    store, other, archive = MemoryEventStore(), MemoryEventStore(), Archive(tmp_path)
    await store.append("a", [NewEvent("Secret", 1, private="Ann")])
    await archive.write(store, "a")
    (path,) = files(tmp_path, "*.gz")
    assert "Ann" not in gzip.decompress(path.read_bytes()).decode()
    await archive.restore(other)
    assert [event.private for event in await listed(other, "a")] == [None]


async def test_what_was_written_is_not_written_again(tmp_path: Path) -> None:
    store, archive = MemoryEventStore(), Archive(tmp_path)
    await store.append("a", some(10))
    assert (await archive.write(store, "a", upto=3)).last == 3
    before = times(tmp_path)
    assert (await archive.write(store, "a", upto=2)).last == 3
    assert (await archive.write(store, "a", upto=3)).last == 3
    assert times(tmp_path) == before
    assert len(files(tmp_path)) == 2
    assert (await archive.write(store, "a")).last == 9
    assert len(files(tmp_path)) == 4
    await store.truncate("a", before=10, snapshot=False)
    await store.append("a", some(1))
    assert (await archive.write(store, "a")).last == 10
    other = MemoryEventStore()
    assert await archive.restore(other) == [
        ArchivedStream(stream="a", first=0, last=10, place=archive.place("a"))
    ]


async def test_a_long_stream_is_written_in_several_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arvo_event_store._archive._PART_EVENTS", 1_000)
    store, other, archive = MemoryEventStore(), MemoryEventStore(), Archive(tmp_path)
    await store.append("a", some(2_001))
    await archive.write(store, "a")
    assert len(files(tmp_path)) == 6
    await archive.restore(other)
    assert kept(await listed(other, "a")) == kept(await listed(store, "a"))


async def test_several_processes_may_write_the_same_stream(tmp_path: Path) -> None:
    """Their files overlap, and are read as one archive."""
    store, other = MemoryEventStore(), MemoryEventStore()
    await store.append("a", some(300))
    ends = [99, 149, 99, 120, 299, 150]
    await asyncio.gather(*(Archive(tmp_path).write(store, "a", upto=end) for end in ends))
    archive = Archive(tmp_path)
    await archive.verify()
    await archive.restore(other)
    assert kept(await listed(other, "a")) == kept(await listed(store, "a"))


async def test_parts_that_overlap_in_part_are_read_once(tmp_path: Path) -> None:
    store, other, archive = MemoryEventStore(), MemoryEventStore(), Archive(tmp_path / "x")
    await store.append("a", some(30))
    for number, ends in enumerate(((9, 19), (14,), (9, 24, 29))):
        part = Archive(tmp_path / str(number))
        for end in ends:
            written = await part.write(store, "a", upto=end)
        move_into(Path(archive.place("a")), Path(written.place))
    assert [each.last for each in await archive.verify()] == [29]
    await archive.restore(other)
    assert kept(await listed(other, "a")) == kept(await listed(store, "a"))


async def test_a_later_stream_of_the_same_name_needs_another_folder(tmp_path: Path) -> None:
    """Its events would be taken for archived, and be cut off."""
    store, archive = MemoryEventStore(), Archive(tmp_path)
    await store.append("a", some(5))
    await archive.write(store, "a")
    await store.delete_stream("a")
    await store.append("a", some(5))
    with pytest.raises(ArchiveError, match="archive it in another folder"):
        await archive.write(store, "a")
    assert (await Archive(tmp_path / "2").write(store, "a")).last == 4


async def test_events_cut_off_before_they_were_archived_are_missed(tmp_path: Path) -> None:
    store, archive = MemoryEventStore(), Archive(tmp_path)
    await store.append("a", some(10))
    await archive.write(store, "a", upto=3)
    await store.truncate("a", before=6, snapshot=False)
    with pytest.raises(ArchiveError, match=r"begins at version 6, and .* ends at 3"):
        await archive.write(store, "a")


async def test_a_stream_without_its_beginning_is_archived_and_not_restored(tmp_path: Path) -> None:
    store, other, archive = MemoryEventStore(), MemoryEventStore(), Archive(tmp_path)
    await store.append("a", some(10))
    await store.append("b", some(1))
    await store.truncate("a", before=6, snapshot=False)
    assert (await archive.write(store, "a")).first == 6
    await archive.write(store, "b")
    with pytest.raises(ArchiveError, match="begins at version 6"):
        await archive.restore(other)
    assert await other.horizon() == 0


async def test_a_stream_that_changes_while_it_is_archived_is_refused(tmp_path: Path) -> None:
    class Changing(MemoryEventStore):
        change: Callable[[], Any] | None = None

        @override
        async def read(self, stream: str, **given: Any) -> Any:
            async for event in super().read(stream, **given):
                if event.version == 600 and self.change is not None:
                    await self.change()
                yield event

    store = Changing()
    changes: list[Callable[[], Any]] = [
        lambda: store.truncate("a", before=1100, snapshot=False),
        lambda: store.delete_stream("a"),
    ]
    for change in changes:
        store = Changing()
        await store.append("a", some(1200))
        store.change = change
        with pytest.raises(ArchiveError, match="was cut off while it was archived"):
            await Archive(tmp_path).write(store, "a")
        assert files(tmp_path) == []


async def test_a_stream_deleted_and_begun_again_while_it_is_archived_is_refused(
    tmp_path: Path,
) -> None:
    """A file with events of both would be of neither."""

    class BegunAgain(MemoryEventStore):
        @override
        async def read(self, stream: str, **given: Any) -> Any:
            async for event in super().read(stream, **given):
                if event.version == 499:
                    await self.delete_stream(stream)
                    await self.append(stream, some(600))
                yield event

    store = BegunAgain()
    await store.append("a", some(600))
    with pytest.raises(ArchiveError, match="was deleted while it was archived"):
        await Archive(tmp_path).write(store, "a")
    assert files(tmp_path) == []


async def test_a_restore_undoes_itself(tmp_path: Path) -> None:
    store, archive = MemoryEventStore(), Archive(tmp_path)
    for name in ("a", "b", "c"):
        await store.append(name, some(3))
        await archive.write(store, name)
    other = MemoryEventStore()
    await other.append("b", some(1))
    for dry_run in (True, False):
        with pytest.raises(ConflictError, match="stream 'b': expected no stream"):
            await archive.restore(other, dry_run=dry_run)
    assert [event.stream async for event in other.read_all()] == ["b"]
    third = MemoryEventStore()
    (first, *_) = await listed(store, "c")
    await third.append("d", [NewEvent("Other", 1, id=first.id)])
    with pytest.raises(EventIdReusedError):
        await archive.restore(third)
    assert [event.stream async for event in third.read_all()] == ["d"]


# --- damage -----------------------------------------------------------------


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _change(**members: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **members}))

    return change


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("0.gz", _cut, "is damaged: its SHA-256"),
        ("0.gz", _flip, "is damaged: its SHA-256"),
        ("0.gz", Path.unlink, "is missing"),
        ("0.json", _cut, "is damaged"),
        ("0.json", lambda path: path.write_text("{}"), "is damaged"),
        ("0.json", lambda path: path.write_text("[]"), "is damaged"),
        ("0.json", _change(more=1), "is damaged"),
        ("0.json", _change(first=1), "it is of versions 1 to 4"),
        ("0.json", _change(count=4), "does not have the 4 events"),
        ("0.json", _change(format=2), "format 2; a newer program"),
        ("5.json", Path.unlink, "after version 4 comes 10"),
        ("5.json", _change(created="2000"), "has streams that were created at"),
    ],
    ids=itertools.count(),
)
async def test_damage_is_found(
    tmp_path: Path, name: str, damage: Callable[[Path], object], message: str
) -> None:
    store, archive = MemoryEventStore(), Archive(tmp_path)
    await store.append("a", some(15))
    for upto in (4, 9, 14):
        await archive.write(store, "a", upto=upto)
    first, ending = name.split(".")
    (path,) = files(tmp_path, f"{first:0>20}-*.{ending}")
    damage(path)
    with pytest.raises(ArchiveError, match=message):
        await archive.verify("a")
    with pytest.raises(ArchiveError, match=message):
        await archive.verify()
    with pytest.raises(ArchiveError, match=message):
        await archive.restore(MemoryEventStore())


async def test_events_that_are_not_those_of_the_manifest_are_found(tmp_path: Path) -> None:
    """Also where the file itself is whole."""
    store, archive = MemoryEventStore(), Archive(tmp_path)
    await store.append("a", some(3))
    await archive.write(store, "a")
    (path,), (manifest,) = files(tmp_path, "*.gz"), files(tmp_path, "*.json")
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    for wrong, message in (
        (lines[:2], "does not have the 3 events"),
        ([*lines, lines[2]], "has version 2 in the place of 3"),
        ([lines[0], lines[2]], "has version 2 in the place of 1"),
        ([lines[0], b"{}\n"], "has a line that is not an event"),
        ([lines[0], b"[]\n"], "has a line that is not an event"),
        ([b"nothing\n"], "has a line that is not an event"),
    ):
        content = gzip.compress(b"".join(wrong))
        path.write_bytes(content)
        _change(sha256=hashlib.sha256(content).hexdigest())(manifest)
        with pytest.raises(ArchiveError, match=message):
            await archive.verify()


async def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    store, archive = MemoryEventStore(), Archive(str(tmp_path))
    await store.append("a", some(3))
    wrong: Any
    for wrong in (7, None, b"/tmp"):
        with pytest.raises(TypeError, match="folder must be a path"):
            Archive(wrong)
    for wrong, error in ((3, ValueError), (-1, ValueError), ("1", TypeError), (True, TypeError)):
        with pytest.raises(error, match="upto"):
            await archive.write(store, "a", upto=wrong)
    with pytest.raises(TypeError, match="private must be a bool"):
        await archive.write(store, "a", private=1)  # type: ignore[arg-type] # that is the point
    with pytest.raises(TypeError, match="dry_run must be a bool"):
        await archive.restore(store, dry_run=1)  # type: ignore[arg-type] # that is the point
    with pytest.raises(InvalidEventError):
        await archive.write(store, "")
    with pytest.raises(ConflictError):
        await archive.write(store, "b")
    with pytest.raises(ArchiveError, match="has no archive of a stream"):
        await archive.verify("a")
    assert await archive.verify() == []
    assert await archive.restore(store) == []


async def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    store = MemoryEventStore()
    await store.append("a", some(3))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        await Archive(tmp_path / "file").write(store, "a")


# --- crashes ----------------------------------------------------------------


class Crash(BaseException):
    """The process dies here."""


class Crashing:
    """Counts the steps that change something, and dies before one of them."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        if self.at == len(self.steps):
            self.at = None
            raise Crash(name)
        self.steps.append(name)


class CrashingStore(MemoryEventStore):
    def __init__(self, crashing: Crashing) -> None:
        super().__init__()
        self._crashing = crashing

    @override
    async def truncate(self, stream: str, **given: Any) -> int:
        self._crashing.step("truncate")
        return await super().truncate(stream, **given)

    @override
    async def record_archive(self, stream: str, *, archive: str) -> None:
        self._crashing.step("record")
        await super().record_archive(stream, archive=archive)


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> Crashing:
    """Every change of a file is a step, too. Nothing is synced, as it is not the machine that dies."""
    crashing, replace = Crashing(), os.replace

    def replaced(*given: Any) -> None:
        crashing.step("replace")
        replace(*given)

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "fsync", lambda _: crashing.step("fsync"))
    return crashing


async def _retained(folder: Path, crashing: Crashing, crashes: tuple[int, ...]) -> tuple[Any, ...]:
    """Archive and cut off a stream, dying at some steps; return what there is in the end."""
    store = CrashingStore(crashing)
    await store.append_all([Append("a", [NewEvent("Added", n, id=UUID(int=n)) for n in range(12)])])
    archive = Archive(folder)
    policy = RetentionPolicy("", max_count=2, archive=archive, snapshot_kind=None)
    for at in (*crashes, None):
        crashing.steps, crashing.at = [], at
        try:
            await RetentionWorker(store, policies=[policy]).run_once()
        except Crash:
            continue
    restored = MemoryEventStore()
    await archive.restore(restored)
    head = (await store.heads(["a"]))["a"]
    left = [event.version for event in await listed(store, "a")]
    again = [(event.version, event.data, event.id) for event in await listed(restored, "a")]
    return head.version, head.first_version, head.archive == archive.place("a"), left, again


async def test_archiving_ends_the_same_wherever_it_crashed_twice(
    tmp_path: Path, crashing: Crashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two parts written, synced and renamed, recorded, cut off three times: each pair of steps."""
    monkeypatch.setattr("arvo_event_store._archive._PART_EVENTS", 6)
    monkeypatch.setattr("arvo_event_store._retention._ROWS", 4)
    expected = await _retained(tmp_path / "whole", crashing, ())
    steps = list(crashing.steps)
    assert steps == [*(["fsync", "replace", "fsync"] * 4), "record", *["truncate"] * 3]
    assert expected[:4] == (11, 10, True, [10, 11])
    assert expected[4] == [(n, n, UUID(int=n)) for n in range(10)]
    pairs = list(itertools.product(range(len(steps)), repeat=2))
    for pair in pairs:
        end = await _retained(tmp_path / "-".join(map(str, pair)), crashing, pair)
        assert end == expected, pair
    print(f"{len(pairs)} pairs of crashes, each with the same end")  # noqa: T201
