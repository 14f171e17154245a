"""`arvo memory` on the memories that Arvo brings."""

import asyncio
import gzip
import json
import shutil
import sqlite3
from pathlib import Path
from secrets import token_hex
from typing import Any

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
from redis import Redis

from .memory_command import Command, Terminal, memory as memory

PACKAGES = Path(__file__).parent.parent / "packages"


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A file of SQLite that the first version made."""
    path = tmp_path / "state.db"
    made = PACKAGES / "arvo_memory_sqlite/tests/machine_1.db.gz"
    with gzip.open(made) as source, path.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    return path


def user_version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return int(version)
    finally:
        connection.close()


def test_migrate_a_sqlite_file(
    memory: Command, old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARVO_MEMORY", f"sqlite:///{old_file}")
    before = old_file.read_bytes()
    status, out, err = memory("migrate", "--dry-run")
    assert (status, err) == (0, "arvo: would bring the tables from version 1 to version 5\n")
    assert "DROP TABLE machine;\n" in out
    status, out, err = memory("migrate")
    assert (status, out) == (2, "")
    assert err.endswith("Standard input is no terminal, so nobody can be asked: add --yes\n")
    assert old_file.read_bytes() == before
    assert memory("migrate", "--yes") == (
        *(0, ""),
        "arvo: brought the tables from version 1 to version 5\n",
    )
    assert user_version(old_file) == 5
    assert memory("migrate") == (0, "", "arvo: the tables have version 5, the newest\n")


@pytest.mark.parametrize(("answer", "expected"), [("n", 1), ("y", 0)])
def test_a_user_at_a_terminal_is_asked(
    memory: Command, old_file: Path, monkeypatch: pytest.MonkeyPatch, answer: str, expected: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    status, _, err = memory("migrate", "--memory", f"sqlite:///{old_file}")
    assert (status, "are all workers stopped? [y/N]" in err) == (expected, True)
    assert user_version(old_file) == (1 if expected else 5)


def test_a_sqlite_file_that_does_not_exist_is_not_created(memory: Command, tmp_path: Path) -> None:
    status, _, err = memory("migrate", "--memory", f"sqlite:///{tmp_path}/typo.db", "--yes")
    assert (status, f"there is no file {tmp_path}/typo.db" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_sqlite_file_is_refused(memory: Command, old_file: Path) -> None:
    connection = sqlite3.connect(old_file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    status, _, err = memory("migrate", "--memory", f"sqlite:///{old_file}", "--yes")
    assert (status, "install a newer arvo-memory-sqlite" in err) == (1, True)


async def _execute(dsn: str, sql: str) -> None:
    connection: Any = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def test_migrate_postgres(memory: Command, postgres_dsn: str) -> None:
    schema = f"arvo_{token_hex(8)}"
    made = (PACKAGES / "arvo_memory_postgres/tests/schema_1.sql").read_text("utf-8")
    asyncio.run(_execute(postgres_dsn, made.replace('"shop"', f'"{schema}"')))
    joint = "&" if "?" in postgres_dsn else "?"
    url = f"{postgres_dsn}{joint}schema={schema}"
    try:
        status, sql, err = memory("migrate", "--memory", url, "--dry-run")
        assert (status, "machines_chunks" in sql) == (0, True)
        assert err == "arvo: would create the tables or bring them up to date\n"
        status, out, _ = memory("migrate", "--memory", url, "--yes")
        assert (status, out) == (0, "")
        assert memory("migrate", "--memory", url) == (0, "", "arvo: the tables are up to date\n")
    finally:
        asyncio.run(_execute(postgres_dsn, f'DROP SCHEMA "{schema}" CASCADE'))


def test_migrate_redis(memory: Command, start_redis: StartRedis) -> None:
    server = start_redis()
    made = json.loads((PACKAGES / "arvo_memory_redis/tests/hashes_1.json").read_text("utf-8"))
    with Redis.from_url(server.url) as client:
        for key, fields in made["hashes"].items():
            mapping = {name: value.encode("latin-1") for name, value in fields.items()}
            client.hset(f"shop{key}", mapping=mapping)
        url = f"{server.url}?prefix=shop"
        assert memory("migrate", "--memory", url, "--dry-run") == (
            *(0, ""),
            "arvo: would move 6 workflows to the present keys\n",
        )
        assert client.dbsize() == 6
        # One of them also has a record of a worker of this version.
        [key] = [each for each in made["hashes"] if each.startswith("m:3b47")]
        both = f"{{shop{int(key[-2:], 16)}}}{key}"
        client.hset(both, mapping={"version": "1", "last_owner": "other"})
        status, _, err = memory("migrate", "--memory", url, "--yes")
        left, done = err.splitlines()
        assert status == 1
        assert left.startswith(f"arvo: shop{key} and {both} hold different records")
        assert done == "arvo: moved 5 workflows to the present keys"
        client.unlink(both)
        assert memory("migrate", "--memory", url, "--yes")[0] == 0
        assert memory("migrate", "--memory", url) == (0, "", "arvo: the keys are up to date\n")
        listed = client.zrange("{shopi}:all", 0, -1)
        client.unlink("{shopi}:all")
        assert memory("reindex", "--memory", url)[0] == 2, "nobody can be asked"
        assert memory("reindex", "--memory", url, "--yes") == (
            *(0, ""),
            "arvo: the index has 5 workflows\n",
        )
        assert sorted(client.zrange("{shopi}:all", 0, -1)) == sorted(listed)


def test_a_memory_without_a_migration_says_so(memory: Command) -> None:
    status, out, err = memory("migrate", "--memory", "memory:")
    assert (status, out) == (0, "")
    assert err == "arvo: memories with memory: have no migration; there is nothing to do\n"


@pytest.mark.parametrize(
    ("url", "expected", "reason"),
    [
        ("redis://u:topsecret@127.0.0.1:1/0", 4, "cannot migrate the redis memory"),
        ("postgresql://u:topsecret@127.0.0.1:1/db", 4, "cannot migrate the postgresql memory"),
        ("files://state", 2, "no installed package has a machine memory for files:"),
        ("redis://u:topsecret@127.0.0.1:1/0?prefi=x", 2, "prefix"),
    ],
)
def test_a_memory_that_cannot_be_migrated(
    memory: Command, url: str, expected: int, reason: str
) -> None:
    status, out, err = memory("migrate", "--memory", url, "--yes")
    assert (status, out, reason in err) == (expected, "", True)
    assert err.count("\n") == 1
    assert "topsecret" not in err


def test_a_memory_without_an_index_of_its_own_says_so(memory: Command) -> None:
    status, out, err = memory("reindex", "--memory", "memory:")
    assert (status, out, "keeps no index apart" in err) == (0, "", True)
    assert memory("reindex", "--memory", "redis://127.0.0.1:1/0", "--yes")[0] == 4


def test_help_names_the_commands(memory: Command) -> None:
    status, out, _ = memory("--help")
    assert (status, "migrate" in out, "reindex" in out) == (0, True, True)
