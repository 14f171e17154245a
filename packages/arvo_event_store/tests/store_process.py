"""A process of a test that works on a store and prints what was done."""

import asyncio
import os
import resource
import signal
import sqlite3
import sys
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from arvo_event_store import (
    PER_EVENT,
    Append,
    ConflictError,
    EventStoreError,
    NewEvent,
    SqliteEventStore,
    StoreFailure,
    TargetKind,
    Wake,
)
from arvo_event_store.stores import Done, Finish, Lease, Mark, ReactionSpec, Statement
from arvo_time.testing import FakeClock

WAKE = Wake(group="g", reaction="r", lane="l")
STREAMS: Final = ReactionSpec(name="r", events=None, lane="l", addressed=True)
EVENTS: Final = ReactionSpec(name="e", events=None, lane="l", to=PER_EVENT, addressed=True)
KEYS: Final = ReactionSpec(name="k", events=None, lane="l", to=TargetKind.KEY)
HOUR: Final = timedelta(hours=1)
TASKS = 48


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def append_for_ever(path: str, name: str) -> None:
    """Append from eight tasks; print `<stream> <version>` once an append is acknowledged.

    Each appends three events to its own stream, of which one has private data, and one to a stream
    that all share, in one call.

    Args:
        path: The file.
        name: How the streams begin.
    """

    async def work(store: SqliteEventStore, stream: str) -> None:
        while True:
            batch = [
                NewEvent("Added", {"filler": stream * 50}, private=n or None) for n in range(3)
            ]
            own, shared = await store.append_all(
                [Append(stream, batch, wakes=[WAKE]), Append("shared", [NewEvent("Added", stream)])]
            )
            say(own.stream, own.version)
            say(shared.stream, shared.version)

    async with SqliteEventStore.connect(path) as store, asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(work(store, f"{name}-{number}"))


async def add(path: str, name: str) -> None:
    """Append from 48 tasks at once, when the test asks for it; print how many conflicts there were."""
    async with SqliteEventStore.connect(path, synchronous="normal") as store:
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        say("conflicts", await add_at_once(store, name))


async def add_at_once(store: SqliteEventStore, name: str) -> int:
    """Append four times from each of 48 tasks, to a stream that expects nothing and one that does."""
    return sum(await asyncio.gather(*(_add(store, f"{name}-{task}") for task in range(TASKS))))


async def _add(store: SqliteEventStore, task: str) -> int:
    conflicts = 0
    for turn in range(4):
        await store.append(
            "log", [NewEvent("Added", [task, turn]), NewEvent("Added", [task, turn])]
        )
    while True:
        head = (await store.heads(["raced"]))["raced"]
        try:
            await store.append("raced", [NewEvent("Added", task)], expect=head.version)
        except ConflictError:
            conflicts += 1
        else:
            return conflicts


async def open_at_once(path: str) -> None:
    """Open the file when the test asks for it, append, and close it."""
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    async with SqliteEventStore.connect(path) as store:
        done = await store.append("shared", [NewEvent("Opened", os.getpid())])
    say("opened", done.count)


async def fill_disk(path: str) -> None:
    """Append until no file may grow, then again once files may grow."""
    async with SqliteEventStore.connect(path) as store:
        await store.append("before", [NewEvent("Added", 0)])
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        appended = await append_until_refused(store)
        assert [event.data async for event in store.read("before")] == [0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        done = await store.append("large", [NewEvent("Added", "x" * 20_000)])
        assert done.version == appended
        found = [event.version async for event in store.read("large")]
        assert found == list(range(appended + 1))
    say("works again after", appended)


async def append_until_refused(store: SqliteEventStore) -> int:
    for number in range(1000):
        try:
            await store.append("large", [NewEvent("Added", "x" * 20_000)])
        except StoreFailure as error:
            if not error.retryable:
                raise
            return number
    raise AssertionError("the limit was never met")


async def open_read_only(path: str) -> None:
    """Print how a file that may not be written is refused, and read it read-only."""
    if os.geteuid() == 0:  # for whom no file is read-only
        os.setuid(65534)
    await _refused(_open(path))
    async with SqliteEventStore.connect(path, read_only=True) as store:
        say(*[event.data async for event in store.read_all()])


async def _open(path: str) -> None:
    async with SqliteEventStore.connect(path):
        say("opened")


async def use_after_fork(path: str) -> None:
    """Print how a forked process is refused the store of its parent."""
    async with SqliteEventStore.connect(path) as store:
        await store.horizon()  # starts a thread, which the forked process lacks
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
            child = os.fork()
        if child == 0:
            signal.alarm(20)  # a process that hangs must not outlive the test
            for call in (store.horizon(), store.append("a", [NewEvent("Added", 1)])):
                asyncio.run(_refused(call))
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)


