"""Several processes on one file, some of them killed; and disks that are full or read-only."""

import asyncio
import gzip
import os
import sqlite3
import subprocess
import sys
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from arvo_event_store import Append, NewEvent, SqliteEventStore

from .store_process import (
    STREAMS,
    TASKS,
    WAKE,
    add_at_once,
    clock_on,
    finish_once,
    key_of,
    scan_once,
)

PROGRAM = Path(__file__).with_name("store_process.py")
MACHINES = Path(__file__).with_name("machine_1.db.gz")
KILLS = 60 if os.environ.get("ARVO_FULL") == "1" else 20


def start(job: str, path: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", PROGRAM, job, path, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=60)
    return out.splitlines()


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Let processes begin together that have said that they are ready."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.mark.alone
@pytest.mark.scaled
def test_what_was_acknowledged_survives_sigkill(path: Path) -> None:
    """Two processes append; one after the other is killed, at a random moment."""
    random = Random(7)
    acknowledged: dict[str, int] = defaultdict(int)
    writers = {name: start("append_for_ever", path, name) for name in ("a", "b")}
    for kill in range(KILLS):
        name = "ab"[kill % 2]
        victim = writers[name]
        assert victim.stdout is not None
        # Lines appear while it works; it is killed between two of them, at any point.
        lines = [victim.stdout.readline() for _ in range(random.randrange(1, 60))]
        victim.kill()
        note(acknowledged, [*lines, *output(victim)])
        check(path, acknowledged)
        writers[name] = start("append_for_ever", path, name)
    for victim in writers.values():
        victim.kill()
        note(acknowledged, output(victim))
    events = check(path, acknowledged)
    print(f"sigkill: {KILLS} kills, {events} events, 0 lost")  # noqa: T201 - its figure
    assert len(acknowledged) == 17


def note(acknowledged: dict[str, int], lines: list[str]) -> None:
    for line in lines:
        # The last one may have been cut off.
        if line.count(" ") == 1 and line.startswith(("a-", "b-", "shared ")):
            stream, version = line.split()
            acknowledged[stream] = max(acknowledged[stream], int(version))
        else:
            assert "Error" not in line, lines


def check(path: Path, acknowledged: dict[str, int]) -> int:
    """Check the file as it is, and return how many events it has."""
    connection = sqlite3.connect(path, timeout=20)
    connection.execute("BEGIN")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    versions = dict(connection.execute("SELECT name, version FROM stream"))
    gaps = connection.execute(
        """
        SELECT stream FROM event GROUP BY stream
        HAVING min(version) <> 0 OR max(version) <> count(*) - 1
            OR max(version) <> (SELECT version FROM stream WHERE name = stream)
        """
    ).fetchall()
    out_of_order = connection.execute(
        """
        SELECT stream FROM (
            SELECT stream, position, lag(position) OVER (
                PARTITION BY stream ORDER BY version
            ) AS before FROM event
        ) WHERE before >= position
        """
    ).fetchall()
    marks = dict(connection.execute("SELECT key, mark FROM target"))
    last = dict(
        connection.execute(
            "SELECT stream, max(position) FROM event WHERE stream <> 'shared' GROUP BY stream"
        )
    )
    (own,) = connection.execute("SELECT count(*) FROM event WHERE stream <> 'shared'").fetchone()
    (private,) = connection.execute("SELECT count(*) FROM private").fetchone()
    connection.close()
    assert gaps == []
    assert out_of_order == []
    assert marks == last, "a target is not of the same append as the last event"
    assert own == 3 * (versions.get("shared", -1) + 1), "a call was stored in part"
    assert private == own // 3 * 2
    for stream, version in acknowledged.items():
        assert versions[stream] >= version, f"{stream}: an acknowledged append is gone"
    return int(own) + int(versions.get("shared", -1)) + 1


async def test_many_appends_at_once_in_several_processes_lose_nothing(path: Path) -> None:
    """48 in each of four processes; none is refused as the file is locked."""
    async with SqliteEventStore.connect(path, synchronous="normal") as store:
        await store.append("raced", [NewEvent("Begun", None)])
        others = [start("add", path, name) for name in "abc"]
        await asyncio.to_thread(go, others)
        conflicts = [await add_at_once(store, "own")]
        for other in others:
            (said,) = await asyncio.to_thread(output, other)
            assert said.startswith("conflicts "), said
            conflicts.append(int(said.split()[-1]))
        tasks = [f"{name}-{task}" for name in ("own", *"abc") for task in range(TASKS)]
        log = [event async for event in store.read("log")]
        assert [event.version for event in log] == list(range(len(tasks) * 4 * 2))
        assert [event.data for event in log[::2]] == [event.data for event in log[1::2]]
        for task in tasks:
            assert [event.data[1] for event in log[::2] if event.data[0] == task] == [0, 1, 2, 3]
        raced = [event async for event in store.read("raced", after=0)]
        assert [event.version for event in raced] == list(range(1, len(tasks) + 1))
        assert sorted(event.data for event in raced) == sorted(tasks)
        assert await store.horizon() == len(log) + len(raced) + 1
    print(f"four processes: {len(log)} events, {sum(conflicts)} conflicts")  # noqa: T201


async def test_a_target_has_one_holder_among_processes(path: Path) -> None:
    """Each claims from both ends, finishes and makes work in 200 rounds."""
    async with SqliteEventStore.connect(path, synchronous="normal") as store:
        await store.execute("CREATE TABLE held (key TEXT PRIMARY KEY)")
        await store.execute(
            "CREATE TABLE taken (key TEXT, token INTEGER, PRIMARY KEY (key, token))"
        )
        await store.register("g", [STREAMS])
        for number in range(12):
            await store.append_all([Append(f"s{number}", [NewEvent("Added", 0)], wakes=[WAKE])])
        processes = [start("claim_and_hold", path, 200) for _ in range(2)]
        await asyncio.to_thread(go, processes)
        handled = 0
        for process in processes:
            (said,) = await asyncio.to_thread(output, process)
            assert said.startswith("handled "), said
            handled += int(said.split()[-1])
        assert await store.fetch("SELECT * FROM held") == []
        ((taken,),) = await store.fetch("SELECT count(*) FROM taken")
        assert taken == 800
        # Each event but the last of each stream was handled once.
        assert handled == await store.horizon() - 12
        assert handled == 800


async def test_who_waits_is_told_of_changes_of_another_process(path: Path) -> None:
    async with SqliteEventStore.connect(path) as store:
        process = start("open_at_once", path)
        for _ in range(2):  # the first look finds out how things are
            seen = store.changes
            assert not await store.wait_for_change(seen=seen, at_most=timedelta(0))
        waiting = asyncio.create_task(
            store.wait_for_change(seen=seen, at_most=timedelta(minutes=5))
        )
        await asyncio.to_thread(go, [process])
        assert await waiting is True
        assert await asyncio.to_thread(output, process) == ["opened 1"]


@pytest.mark.alone
@pytest.mark.scaled
async def test_a_killed_process_leaves_each_step_whole(path: Path) -> None:
    """A process appends, scans, claims and finishes, and is killed at random moments."""
    random = Random(11)
    async with SqliteEventStore.connect(path) as store:
        await store.execute("CREATE TABLE done (position INTEGER PRIMARY KEY)")
    for day in range(KILLS // 2):
        victim = start("react_for_ever", path, day)
        assert victim.stdout is not None
        lines = [victim.stdout.readline() for _ in range(random.randrange(1, 20))]
        victim.kill()
        assert not [line for line in [*lines, *output(victim)] if "Error" in line]
        check_reactions(path)
    async with SqliteEventStore.connect(path, clock=clock_on(KILLS)) as store:
        owner = uuid4()
        while not await scan_once(store, owner):
            pass
        while (await store.ready("g", lanes=["l"])).lanes:
            await finish_once(store)
    events = check_reactions(path)
    done = of(path, "SELECT count(*) FROM done")
    assert done == events
    assert of(path, "SELECT count(*) FROM target WHERE at < mark") == 0
    assert of(path, "SELECT count(*) FROM listed") == 0
    print(f"sigkill: {KILLS // 2} kills, {events} events done once")  # noqa: T201 - its figure


def check_reactions(path: Path) -> int:
    """Check that each event is done, once, or has a target; return how many there are."""
    connection = sqlite3.connect(path, timeout=20)
    connection.execute("BEGIN")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def numbers(sql: str) -> list[int]:
        return [number for (number,) in connection.execute(sql)]

    events = numbers("SELECT position FROM event WHERE stream = 'in'")
    rows = numbers("SELECT position FROM done")
    outputs = numbers("SELECT CAST(data AS INTEGER) FROM event WHERE stream = 'out'")
    left = numbers("SELECT mark FROM target WHERE reaction = 'e'")
    assert sorted(outputs) == sorted(rows), "an output or a row is there without the other"
    assert sorted([*rows, *left]) == events, (
        "an event is done twice, or neither done nor to be done"
    )
    (scanned,) = numbers("SELECT scanned FROM reaction WHERE name = 'k'")
    listed = numbers("SELECT position FROM listed")
    ats = dict(connection.execute("SELECT key, at FROM target WHERE reaction = 'k'"))
    passed = numbers(f"SELECT position FROM event WHERE position <= {scanned}")  # noqa: S608
    connection.close()
    expected = [position for position in passed if position > ats[key_of(position)]]
    assert sorted(listed) == expected, (
        "a mark, its list or its progress is there without the others"
    )
    return len(events)


def of(path: Path, what: str) -> object:
    """Return the first column of the first row."""
    connection = sqlite3.connect(path)
    (answer,) = connection.execute(what).fetchone()
    connection.close()
    return answer


def test_eight_processes_add_the_tables_to_a_file_of_machines_at_once(path: Path) -> None:
    path.write_bytes(gzip.decompress(MACHINES.read_bytes()))
    processes = [start("open_at_once", path) for _ in range(8)]
    go(processes)
    assert [output(process) for process in processes] == [["opened 1"]] * 8
    connection = sqlite3.connect(path)
    versions = connection.execute("SELECT version FROM event ORDER BY position").fetchall()
    machines = connection.execute("SELECT count(*) FROM machine").fetchone()
    connection.close()
    assert versions == [(version,) for version in range(8)]
    assert machines == (2,)


def test_a_full_disk_is_an_error_and_the_store_works_again(path: Path) -> None:
    (said,) = output(start("fill_disk", path))
    assert said.startswith("works again after "), said
    assert int(said.split()[-1]) > 0


async def test_a_read_only_file_is_refused_and_can_be_read() -> None:
    # Not in pytest's folder, which other users may not enter.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events.db"
        async with SqliteEventStore.connect(path) as store:
            await store.append("a", [NewEvent("Added", "seven")])
        path.parent.chmod(0o777)
        path.chmod(0o444)
        refused, read = await asyncio.to_thread(output, start("open_read_only", path))
    assert refused.startswith(f"retryable=True outcome=failed: {path}: "), "it may be mended"
    assert "readonly" in refused
    assert read == "seven"


def test_a_forked_process_is_refused_and_does_not_hang(path: Path) -> None:
    said = output(start("use_after_fork", path))
    assert len(said) == 2
    for line in said:
        assert line.startswith(f"retryable=False outcome=failed: {path}: ")
        assert "before a fork" in line
