from collections.abc import AsyncIterator, Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from real_servers.fixtures import running

from reaction_faults import (
    DATABASES,
    Database,
    DoomedSettings,
    PostgresDatabase,
    start,
)
from wallet.bank import Bank, open_bank


@pytest.fixture(scope="session", params=DATABASES, ids=[each.name for each in DATABASES])
def started_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database of each kind, for all tests."""
    kind: type[Database] = request.param
    with running(kind.start(tmp_path_factory.mktemp("database"))) as opened:
        yield opened


@pytest.fixture
async def database(started_database: Database) -> Database:
    """An empty database of each kind."""
    await started_database.empty()
    return started_database


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresDatabase]:
    """A server that the test may kill."""
    with running(PostgresDatabase.start(tmp_path)) as opened:
        yield opened


@pytest.fixture
async def bank(database: Database) -> AsyncIterator[Bank]:
    """The bank there, with its tables."""
    async with open_bank(database.url, create=True) as opened:
        yield opened


@pytest.fixture
def started() -> Iterator[Callable[[DoomedSettings], BaseProcess]]:
    """Start workers, which are killed at the end of the test."""
    processes: list[BaseProcess] = []

    def started(settings: DoomedSettings) -> BaseProcess:
        processes.append(start(settings))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.join()
