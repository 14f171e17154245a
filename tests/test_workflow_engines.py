"""`arvo workflow` beside workers on a real Redis, and over PostgreSQL and Redis as memories."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

import asyncpg
import pytest
from real_servers.fixtures import (
    StartRedis,
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
    redis_flavour as redis_flavour,
    start_redis as start_redis,
)

from .workflow_command import TARGETS, Call, arvo as arvo, key, run as run, url as url

PATIENT = TARGETS / "patient"
TALLY = TARGETS / "tally"
HOUR = 3600


def test_workers_do_it_over_a_transport(
    arvo: Call, url: str, start_redis: StartRedis, tmp_path: Path
) -> None:
    transport = f"{start_redis().url}?namespace={token_hex(4)}"
    over = ("--transport", transport)
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(f'{{"name": "{name}", "seconds": {HOUR}}}\n' for name in "abc"))
    program = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", program, "worker", PATIENT, *over, "--memory", url]
    messages = tmp_path / "messages"
    with messages.open("w") as err, subprocess.Popen([*map(str, words)], stderr=err) as worker:
        try:
            until(lambda: "  ready " in messages.read_text(), messages.read_text)
            sent = arvo(
                *("send", PATIENT, "--events", lines, "--contract", "#/test/patient/1.0.0", *over)
            )
            assert sent.status == 0, sent.err
            until(lambda: len(arvo("workflow", "due", "--json").rows) == 3)
            first, second, third = (row["key"] for row in arvo("workflow", "due", "--json").rows)

            done = arvo("workflow", "cancel", first, *over, "--reason", "enough")
            assert (done.status, done.out) == (0, "")
            assert "sent arvo.workflow.cancel to arvo.orc.patient" in done.err
            until(lambda: failed(arvo))
            assert key(arvo, "--status", "failed") == first

            done = arvo("workflow", "fire", second, "remind", *over, "--json")
            assert (done.status, done.row["sent_to"]) == (0, "arvo.orc.patient"), done.err
            until(lambda: bool(arvo("workflow", "list", "--json", "--status", "done").rows))
            assert key(arvo, "--status", "done") == second

            # Each time with another id, so that no engine drops one as a repetition.
            woken = [arvo("workflow", "wake", third, *over, "--json").row for _ in range(2)]
            assert woken[0]["event"] != woken[1]["event"]
            refused = arvo("workflow", "retry", first, *over)
            assert (refused.status, "it was cancelled" in refused.err) == (1, True)
        finally:
            worker.terminate()
    assert worker.returncode == 0
    assert key(arvo, "--status", "active") == third
    assert arvo("dead", "list", *over).err == "arvo: 0 dead letters\n"


def test_nobody_takes_it_where_no_worker_has_been(
    arvo: Call, run: Call, url: str, start_redis: StartRedis
) -> None:
    assert run("tally", {"word": "bad"}, options=("--memory", url)).status == 0
    name = key(arvo, "--status", "failed")
    over = f"{start_redis().url}?namespace={token_hex(4)}"
    done = arvo("workflow", "retry", name, "--transport", over)
    assert done.status == 2
    assert "nobody has declared the topic 'arvo.orc.tally': start a worker" in done.err


def failed(arvo: Call) -> bool:
    return bool(arvo("workflow", "list", "--json", "--status", "failed").rows)


def until(condition: Callable[[], bool], why: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


def test_postgres(
    arvo: Call, run: Call, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = f"arvo_{token_hex(4)}"
    joint = "&" if "?" in postgres_dsn else "?"
    monkeypatch.setenv("ARVO_MEMORY", f"{postgres_dsn}{joint}schema={schema}")
    try:
        check_all(arvo, run)
    finally:
        asyncio.run(drop(postgres_dsn, schema))


def test_redis(
    arvo: Call, run: Call, start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARVO_MEMORY", f"{start_redis().url}?prefix={token_hex(4)}:")
    check_all(arvo, run)
    memory = ("--memory", os.environ["ARVO_MEMORY"], "--wait", "9s")
    wait = {"name": "c", "seconds": 0.3}
    parent = run("patient", wait, options=memory, contract="#/test/parent/1.0.0")
    assert (parent.status, parent.row["data"]) == (0, {"name": "parent of c"}), parent.err
    done = arvo("workflow", "list", "--root", key(arvo, "--status", "failed"))
    assert (done.status, "a Redis memory cannot search by root" in done.err) == (2, True)


def check_all(arvo: Call, run: Call) -> None:
    """List, show, fire and cancel over the memory of the environment."""
    memory = ("--memory", os.environ["ARVO_MEMORY"])
    waits = [{"name": name, "seconds": HOUR} for name in ("a", "b")]
    ran = run("patient", *waits, {"name": "now", "seconds": 0.1}, options=(*memory, "--wait", "5s"))
    assert ran.status == 3, ran.err
    assert [json.loads(line)["data"] for line in ran.out.splitlines()] == [{"name": "now"}]
    assert ran.err.count("waiting until ") == 2
    [first, second] = arvo("workflow", "due", "--json").rows
    fired = arvo("workflow", "fire", first["key"], "remind", PATIENT)
    assert (fired.status, " done\n" in fired.out) == (0, True), fired.err
    ended = arvo("workflow", "cancel", second["key"], PATIENT, "--reason", "enough")
    assert (ended.status, "errorMessage=enough" in ended.out) == (0, True), ended.err
    assert arvo("workflow", "due", "--json").rows == []
    assert key(arvo, "--status", "failed") == second["key"]
    shown = arvo("workflow", "show", second["key"]).out
    assert re.search(r"^error +WorkflowCancelled: enough$", shown, re.M)


async def drop(dsn: str, schema: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
    finally:
        await connection.close()
