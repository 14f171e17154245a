import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from real_servers.fixtures import running

from timer_faults import SHARED, STORES, SqliteStore, Store
from transport_faults import ENGINES, Engine


@pytest.fixture(scope="session")
def started_stores(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[type[Store]], Store]]:
    """Start each kind of store once, for all tests."""
    started: dict[type[Store], Store] = {}
    with ExitStack() as stack:

        def start(kind: type[Store]) -> Store:
            if kind not in started:
                opened = kind.start(tmp_path_factory.mktemp("store"))
                started[kind] = stack.enter_context(running(opened))
            return started[kind]

        yield start


@pytest.fixture(params=SHARED, ids=[each.name for each in SHARED])
async def store(
    request: pytest.FixtureRequest, started_stores: Callable[[type[Store]], Store]
) -> Store:
    """An empty store that several processes can share."""
    opened = started_stores(request.param)
    await opened.empty()
    return opened


@pytest.fixture(params=STORES, ids=[each.name for each in STORES])
async def any_store(
    request: pytest.FixtureRequest, started_stores: Callable[[type[Store]], Store]
) -> Store:
    """An empty store, also one of this process."""
    opened = started_stores(request.param)
    await opened.empty()
    return opened


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """An empty file, for tests of what carries the events."""
    with SqliteStore.start(tmp_path) as started:
        yield started


@pytest.fixture(scope="session", params=ENGINES, ids=[each.name for each in ENGINES])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine that carries events, for all tests."""
    kind: type[Engine] = request.param
    with running(kind.start()) as started:
        yield started


@pytest.fixture
def transport_url(engine: Engine) -> str:
    """The URL of a transport in a namespace of its own."""
    return engine.url(namespace=secrets.token_hex(8), lease=timedelta(seconds=1), partitions=4)
