import functools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from real_servers.fixtures import running

from transport_faults import ENGINES, Engine, Site, limited

LONGEST_TEST = timedelta(minutes=8)  # less than the limit of pytest-timeout, which ends the run


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let a test that hangs fail by itself, so that the others still run."""
    if isinstance(item, pytest.Function):
        item.obj = _limited(item.obj)


def _limited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Any]:
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        async with limited("the test did not end", at_most=LONGEST_TEST):
            await test(*args, **kwargs)

    return run


@pytest.fixture(scope="session", params=ENGINES, ids=[each.name for each in ENGINES])
def engine_kind(request: pytest.FixtureRequest) -> type[Engine]:
    """Each kind of engine."""
    kind: type[Engine] = request.param
    return kind


@pytest.fixture(scope="session")
def engine(engine_kind: type[Engine]) -> Iterator[Engine]:
    """A server for all tests; leave it running."""
    with running(engine_kind.start()) as started:
        yield started


@pytest.fixture
def mortal_engine(engine_kind: type[Engine]) -> Iterator[Engine]:
    """A server that the test may kill, and that forgets nothing then."""
    with running(engine_kind.start(durable=True)) as started:
        yield started


@pytest.fixture
def open_site(engine: Engine, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Open namespaces of the server, with a lease of 1 s; arguments as for `Site.open`."""
    with ExitStack() as stack:

        def opened(**options: Any) -> Site:
            return stack.enter_context(Site.open(engine, folder=tmp_path, **options))

        yield opened


@pytest.fixture
def site(open_site: Callable[..., Site]) -> Site:
    """A namespace of the server."""
    return open_site()


@pytest.fixture
def mortal_site(mortal_engine: Engine, tmp_path: Path) -> Iterator[Site]:
    """A namespace of a server that the test may kill."""
    with Site.open(mortal_engine, folder=tmp_path) as opened:
        yield opened
