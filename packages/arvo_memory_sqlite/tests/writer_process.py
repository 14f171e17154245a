"""A process of a test that works on a memory and prints what was done."""

import asyncio
import os
import resource
import signal
import sys
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import UNCHANGED, LockPolicy, NextTimer, Record, WorkflowQuery
from arvo_event_handler.testing import record_write
from arvo_memory_sqlite import SqliteMachineMemory, _schema
from arvo_sqlite import Component

FURTHER = (
    "ALTER TABLE machine ADD COLUMN note TEXT",
    "UPDATE machine SET note = 'migrated from version ' || version",
)
"""The migration of a later version; run twice, it fails."""


def with_version(*migration: str) -> Component:
    """Return what a later program would have: one more version."""
    return replace(_schema.MACHINE, migrations=(*_schema.MACHINE.migrations, migration))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATIENT = LockPolicy(max_wait=timedelta(seconds=25))


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def commit_for_ever(path: str, name: str) -> None:
    """Commit from eight tasks; print `<id> <count>` once a commit is acknowledged.

    Args:
        path: The file.
        name: How the ids begin; `b` keeps a history.
    """

    async def work(memory: SqliteMachineMemory, machine_id: str) -> None:
        while True:
            lease = await memory.acquire(machine_id)
            if lease is None:
                continue
            count = lease.version + 1
            record: Record = {"count": count, "filler": [machine_id] * 50}
            mine = b"%d" % count
            # It can be claimed at the time of its number.
            at = EPOCH + timedelta(milliseconds=count)
            timer = NextTimer(at=at, key=f"t#{count}") if count % 3 else None
            write = record_write(record, tail=mine, chunk=mine, timer=timer)
            if count % 3 == 2:
                write = replace(write, timer=UNCHANGED)
            if count % 8 == 0:
                write = replace(write, frees="earlier")
            await memory.commit(lease, write)
            say(machine_id, count)

    policy = LockPolicy(ttl=timedelta(milliseconds=50), max_wait=timedelta(seconds=5))
    history = timedelta(days=1) if name == "b" else None
    async with (
        SqliteMachineMemory.connect(path, policy=policy, history=history) as memory,
        asyncio.TaskGroup() as group,
    ):
        for number in range(8):
            group.create_task(work(memory, f"{name}-{number}"))


async def claim(path: str, limit: str) -> None:
    """Claim what is due, when the test asks for it; print `<id> <claims>` of each.

    Then wait for the end, so that a test can kill it.

    Args:
        path: The file.
        limit: How many in each call.
    """
    async with SqliteMachineMemory.connect(path) as memory:
        say("ready")
        sys.stdin.readline()
        while claimed := await memory.claim_due(limit=int(limit), hold=timedelta(hours=1)):
            for due in claimed:
                say(due.machine_id, due.claims)
        say("nothing")
        sys.stdin.readline()


async def add(path: str, name: str, tasks: str, times: str) -> None:
    """Count in one shared workflow and in one per task; print how often."""

    async def work(memory: SqliteMachineMemory, number: int) -> None:
        for turn in range(int(times)):
            await count_up(memory, f"{name}-{number}")
            if turn == 0:
                await count_up(memory, "shared")

    async with (
        SqliteMachineMemory.connect(path, policy=PATIENT) as memory,
        asyncio.TaskGroup() as group,
    ):
        for number in range(int(tasks)):
            group.create_task(work(memory, number))
    say("added", int(tasks))


async def count_up(memory: SqliteMachineMemory, machine_id: str) -> None:
    lease = None
    while lease is None:
        lease = await memory.acquire(machine_id)
    count = 0 if lease.record is None else lease.record["count"]
    assert isinstance(count, int)
    await memory.commit(lease, record_write({"count": count + 1}))


async def migrate(path: str, further: str) -> None:
    """Open the file when the test asks for it, write, and close it.

    Args:
        path: The file.
        further: Whether this process knows one more version: "yes" or "no".
    """
    if further == "yes":
        _schema.MACHINE = with_version(*FURTHER)  # type: ignore[misc]
    say("ready")
    sys.stdin.readline()
    async with SqliteMachineMemory.connect(path) as memory:
        await count_up(memory, "shared")
    say("migrated")


async def fill_disk(path: str) -> None:
    """Write until no file may grow, then again once files may grow."""
    async with SqliteMachineMemory.connect(path) as memory:
        await memory.write("before", {"n": 0}, None)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        written = await write_until_refused(memory)
        # It may or may not fit into what is left: either way there is an answer.
        assert await memory.read("before") == {"n": 0}
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await memory.write("after", {"n": 1}, None)
        assert await memory.read("after") == {"n": 1}
        for number in range(written):
            assert await memory.read(f"large-{number}") == {"filler": "x" * 20_000}
        assert await memory.read(f"large-{written}") is None
    say("works again after", written)


async def write_until_refused(memory: SqliteMachineMemory) -> int:
    for number in range(1000):
        try:
            await memory.write(f"large-{number}", {"filler": "x" * 20_000}, None)
        except MachineMemoryError as error:
            if not error.retryable:
                raise
            return number
    raise AssertionError("the limit was never met")


async def use_after_fork(path: str) -> None:
    """Print how a forked process is refused the memory of its parent."""
    async with SqliteMachineMemory.connect(path) as memory:
        await memory.read("order-7")  # starts a thread, which the forked process lacks
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
            child = os.fork()
        if child == 0:
            signal.alarm(20)  # a process that hangs must not outlive the test
            for call in (memory.read("order-7"), memory.acquire("order-7")):
                try:
                    say(asyncio.run(call))
                except MachineMemoryError as error:
                    say(f"retryable={error.retryable} outcome={error.outcome}: {error}")
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)


async def open_read_only(path: str) -> None:
    """Print how a read-only file is refused."""
    if os.geteuid() == 0:  # for whom no file is read-only
        os.setuid(65534)
    try:
        async with SqliteMachineMemory.connect(path):
            say("opened")
    except MachineMemoryError as error:
        say(f"retryable={error.retryable} outcome={error.outcome}: {error}")


async def look(path: str) -> None:
    """Print what is listed, and when the test asks for it, once more."""
    if os.geteuid() == 0:  # for whom no folder is read-only
        os.setuid(65534)
    async with SqliteMachineMemory.connect(path, read_only=True) as memory:
        page = await memory.workflows(WorkflowQuery())
        say(f"still={memory.is_still}", *(each.subject for each in page.workflows))
        sys.stdin.readline()
        try:
            page = await memory.workflows(WorkflowQuery())
            say(*(each.subject for each in page.workflows))
        except MachineMemoryError as error:
            say(error)


JOBS = {
    job.__name__: job
    for job in (
        commit_for_ever,
        claim,
        add,
        migrate,
        fill_disk,
        use_after_fork,
        open_read_only,
        look,
    )
}

if __name__ == "__main__":
    asyncio.run(JOBS[sys.argv[1]](*sys.argv[2:]))
