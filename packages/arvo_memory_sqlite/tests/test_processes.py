"""Several processes on one file, some of them killed; and disks that are full or read-only."""

import asyncio
import gzip
import os
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import WorkflowQuery
from arvo_memory_sqlite import SqliteMachineMemory

from .writer_process import PATIENT, count_up

PROGRAM = Path(__file__).with_name("writer_process.py")
KILLS = 100 if os.environ.get("ARVO_FULL") == "1" else 20


def start(job: str, path: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", PROGRAM, job, path, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=25)
    return out.splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.mark.alone
@pytest.mark.scaled
def test_what_was_acknowledged_survives_sigkill(path: Path) -> None:
    """Two processes write; one after the other is killed, at a random moment. A third lists.

    One of them keeps a history: what it frees is noted in the same commit.
    """
    random = Random(7)
    acknowledged: dict[str, int] = defaultdict(int)
    writers = {name: start("commit_for_ever", path, name) for name in ("a", "b")}
    for kill in range(KILLS):
        name = "ab"[kill % 2]
        victim = writers[name]
        assert victim.stdout is not None
        # Lines appear while it works; it is killed between two of them, at any point.
        lines = [victim.stdout.readline() for _ in range(random.randrange(1, 60))]
        victim.kill()
        note(acknowledged, [*lines, *output(victim)])
        check(path, acknowledged)
        writers[name] = start("commit_for_ever", path, name)
    for victim in writers.values():
        victim.kill()
        note(acknowledged, output(victim))
    check(path, acknowledged)
    assert len(acknowledged) == 16


def note(acknowledged: dict[str, int], lines: list[str]) -> None:
    for line in lines:
        # The last one may have been cut off.
        if line.count(" ") == 1 and line.startswith(("a-", "b-")):
            machine_id, count = line.split()
            acknowledged[machine_id] = max(acknowledged[machine_id], int(count))
        else:
            assert "Error" not in line, lines


def check(path: Path, acknowledged: dict[str, int]) -> None:
    connection = sqlite3.connect(path, timeout=20)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = {
        machine_id: (version, count)
        for machine_id, version, count in connection.execute(
            "SELECT id, version, json_extract(CAST(state AS TEXT), '$.count') FROM machine "
            "WHERE version > 0"
        )
    }
    torn = connection.execute(
        """
        SELECT id FROM machine WHERE version > 0 AND (
            CAST(tail AS TEXT) IS NOT CAST(version AS TEXT)
            OR last_chunk <> version
            OR version IS NOT (SELECT max(number) FROM chunk WHERE machine = seq)
            OR 'p' || version IS NOT
                (SELECT CAST(data AS TEXT) FROM chunk WHERE machine = seq AND number = version)
            OR (SELECT count(*) FROM chunk WHERE machine = seq)
                <> CASE WHEN version < 8 OR id LIKE 'b-%' THEN version ELSE version % 8 + 1 END
            OR freed_chunk <> CASE WHEN version >= 8 AND id LIKE 'b-%'
                THEN version - version % 8 - 1 ELSE 0 END
            OR EXISTS (SELECT 1 FROM chunk
                WHERE machine = seq AND (freed_at IS NULL) <> (number > freed_chunk))
            OR (SELECT key || ' ' || at FROM due WHERE machine = seq) IS NOT
                CASE WHEN version % 3 > 0
                    THEN 't#' || (version - version % 3 + 1) || ' ' || (version - version % 3 + 1)
                END
        )
        """
    ).fetchall()
    connection.close()
    assert torn == [], "record, tail, chunks and timer are not of one commit"
    for machine_id, count in acknowledged.items():
        version, written = stored[machine_id]
        assert version == written
        assert version >= count, f"{machine_id}: a commit that was acknowledged is gone"
    listed = asyncio.run(page_through(path))
    assert len(listed) == len(set(listed))
    assert acknowledged.keys() <= set(listed), "a workflow is missing from the listing"


async def page_through(path: Path) -> list[str]:
    """List all workflows, while one of the writers goes on."""
    listed: list[str] = []
    cursor: str | None = None
    async with SqliteMachineMemory.connect(path) as memory:
        while True:
            page = await memory.workflows(WorkflowQuery(), after=cursor, limit=3)
            listed += [workflow.subject for workflow in page.workflows]
            cursor = page.next
            if cursor is None:
                return listed


async def test_many_writers_in_several_processes_lose_nothing(path: Path) -> None:
    others = [start("add", path, name, 20, 10) for name in "ab"]
    async with SqliteMachineMemory.connect(path, policy=PATIENT) as memory:

        async def work(number: int) -> None:
            for _ in range(10):
                await count_up(memory, f"own-{number}")
            await count_up(memory, "shared")

        async with asyncio.TaskGroup() as group:
            for number in range(64):
                group.create_task(work(number))
        for other in others:
            assert await asyncio.to_thread(output, other) == ["added 20"]
        assert await memory.read("shared") == {"count": 64 + 2 * 20}
        own = [f"own-{n}" for n in range(64)] + [f"{name}-{n}" for name in "ab" for n in range(20)]
        assert [await memory.read(each) for each in own] == [{"count": 10}] * len(own)


@pytest.mark.parametrize("turn", range(3))
def test_several_processes_create_the_file_concurrently(path: Path, turn: int) -> None:
    open_at_once(path, further="no")
    assert state(path) == b'{"count":4}'


async def test_several_processes_migrate_an_older_file_concurrently(path: Path) -> None:
    async with SqliteMachineMemory.connect(path, policy=PATIENT) as memory:
        await count_up(memory, "shared")
    open_at_once(path, further="yes")
    assert state(path) == b'{"count":5}'
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT note FROM machine").fetchall() == [
        ("migrated from version 1",)
    ]
    connection.close()
    with pytest.raises(MachineMemoryError, match="schema version 6"):
        async with SqliteMachineMemory.connect(path):
            pass


