"""`arvo memory export` and `import`: workflows move between memories half-way and go on."""

import asyncio
import gzip
import json
import sqlite3
import sys
from pathlib import Path
from secrets import token_hex
from typing import Any

import asyncpg
import pytest
from real_servers.fixtures import (
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
)

from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from arvo_event_handler.memory import ITimedMachineMemory, connect_memory

from .memory_command import Command, memory as memory

TARGETS = Path(__file__).parent.parent / "packages/arvo_cli/tests/targets"
sys.path.insert(0, str(TARGETS))  # the command does the same

import patient  # noqa: E402
import porter  # noqa: E402
import tally  # noqa: E402

PORTER = "porter:create_handlers"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A file of SQLite with two workflows half-way: a statechart, then a function."""
    url = f"sqlite:///{tmp_path}/old.db"

    async def begin() -> None:
        async with connect_memory(url) as memory:
            [handler] = porter.create_handlers(memory)
            [first] = await handler.execute(KNOCK)
            await handler.execute(answered(first))
            await tally.create_handlers(memory)[1].execute(WORD)

    asyncio.run(begin())
    return url


KNOCK, OTHER_KNOCK = (
    ArvoOrchestratorEventFactory(porter.porter.version(porter.PORTER_V1)).init(
        source="com.test.main", data=porter.Knock(name=name)
    )
    for name in ("Ann", "Bob")
)
WORD = ArvoOrchestratorEventFactory(tally.tally.version(tally.TALLY_V1)).init(
    source="com.test.main", data=tally.Word(word="word")
)


def answered(asked: ArvoEvent) -> ArvoEvent:
    return ArvoEventFactory(porter.ring.version(porter.RING_V1)).emits(
        type="evt.bell.ring.success",
        source="com.bell.ring",
        to=asked.source,
        subject=asked.subject,
        parentid=asked.id,
        data=porter.Opened(text="yes"),
    )


def counted(asked: ArvoEvent) -> ArvoEvent:
    return ArvoEventFactory(tally.count.version(tally.COUNT_V1)).emits(
        type="evt.word.count.success",
        source=tally.count.type,
        to=asked.source,
        subject=asked.subject,
        parentid=asked.id,
        data=tally.Count(letters=4),
    )


def finish(url: str) -> list[dict[str, Any]]:
    """Start both workflows again, as a run does, answer what they ask, and return their ends."""

    async def end() -> list[dict[str, Any]]:
        async with connect_memory(url) as memory:
            [machine] = porter.create_handlers(memory)
            function = tally.create_handlers(memory)[1]
            [second] = await machine.execute(KNOCK)
            [opened] = await machine.execute(answered(second))
            [asked] = await function.execute(WORD)
            [told] = await function.execute(counted(asked))
        return [opened.data, told.data]

    return asyncio.run(end())


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_workflows_go_on_in_another_memory(memory: Command, url: str, tmp_path: Path) -> None:
    file, other = tmp_path / "all.jsonl", f"sqlite:///{tmp_path}/new.db"
    assert memory("export", file, PORTER, "--memory", url) == (
        *(0, ""),
        "arvo: exported 2 workflows\n",
    )
    machine, function = lines(file)
    assert [machine["subject"], function["subject"]] == [KNOCK.subject, WORD.subject]
    record = machine["record"]
    assert (record["value"], record["machineDefinition"]) == ("second", porter.machine.definition)
    assert "journal" not in record
    assert function["record"]["state$$"] == {"word": "word"}
    packed = tmp_path / "all.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    status, _, err = memory("import", packed, "--memory", other)
    assert (status, err.endswith("so nobody can be asked: add --yes\n")) == (2, True)
    assert memory("import", packed, "--memory", other, "--yes") == (
        *(0, ""),
        "arvo: imported 2 workflows\n",
    )
    again = memory("export", "-", PORTER, "--memory", other)
    assert again == (0, file.read_text("utf-8"), "arvo: exported 2 workflows\n")
    assert finish(other) == [{"text": "Ann may come in"}, {"letters": 4}]
    assert finish(url) == [{"text": "Ann may come in"}, {"letters": 4}], "it was only read"


def test_a_target_may_wait_for_time(memory: Command, url: str) -> None:
    only = "--memory", url, "--source", "arvo.orc.tally"
    status, _, err = memory("export", "-", "egg:create_handlers", *only)
    assert (status, err) == (0, "arvo: exported 1 workflow\n")


def test_a_workflow_that_waits_for_time_is_named_with_its_timers_and_left_out(
    memory: Command, url: str, tmp_path: Path
) -> None:
    start = ArvoOrchestratorEventFactory(patient.patient.version(patient.WAIT_V1)).init(
        source="com.test.main", data=patient.Wait(name="Ann", seconds=3600)
    )

    async def begin() -> None:
        async with connect_memory(url) as memory:
            await patient.create_handlers(memory)[0].execute(start)

    asyncio.run(begin())
    status, out, err = memory("export", "-", "--memory", url)
    assert status == 1
    assert {json.loads(line)["subject"] for line in out.splitlines()} == {
        KNOCK.subject,
        WORD.subject,
    }
    assert f"arvo: left out: {start.subject} waits for time, and Arvo for TypeScript fires" in err
    assert "no timers: remind at 20" in err
    assert err.endswith(
        "arvo: exported 2 workflows; 1 left out that wait for time (--force writes them for "
        "`import`)\n"
    )
    file, other = tmp_path / "all.jsonl", f"sqlite:///{tmp_path}/new.db"
    assert memory("export", file, "--memory", url, "--force")[0] == 0
    assert memory("import", file, "--memory", other, "--yes")[0] == 0

    async def due(url: str) -> object:
        async with connect_memory(url) as memory:
            assert isinstance(memory, ITimedMachineMemory)
            return await memory.next_due()

    assert asyncio.run(due(other)) == asyncio.run(due(url)), "it fires there"


def test_what_is_exported_can_be_chosen(memory: Command, url: str) -> None:
    _, out, err = memory("export", "-", "--memory", url, "--source", "arvo.orc.tally")
    assert [json.loads(line)["subject"] for line in out.splitlines()] == [WORD.subject]
    assert err == "arvo: exported 1 workflow\n"
    both = "--status", "done", "--status", "failure"
    assert memory("export", "-", "--memory", url, *both)[:2] == (0, "")
    assert memory("export", "-", "--memory", url, "--status", "lost")[0] == 2
    status, _, err = memory("export", "-", "--memory", url, "--source", "")
    assert (status, err) == (2, "arvo: source must not be empty; None means any\n")


def test_without_the_code_a_note_says_that_charts_are_missing(memory: Command, url: str) -> None:
    async def begin_another() -> None:
        async with connect_memory(url) as memory:
            [handler] = porter.create_handlers(memory)
            await handler.execute(OTHER_KNOCK)

    asyncio.run(begin_another())
    for target in (), (f"{TARGETS}/tally",):
        status, out, err = memory("export", "-", *target, "--memory", url)
        assert (status, err.count("machineDefinition; give a TARGET")) == (0, 1)
        assert "machineDefinition" not in out


def test_a_record_that_cannot_be_read_is_named(memory: Command, url: str, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db")
    connection.execute("UPDATE machine SET state = X'5b5d' WHERE id = ?", (KNOCK.subject,))
    connection.commit()
    connection.close()
    status, out, err = memory("export", "-", "--memory", url)
    assert (status, [json.loads(line)["subject"] for line in [out]]) == (1, [WORD.subject])
    assert err.startswith(f"arvo: cannot read the workflow {KNOCK.subject}: the stored record ")
    assert err.endswith("arvo: exported 1 workflow; 1 cannot be read\n")


def test_a_file_is_replaced_only_when_that_was_said(
    memory: Command, url: str, tmp_path: Path
) -> None:
    file, database = tmp_path / "all.jsonl", tmp_path / "old.db"
    file.write_text("precious\n")
    assert memory("export", file, "--memory", url)[0] == 2
    nowhere = f"sqlite:///{tmp_path}/typo.db"
    assert memory("export", file, "--memory", nowhere, "--yes")[0] in {1, 4}
    assert file.read_text() == "precious\n"
    assert not (tmp_path / "typo.db").exists()
    status, _, err = memory("export", database, "--memory", url, "--yes")
    assert (status, "is already in use by this command" in err) == (2, True)
    none = "--status", "failure"
    assert memory("export", file, "--memory", url, "--yes", *none)[0] == 0
    assert file.read_text() == ""
    assert len(finish(url)) == 2


def test_each_line_is_imported_or_named(memory: Command, url: str, tmp_path: Path) -> None:
    file, other = tmp_path / "all.jsonl", f"sqlite:///{tmp_path}/new.db"
    memory("export", file, PORTER, "--memory", url)
    machine, function = lines(file)
    edited = {**function["record"], "state$$": {"word": "edited"}}
    bad = [
        "no JSON",
        "[1]",
        json.dumps({"subject": 7, "record": {}}),
        json.dumps({"subject": "", "record": {}}),
        json.dumps({"subject": "\ud800", "record": {}}),
        json.dumps({**machine, "record": {"status": "active"}}),
        json.dumps({**machine, "record": function["record"]}),
    ]
    good = [json.dumps(function), json.dumps({**function, "record": edited})]
    file.write_text("\n".join([*bad, "", *good]), "utf-8")
    status, out, err = memory("import", file, "--memory", other, "--yes")
    assert (status, out) == (1, "")
    *rejected, left, summary = err.splitlines()
    reasons = [
        "it is not a JSON object: Expecting value: line 1 column 1 (char 0)",
        "it is not a JSON object",
        (
            "expected an object with `subject`, a string, and `record`, an object, as "
            "`arvo memory export` writes it"
        ),
        "its subject is empty, or has NUL or half a character",
        "its subject is empty, or has NUL or half a character",
        "its record is not that of a workflow: its executionStatus or status is missing or unknown",
        "its record is that of another subject",
    ]
    assert rejected == [f"arvo: line {n}: {reason}" for n, reason in enumerate(reasons, start=1)]
    assert left == f"arvo: left as it is, since the memory has it: {WORD.subject}"
    assert summary == (
        "arvo: imported 1 workflow; 1 left as they were (--replace replaces them); 7 lines rejected"
    )
    assert json.loads(memory("export", "-", "--memory", other)[1]) == function
    file.write_text(good[1])
    replaced = memory("import", file, "--memory", other, "--yes", "--replace")
    assert replaced == (0, "", "arvo: imported 1 workflow\n")
    assert json.loads(memory("export", "-", "--memory", other)[1])["record"] == edited


def test_more_workflows_than_one_page_stay_in_order(memory: Command, tmp_path: Path) -> None:
    file, many = tmp_path / "many.jsonl", f"sqlite:///{tmp_path}/many.db?synchronous=normal"
    record = {"executionStatus": "normal", "status": "active", "initEventId": "1"}
    subjects = [f"order-{number}" for number in range(201)]
    file.write_text("\n".join(json.dumps({"subject": s, "record": record}) for s in subjects))
    assert memory("import", file, "--memory", many, "--yes")[0] == 0
    assert memory("export", file, "--memory", many, "--yes")[0] == 0
    assert [line["subject"] for line in lines(file)] == subjects


def test_through_postgres_and_back(
    memory: Command, url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    file, schema = tmp_path / "all.jsonl", f"arvo_{token_hex(8)}"
    memory("export", file, PORTER, "--memory", url)
    joint = "&" if "?" in postgres_dsn else "?"
    server = f"{postgres_dsn}{joint}schema={schema}"
    assert memory("export", "-", "--memory", server)[0] == 1, "read-only, it creates no schema"
    try:
        assert memory("import", file, "--memory", server, "--yes")[0] == 0
        _, out, _ = memory("export", "-", PORTER, "--memory", server)
        assert [json.loads(line) for line in out.splitlines()] == lines(file)
    finally:
        asyncio.run(_drop(postgres_dsn, schema))


async def _drop(dsn: str, schema: str) -> None:
    connection: Any = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("words", "expected", "reason"),
    [
        (("export", "-", "--memory", "redis://u:topsecret@127.0.0.1:1/0"), 4, "cannot export the"),
        (("export", "-", "--memory", "files://state"), 2, "no installed package has a machine"),
        (("export", "-", "--memory", "memory:", "--flavour", "a"), 2, "give one"),
        (("import", "/nowhere/all.jsonl", "--memory", "memory:", "--yes"), 2, "cannot read /now"),
    ],
)
def test_what_cannot_begin_is_one_clear_line(
    memory: Command, words: tuple[str, ...], expected: int, reason: str
) -> None:
    status, out, err = memory(*words)
    assert (status, out, reason in err, err.count("\n")) == (expected, "", True, 1)
    assert "topsecret" not in err
