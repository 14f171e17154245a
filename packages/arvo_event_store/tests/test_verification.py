"""What a store promises of its streams is verified: their order, and what was archived of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import (
    Archive,
    Event,
    InvalidEventError,
    MemoryEventStore,
    NewEvent,
    StreamHead,
    verify_streams,
)


def some(count: int) -> list[NewEvent]:
    return [NewEvent("Added", amount) for amount in range(count)]


class Meddled(MemoryEventStore):
    """A store whose rows somebody has changed: what `meddle` makes of a stream's events is read."""

    def meddle(self, events: list[Event]) -> list[Event]:
        return events

    @override
    def read(self, stream: str, **given: Any) -> AsyncIterator[Event]:
        return self._meddled(stream, **given)

    async def _meddled(self, stream: str, **given: Any) -> AsyncIterator[Event]:
        for event in self.meddle([each async for each in super().read(stream, **given)]):
            yield event


class Lost(Meddled):
    @override
    def meddle(self, events: list[Event]) -> list[Event]:
        return [each for each in events if each.version != 1]


class Short(Meddled):
    @override
    def meddle(self, events: list[Event]) -> list[Event]:
        return events[:-1]


class Disordered(Meddled):
    @override
    def meddle(self, events: list[Event]) -> list[Event]:
        positions = [each.position for each in events]
        versions = sorted(events, key=lambda each: each.version)
        given = zip(versions, reversed(positions), strict=True)
        return [Event(**{**_fields(each), "position": at}) for each, at in given]


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__dataclass_fields__}


async def test_a_sound_store_has_no_problems(tmp_path: Path) -> None:
    store = MemoryEventStore()
    await store.append("log-a", some(5))
    await store.append("log-b", some(3))
    await store.append("other", some(1))
    await Archive(tmp_path).record(store, "log-a", upto=2)
    await store.truncate("log-a", before=3, snapshot=False)
    await store.truncate("log-b", before=3, snapshot=False)  # of which nothing is left
    verified = await verify_streams(store)
    assert (verified.streams, verified.events, verified.archived) == (3, 3, 1)
    assert verified.problems == ()
    verified = await verify_streams(store, prefix="log-")
    assert (verified.streams, verified.events) == (2, 2)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (Lost, "version 1 is missing: version 2 is in its place"),
        (Short, "version 2 is missing: the stream is at version 2"),
        (
            Disordered,
            "version 1 has position 2, which is not after position 3 of the version before",
        ),
    ],
)
async def test_a_broken_stream_is_named(kind: type[Meddled], problem: str) -> None:
    store = kind()
    await store.append("a", some(3))
    [found] = (await verify_streams(store)).problems
    assert (found.stream, found.problem) == ("a", problem)


async def recorded(store: MemoryEventStore, folder: Path) -> None:
    """Archive and cut off the first 3 events of a stream of 5."""
    await store.append("a", some(5))
    await Archive(folder).record(store, "a", upto=2)
    await store.truncate("a", before=3, snapshot=False)


async def problem_of(store: MemoryEventStore) -> str:
    [found] = (await verify_streams(store)).problems
    assert found.stream == "a"
    return found.problem


async def test_a_damaged_archive_is_a_problem(tmp_path: Path) -> None:
    store = MemoryEventStore()
    await recorded(store, tmp_path)
    [file] = tmp_path.rglob("*.gz")  # noqa: ASYNC240 - nothing else waits
    file.write_bytes(file.read_bytes()[:-1])
    assert "is damaged: its SHA-256" in await problem_of(store)


async def test_a_missing_archive_is_a_problem(tmp_path: Path) -> None:
    store = MemoryEventStore()
    await recorded(store, tmp_path / "archive")
    (tmp_path / "archive").rename(tmp_path / "moved")
    assert "has no archive of a stream" in await problem_of(store)


async def test_an_archive_that_ends_too_early_is_a_problem(tmp_path: Path) -> None:
    store = MemoryEventStore()
    await recorded(store, tmp_path)
    await store.truncate("a", before=5, snapshot=False)
    problem = await problem_of(store)
    assert problem.endswith(
        "ends at version 2, and the store begins at version 5: what is between is lost"
    )


async def test_a_foreign_archive_is_a_problem(tmp_path: Path) -> None:
    store = MemoryEventStore()
    await store.append("a", some(1))
    await store.record_archive("a", archive=f"{tmp_path}/mine.tar")
    assert (
        await problem_of(store)
        == f"its archive {tmp_path}/mine.tar is not a folder of an `Archive`"
    )


class CutOffMeanwhile(MemoryEventStore):
    """Somebody cuts a stream off, or deletes it, while it is read for the first time."""

    deletes = False
    done = False

    @override
    def read(self, stream: str, **given: Any) -> AsyncIterator[Event]:
        return self._cut(stream, **given)

    async def _cut(self, stream: str, **given: Any) -> AsyncIterator[Event]:
        if not self.done:
            self.done = True
            if self.deletes:
                await self.delete_stream(stream)
            else:
                await self.truncate(stream, before=2, snapshot=False)
        async for event in super().read(stream, **given):
            yield event


@pytest.mark.parametrize(("deletes", "streams"), [(False, 1), (True, 0)])
async def test_a_stream_that_changes_while_it_is_read(deletes: bool, streams: int) -> None:
    store = CutOffMeanwhile()
    store.deletes = deletes
    await store.append("a", some(5))
    verified = await verify_streams(store)
    assert verified.problems == ()
    assert verified.streams == streams


async def test_a_bad_prefix_is_refused() -> None:
    store = MemoryEventStore()
    with pytest.raises(TypeError, match="prefix"):
        await verify_streams(store, prefix=7)  # type: ignore[arg-type]
    with pytest.raises(InvalidEventError, match="prefix"):
        await verify_streams(store, prefix="\0")


async def test_an_archive_is_recorded_with_its_stream(tmp_path: Path) -> None:
    store = MemoryEventStore()
    await store.append("a", some(5))
    archive = Archive(tmp_path)
    archived = await archive.record(store, "a", upto=2)
    assert (archived.first, archived.last) == (0, 2)
    head: StreamHead = (await store.heads(["a"]))["a"]
    assert head.archive == archived.place == archive.place("a")
    assert (await archive.record(store, "a")).last == 4
