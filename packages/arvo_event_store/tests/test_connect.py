"""Stores by URL: the ones of this package, and those that other packages register."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from arvo_event_store import (
    MemoryEventStore,
    NewEvent,
    SchemaError,
    SqliteEventStore,
    StoreFailure,
    UnknownStoreError,
    connect_event_store,
    migrate_event_store,
)
from arvo_event_store.postgres import PostgresEventStore

MODULE = """
from contextlib import asynccontextmanager
from arvo_event_store import MemoryEventStore

opened = []

@asynccontextmanager
async def connect(url):
    opened.append(url)
    async with MemoryEventStore() as store:
        yield store
    opened.append("closed")

async def migrate(url, *, dry_run):
    return f"CREATE {url} {dry_run}"
"""
ENTRY_POINTS = """
[arvo.event_store]
toy = toy_store_of_connect:connect
broken = toy_store_of_connect:no_such_name
[arvo.event_store_migration]
toy = toy_store_of_connect:migrate
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with stores of its own."""
    info = tmp_path / "toy_store-1.0.dist-info"
    info.mkdir()
    (tmp_path / "toy_store_of_connect.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-store\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_store_of_connect", raising=False)


async def test_a_store_of_this_process() -> None:
    async with connect_event_store("memory:?max_payload_bytes=64") as store:
        assert isinstance(store, MemoryEventStore)
        with pytest.raises(Exception, match="64"):
            await store.append("a", [NewEvent("Added", "x" * 100)])


async def test_a_file_is_created_and_opened_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a%20b.db"
    async with connect_event_store(f"{url}?synchronous=normal") as store:
        assert isinstance(store, SqliteEventStore)
        await store.append("a", [NewEvent("Added", 7)])
    async with connect_event_store(f"{url}?read_only=true") as store:
        assert [event.data async for event in store.read("a")] == [7]
        with pytest.raises(StoreFailure):
            await store.append("a", [NewEvent("Added", 8)])
    assert (tmp_path / "a b.db").exists()


async def test_a_database_is_not_reached() -> None:
    opening = connect_event_store("postgresql://127.0.0.1:1/shop?schema=bank&pool_size=1")
    with pytest.raises(StoreFailure) as caught:
        async with opening as store:
            assert isinstance(store, PostgresEventStore)
    assert caught.value.retryable


@pytest.mark.usefixtures("toys")
async def test_the_package_of_the_scheme_gets_the_whole_url() -> None:
    async with connect_event_store("TOY://host/7?size=3") as store:
        assert isinstance(store, MemoryEventStore)
    assert sys.modules["toy_store_of_connect"].opened == ["TOY://host/7?size=3", "closed"]
    assert await migrate_event_store("toy:x", dry_run=True) == "CREATE toy:x True"


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("unheard://ann:secret@host", "unheard"),
        ("UNHEARD:secret", "unheard"),
        ("secret.db", None),
        ("", None),
        ("z" * 100_000 + "://secret", None),
    ],
)
async def test_an_unknown_scheme_is_refused_with_the_installed_ones(
    url: str, scheme: str | None
) -> None:
    with pytest.raises(UnknownStoreError) as caught:
        connect_event_store(url)
    assert caught.value.scheme == scheme
    assert caught.value.installed == (
        *("broken", "memory", "postgres", "postgresql", "sqlite", "toy"),
    )
    assert "sqlite:" in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(UnknownStoreError):
        await migrate_event_store(url)


@pytest.mark.usefixtures("toys")
def test_a_package_without_the_function_that_it_names() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        connect_event_store("broken:x")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory:events", "takes only options"),
        ("memory:?size=1", "there is no option 'size'"),
        ("sqlite:", "names no file"),
        ("sqlite://events.db", "two slashes begin"),
        ("sqlite:///:memory:", "write memory:"),
        ("sqlite:///events.db?read_only=yes", "read_only must be true or false"),
        ("sqlite:///events.db?max_payload_bytes=1MiB", "must be an integer"),
        ("sqlite:///events.db?synchronus=full", "did you mean synchronous?"),
        ("postgresql://host:99999/shop", "the port must be between"),
        ("postgresql://host/shop?statement_timeout=5", "a number with its unit"),
        ("postgresql://host/shop?pool_sise=5", "did you mean pool_size?"),
    ],
)
def test_a_wrong_url_is_refused_before_anything_is_opened(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        connect_event_store(url)


async def test_a_file_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    url = f"sqlite:///{path}"
    with pytest.raises(ValueError, match="there is no file"):
        await migrate_event_store(url)
    assert not path.exists()
    path.touch()
    sql = await migrate_event_store(url, dry_run=True)
    assert "CREATE TABLE" in sql
    assert path.stat().st_size == 0
    assert await migrate_event_store(url) == sql
    assert await migrate_event_store(url) == ""
    async with connect_event_store(f"{url}?read_only=true") as store:
        assert await store.horizon() == 0


async def test_a_file_that_is_newer_or_of_others_is_not_migrated(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/events.db"
    async with connect_event_store(url) as store:
        assert isinstance(store, SqliteEventStore)
        await store.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(SchemaError, match="arvo-event-store"):
        await migrate_event_store(url)
    (tmp_path / "other.db").write_text("no database at all, but long enough to look like one" * 9)
    with pytest.raises(StoreFailure):
        await migrate_event_store(f"sqlite:///{tmp_path}/other.db")


async def test_memory_has_nothing_to_migrate() -> None:
    assert await migrate_event_store("memory:") == ""


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: Any) -> None:
    for name in [each for each in sys.modules if each.startswith("arvo_event_store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.setitem(sys.modules, "arvo_postgres", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'arvo-event-store\[postgres\]'"):
        connect_event_store("postgresql://host/shop")