def test_several_processes_migrate_a_file_of_the_first_version_at_once(path: Path) -> None:
    first = Path(__file__).with_name("machine_1.db.gz").read_bytes()
    path.write_bytes(gzip.decompress(first))
    open_at_once(path, further="no")
    connection = sqlite3.connect(path)
    counted = connection.execute("SELECT version FROM machine WHERE id = 'shared'").fetchone()
    workflows = connection.execute("SELECT count(*) FROM machine WHERE version > 0").fetchone()
    connection.close()
    assert (counted, workflows) == ((4,), (3,))


def open_at_once(path: Path, *, further: str) -> None:
    processes = [start("migrate", path, further) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [output(process) for process in processes] == [["migrated"]] * 4


def state(path: Path) -> object:
    connection = sqlite3.connect(path)
    (stored,) = connection.execute("SELECT state FROM machine").fetchone()
    connection.close()
    return stored


def test_a_full_disk_is_an_error_and_the_memory_works_again(path: Path) -> None:
    [said] = output(start("fill_disk", path))
    assert said.startswith("works again after ")
    assert int(said.split()[-1]) > 0


@pytest.mark.parametrize("used", [False, True])
async def test_a_read_only_file_is_refused(used: bool) -> None:
    # Not in pytest's folder, which other users may not enter.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        if used:
            async with SqliteMachineMemory.connect(path) as memory:
                await memory.write("order-7", {}, None)
        else:
            sqlite3.connect(path).close()
        path.parent.chmod(0o777)
        path.chmod(0o444)
        [said] = output(start("open_read_only", path))
    assert said.startswith(f"retryable=True outcome=failed: {path}: "), "it may be mended"
    assert "readonly" in said


def test_a_forked_process_is_refused_and_does_not_hang(path: Path) -> None:
    said = output(start("use_after_fork", path))
    assert len(said) == 2
    for line in said:
        assert line.startswith(f"retryable=False outcome=failed: {path}: ")
        assert "before a fork" in line
