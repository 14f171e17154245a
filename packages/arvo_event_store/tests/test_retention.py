"""Retention: what is kept by age and number, what snapshots and targets hold back, what fails."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from arvo_event_store import (
    Append,
    Archive,
    ArchiveError,
    Event,
    InvalidEventError,
    MemoryEventStore,
    NewEvent,
    RetentionPolicy,
    RetentionWorker,
    Snapshot,
    StoreFailure,
    StreamCut,
    Wake,
)
from arvo_time.testing import FakeClock

DAY = timedelta(days=1)


def some(count: int) -> list[NewEvent]:
    return [NewEvent("Added", amount) for amount in range(count)]


async def versions(store: MemoryEventStore, stream: str) -> list[int]:
    return [event.version async for event in store.read(stream)]


def worker(store: MemoryEventStore, *policies: RetentionPolicy, **given: Any) -> RetentionWorker:
    return RetentionWorker(store, policies=policies, **given)


def policy(prefix: str = "", **given: Any) -> RetentionPolicy:
    return RetentionPolicy(prefix, **{"snapshot_kind": None, **given})


async def snapshot(store: MemoryEventStore, stream: str, version: int, kind: str = "k") -> None:
    await store.save_snapshot(
        Snapshot(stream=stream, kind=kind, version=version, schema=1, state=1)
    )


async def test_the_last_events_of_each_stream_are_kept() -> None:
    store = MemoryEventStore()
    for name, count in (("log-a", 10), ("log-b", 3), ("log-c", 2), ("other", 10)):
        await store.append(name, some(count))
    cuts = await worker(store, policy("log-", max_count=2)).run_once()
    assert cuts == [
        StreamCut(stream="log-a", first_version=0, wanted=8, kept=8),
        StreamCut(stream="log-b", first_version=0, wanted=1, kept=1),
    ]
    assert await versions(store, "log-a") == [8, 9]
    assert await versions(store, "log-c") == [0, 1]
    assert len(await versions(store, "other")) == 10
    assert await worker(store, policy("log-", max_count=2)).run_once() == []
    await worker(store, policy("log-a", max_count=0)).run_once()
    assert await versions(store, "log-a") == []
    assert (await store.append("log-a", some(1))).version == 10


async def test_events_are_kept_for_their_time() -> None:
    clock = FakeClock()
    store = MemoryEventStore(clock=clock)
    for _ in range(5):
        await store.append("a", some(2))
        clock.advance(DAY)
    await store.append("b", some(2))
    (cut,) = await worker(store, policy(max_age=3 * DAY), clock=clock).run_once()
    assert (cut.stream, cut.kept) == ("a", 4)
    clock.advance(timedelta(microseconds=1))
    (cut,) = await worker(store, policy(max_age=3 * DAY), clock=clock).run_once()
    assert (cut.stream, cut.kept) == ("a", 6)


async def test_both_bounds_hold() -> None:
    clock = FakeClock()
    store = MemoryEventStore(clock=clock)
    for _ in range(4):
        await store.append("a", some(2))
        clock.advance(DAY)
    for age, count, first in ((9 * DAY, 7, 1), (3 * DAY, 7, 2), (9 * DAY, 5, 3)):
        await worker(store, policy(max_age=age, max_count=count), clock=clock).run_once()
        assert (await versions(store, "a"))[0] == first


async def test_policies_apply_one_after_the_other() -> None:
    store = MemoryEventStore()
    await store.append("log-a", some(10))
    await worker(store, policy("log-", max_count=8), policy("log-a", max_count=3)).run_once()
    assert await versions(store, "log-a") == [7, 8, 9]


async def test_what_no_snapshot_covers_is_kept() -> None:
    store = MemoryEventStore()
    await store.append("a", some(10))
    keep_two = policy(max_count=2, snapshot_kind="k")
    await snapshot(store, "a", 8, kind="other")
    assert await worker(store, keep_two).run_once() == []
    for version, first in ((4, 5), (9, 8)):
        await snapshot(store, "a", version)
        (cut,) = await worker(store, keep_two).run_once()
        assert (cut.wanted, cut.kept, cut.error) == (first, first, None)
    clock = FakeClock(start=store._clock.now() + 9 * DAY)
    by_age = policy(max_age=DAY, snapshot_kind="k")
    (cut,) = await worker(store, by_age, clock=clock).run_once()
    assert (cut.kept, await versions(store, "a")) == (10, [])


async def test_what_targets_have_to_read_is_kept() -> None:
    store = MemoryEventStore()
    await store.append("a", some(2500))
    await store.append_all(
        [Append("a", some(500), wakes=[Wake(group="g", reaction="r", lane="l")])]
    )
    (cut,) = await worker(store, policy(max_count=10)).run_once()
    assert cut == StreamCut(stream="a", first_version=0, wanted=2990, kept=2500)
    (cut,) = await worker(store, policy(max_count=10)).run_once()
    assert (cut.first_version, cut.wanted, cut.kept) == (2500, 2990, 2500)


async def test_a_transaction_cuts_off_a_thousand_events_at_most() -> None:
    class Counting(MemoryEventStore):
        cuts: list[int]

        @override
        async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
            first = (await self.heads([stream]))[stream].first_version
            self.cuts.append(before - first)
            return await super().truncate(stream, before=before, snapshot=snapshot)

    store = Counting()
    store.cuts = []
    await store.append("a", some(2700))
    await worker(store, policy(max_count=100)).run_once()
    assert store.cuts == [1000, 1000, 600]


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    store = MemoryEventStore()
    await store.append("a", some(10))
    with_archive = policy(max_count=2, archive=Archive(tmp_path))
    (cut,) = await worker(store, with_archive).run_once(dry_run=True)
    assert cut == StreamCut(stream="a", first_version=0, wanted=8, kept=0)
    assert len(await versions(store, "a")) == 10
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - an empty folder


async def test_events_are_archived_before_they_are_cut_off(tmp_path: Path) -> None:
    store, restored, archive = MemoryEventStore(), MemoryEventStore(), Archive(tmp_path)
    keep_two = policy(max_count=2, archive=archive)
    ids = []
    for _ in range(3):
        batch = some(10)
        ids += [event.id for event in batch]
        await store.append("a", batch)
        await worker(store, keep_two).run_once()
    assert (await store.heads(["a"]))["a"].archive == archive.place("a")
    assert await versions(store, "a") == [28, 29]
    await archive.restore(restored)
    assert [event.id async for event in restored.read("a")] == ids[:28]


async def test_what_fails_for_one_stream_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, archive = MemoryEventStore(), Archive(tmp_path)
    for name in ("a", "b", "c"):
        await store.append(name, some(5))
        await archive.write(store, name)
    await store.delete_stream("b")
    await store.append("b", some(5))
    first, second, third = await worker(store, policy(max_count=1, archive=archive)).run_once()
    assert (first.kept, second.kept, third.kept) == (4, 0, 4)
    assert isinstance(second.error, ArchiveError)
    assert "stream 'b' was not cut off" in caplog.text
    assert len(await versions(store, "b")) == 5


@pytest.mark.parametrize(
    "error", [OSError("disk full"), StoreFailure("lost", retryable=True, outcome="unknown")]
)
async def test_what_fails_is_said_and_done_in_the_next_round(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, archive = MemoryEventStore(), Archive(tmp_path)
    await store.append("a", some(5))

    async def fail(*_: Any, **__: Any) -> None:
        raise error

    keep_one = policy(max_count=1, archive=archive)
    with monkeypatch.context() as patched:
        patched.setattr(archive, "verify", fail)
        (cut,) = await worker(store, keep_one).run_once()
    assert (cut.kept, cut.error) == (0, error)
    (cut,) = await worker(store, keep_one).run_once()
    assert (cut.kept, cut.error) == (4, None)


async def test_rounds_go_on_until_the_worker_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(MemoryEventStore):
        rounds = 0

        @override
        async def streams(self, *, prefix: str = "") -> AsyncIterator[Any]:
            self.rounds += 1
            if self.rounds == 2:
                raise StoreFailure("lost", retryable=True, outcome="failed")
            async for head in super().streams(prefix=prefix):
                yield head

    clock, store = FakeClock(), Failing()
    await store.append("a", some(5))
    running = asyncio.create_task(
        worker(store, policy(max_count=1), interval=DAY, clock=clock).run()
    )
    await clock.run_for(timedelta(0))
    assert await versions(store, "a") == [4]
    await store.append("a", some(1))
    await clock.run_for(DAY)
    assert "a round of retention failed" in caplog.text
    assert await versions(store, "a") == [4, 5]
    await clock.run_for(DAY)
    assert await versions(store, "a") == [5]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert clock.pending == 0


async def test_events_that_are_old_enough_are_read_no_further_than_the_first_that_is_not() -> None:
    class Counting(MemoryEventStore):
        rows = 0

        @override
        async def read(self, stream: str, **given: Any) -> AsyncIterator[Event]:
            async for event in super().read(stream, **given):
                self.rows += 1
                yield event

    clock = FakeClock()
    store = Counting(clock=clock)
    await store.append("a", some(3))
    clock.advance(2 * DAY)
    await store.append("a", some(1000))
    await store.append("new", some(1000))
    await worker(store, policy(max_age=DAY), clock=clock).run_once()
    assert store.rows == 4


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ValueError, "max_age or max_count must be given"),
        ({"max_age": 30}, TypeError, "max_age must be a timedelta"),
        ({"max_age": timedelta(0)}, ValueError, "max_age must be longer than zero"),
        ({"max_count": -1}, ValueError, "max_count must not be negative"),
        ({"max_count": "all"}, TypeError, "max_count must be an int"),
        ({"max_count": 1, "archive": "folder"}, TypeError, "archive must be an Archive"),
        ({"max_count": 1, "snapshot_kind": 7}, TypeError, "snapshot_kind must be a string"),
        (
            {"max_count": 1, "snapshot_kind": ""},
            InvalidEventError,
            "snapshot_kind must not be empty",
        ),
        ({"max_count": 1, "prefix": "\0"}, InvalidEventError, "stream_prefix must not contain"),
        ({"max_count": 1, "prefix": 7}, TypeError, "stream_prefix must be a string"),
    ],
    ids=range(10),
)
def test_a_wrong_policy_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        policy(**settings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"policies": []}, ValueError, "policies must not be empty"),
        ({"policies": [7]}, TypeError, "policies must be a RetentionPolicy"),
        ({"interval": 60}, TypeError, "interval must be a timedelta"),
        ({"interval": timedelta(0)}, ValueError, "interval must be longer than zero"),
        ({"clock": 7}, TypeError, "clock must be a Clock"),
    ],
    ids=range(5),
)
def test_a_wrong_setting_of_a_worker_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    given: dict[str, Any] = {"policies": [policy(max_count=1)], **settings}
    with pytest.raises(error, match=message):
        RetentionWorker(MemoryEventStore(), **given)