async def _refused(call: Awaitable[object]) -> None:
    try:
        say(await call)
    except StoreFailure as error:
        say(f"retryable={error.retryable} outcome={error.outcome}: {error}")
    except EventStoreError as error:
        say(f"{type(error).__name__}: {error}")


async def claim_and_hold(path: str, rounds: str) -> None:
    """Claim two targets, note that they are held, and finish them with an event that wakes another.

    SQLite refuses to note what is noted already.
    """

    def note(connection: sqlite3.Connection, _: object, leases: Sequence[Lease]) -> None:
        for lease in leases:
            connection.execute("INSERT INTO held VALUES (?)", (lease.key,))
            connection.execute("INSERT INTO taken VALUES (?, ?)", (lease.key, lease.token))

    async with SqliteEventStore.connect(path, synchronous="normal") as store:
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        handled = 0
        for number in range(int(rounds)):
            leases = await claim(store, STREAMS, lagging=1, leading=1)
            await store.write(partial(note, leases=leases))
            finishes = [
                Finish(
                    lease=lease,
                    at=lease.upto,
                    then=Done(),
                    work=[Statement("DELETE FROM held WHERE key = ?", (lease.key,))],
                    appends=[Append(lease.key, [NewEvent("Added", number)], wakes=[WAKE])],
                )
                for lease in leases
            ]
            refused = [each.error for each in await store.finish(finishes) if each.error]
            assert not refused, refused
            handled += sum(len(lease.events) for lease in leases)
        say("handled", handled)


async def claim(
    store: SqliteEventStore, spec: ReactionSpec, *, lagging: int, leading: int
) -> list[Lease]:
    return await store.claim(
        "g",
        owner=uuid4(),
        ttl=HOUR,
        reactions=[spec],
        lane="l",
        lagging=lagging,
        leading=leading,
        max_events=10,
        max_bytes=10_000,
    )


async def scan_once(store: SqliteEventStore, owner: UUID) -> bool:
    """Mark the key of each event of a page, and return whether the page was the last one."""
    page = await store.scan("g", owner=owner, ttl=HOUR, reactions=[KEYS], limit=20)
    assert page is not None
    marks: dict[str, list[int]] = {}
    for event in page.events:
        marks.setdefault(key_of(event.position), []).append(event.position)
    await store.mark(
        page,
        [
            Mark(
                reaction=KEYS.name,
                key=key,
                lane="l",
                reads=TargetKind.KEY,
                stream=None,
                at=positions[0] - 1,
                mark=positions[-1],
                positions=positions,
            )
            for key, positions in marks.items()
        ],
        progress=[KEYS.name],
    )
    return page.complete


def key_of(position: int) -> str:
    return f"k{position % 7}"


async def finish_once(store: SqliteEventStore) -> None:
    """Do events, each with an event and a row."""
    finishes = [
        Finish(
            lease=lease,
            at=lease.upto,
            then=Done(),
            work=[Statement("INSERT INTO done VALUES (?)", (lease.mark,))],
            appends=[Append("out", [NewEvent("Done", lease.mark)])],
        )
        for lease in await claim(store, EVENTS, lagging=2, leading=0)
    ]
    finishes += [
        Finish(lease=lease, at=lease.upto, then=Done())
        for lease in await claim(store, KEYS, lagging=1, leading=0)
    ]
    assert [each.error for each in await store.finish(finishes)] == [None] * len(finishes)


def clock_on(day: int) -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock(start=datetime(2040, 1, 1, tzinfo=UTC) + timedelta(days=day))


async def for_ever(step: Callable[[], Awaitable[object]]) -> None:
    while True:
        await step()


async def react_for_ever(path: str, day: str) -> None:
    """Append, scan and finish events in several tasks, each step stored as a whole or not at all.

    Args:
        path: The file.
        day: The day of the store's clock, on which leases of earlier days have ended.
    """

    async def append(store: SqliteEventStore) -> None:
        while True:
            wake = replace(WAKE, reaction=EVENTS.name, to=PER_EVENT)
            events = [NewEvent("Added", number) for number in range(3)]
            await store.append_all([Append("in", events, wakes=[wake])])
            say("appended")

    async with (
        SqliteEventStore.connect(path, clock=clock_on(int(day))) as store,
        asyncio.TaskGroup() as group,
    ):
        await store.register("g", [EVENTS, KEYS])
        group.create_task(append(store))
        owner = uuid4()
        group.create_task(for_ever(partial(scan_once, store, owner)))
        for _ in range(3):
            group.create_task(for_ever(partial(finish_once, store)))


JOBS = {
    job.__name__: job
    for job in (
        append_for_ever,
        add,
        open_at_once,
        fill_disk,
        open_read_only,
        use_after_fork,
        claim_and_hold,
        react_for_ever,
    )
}

if __name__ == "__main__":
    asyncio.run(JOBS[sys.argv[1]](*sys.argv[2:]))
