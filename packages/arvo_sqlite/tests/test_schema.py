"""A file holds components, each at its own version."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from arvo_sqlite import Component, SqliteClient
from arvo_sqlite._database import Database
from arvo_sqlite._schema import check
from arvo_time import BackendError

MACHINE = Component(
    name="machine",
    title="machine memory",
    package="arvo-memory-sqlite",
    migrations=(("CREATE TABLE machine (id TEXT)",),),
)
EVENT = Component(
    name="event",
    title="event store",
    package="arvo-event-store",
    migrations=(("CREATE TABLE event (id TEXT)",), ("ALTER TABLE event ADD COLUMN data TEXT",)),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def open_and_close(path: Path, *components: Component) -> None:
    async with SqliteClient.connect(path, components=components):
        pass


def of(path: Path, what: str) -> object:
    """Return the first column of the first row."""
    with closing(sqlite3.connect(path)) as connection:
        (answer,) = connection.execute(what).fetchone()
        return answer


def versions(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT component, version FROM schema_version"))


def further(component: Component, *statements: str) -> Component:
    return replace(component, migrations=(*component.migrations, statements))


async def test_a_file_with_only_machines_has_their_version_as_user_version(path: Path) -> None:
    await open_and_close(path, MACHINE)
    assert of(path, "PRAGMA user_version") == 1
    assert of(path, "PRAGMA application_id") == 0x4172766F
    assert of(path, "SELECT count(*) FROM sqlite_master") == 1, "its table and no other"


@pytest.mark.parametrize(
    "opened", [[[MACHINE, EVENT]], [[EVENT, MACHINE]], [[MACHINE], [EVENT]], [[EVENT], [MACHINE]]]
)
async def test_components_join_a_file_in_any_order(
    path: Path, opened: list[list[Component]]
) -> None:
    for components in opened:
        await open_and_close(path, *components)
    assert of(path, "PRAGMA user_version") == 1
    assert versions(path) == {"event": 2}
    for table in ("machine", "event"):
        assert of(path, f"SELECT count(*) FROM {table}") == 0  # noqa: S608 - from above


@pytest.mark.parametrize("component", [MACHINE, EVENT])
async def test_migrating_one_component_does_not_change_the_other(
    path: Path, component: Component
) -> None:
    await open_and_close(path, MACHINE, EVENT)
    newer = further(component, f"ALTER TABLE {component.name} ADD COLUMN note TEXT")
    for _ in range(2):
        await open_and_close(path, newer)
    assert of(path, "PRAGMA user_version") == len(
        (newer if component is MACHINE else MACHINE).migrations
    )
    assert versions(path) == {"event": len((newer if component is EVENT else EVENT).migrations)}


@pytest.mark.parametrize("component", [MACHINE, EVENT])
async def test_a_newer_component_is_refused_only_by_clients_that_use_it(
    path: Path, component: Component
) -> None:
    newer = further(component, f"ALTER TABLE {component.name} ADD COLUMN note TEXT")
    await open_and_close(path, MACHINE, EVENT)
    await open_and_close(path, newer)
    before = path.read_bytes()  # noqa: ASYNC240 - nothing else runs
    present = len(component.migrations)
    message = (
        f"{path}: the file has schema version {present + 1}, but this {component.package} supports "
        f"at most {present}; install a newer {component.package}"
    )
    for components in ([component], [MACHINE, EVENT]):
        with pytest.raises(BackendError) as caught:
            await open_and_close(path, *components)
        assert str(caught.value) == message
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed")
    assert path.read_bytes() == before  # noqa: ASYNC240
    await open_and_close(path, EVENT if component is MACHINE else MACHINE)


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ([MACHINE], "for the machine memory"),
        ([MACHINE, EVENT], "machine memory and the event store"),
    ],
)
async def test_a_database_of_another_program_is_refused_and_not_changed(
    path: Path, components: list[Component], message: str
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE invoice (id)")
    before = path.read_bytes()  # noqa: ASYNC240 - nothing else runs
    with pytest.raises(BackendError, match=message):
        await open_and_close(path, *components)
    assert path.read_bytes() == before  # noqa: ASYNC240


@pytest.mark.parametrize("broken", [MACHINE, EVENT])
async def test_a_migration_that_fails_leaves_all_components_as_they_were(
    path: Path, broken: Component
) -> None:
    await open_and_close(path, MACHINE, EVENT)
    components = [
        further(each, "ALTER TABLE nowhere ADD COLUMN note TEXT")
        if each is broken
        else further(each, f"ALTER TABLE {each.name} ADD COLUMN note TEXT")
        for each in (MACHINE, EVENT)
    ]
    with pytest.raises(BackendError, match="no such table: nowhere"):
        await open_and_close(path, *components)
    assert of(path, "PRAGMA user_version") == 1
    assert versions(path) == {"event": 2}
    for table in ("machine", "event"):
        columns = f"SELECT count(*) FROM pragma_table_info('{table}') WHERE name = 'note'"  # noqa: S608
        assert of(path, columns) == 0


def test_a_file_that_another_process_creates_meanwhile_is_accepted(path: Path) -> None:
    """Everything that is read of it comes from one snapshot."""
    database = Database(
        path=str(path), components=(MACHINE,), synchronous="full", busy_timeout=timedelta(0)
    )

    class Overtaken(sqlite3.Connection):
        @override
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            # After the pragmas, whose answers were fetched: only a transaction keeps the other out.
            if "sqlite_master" in sql:
                with suppress(BackendError):
                    database.open_writer().close()
            return super().execute(sql, parameters)

    path.touch()
    connection = sqlite3.connect(path, isolation_level=None, factory=Overtaken)
    check(connection, [MACHINE], where="state.db")
    connection.close()
