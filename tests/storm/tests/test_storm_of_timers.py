"""The storm over workflows that wait for timers, of which about half are cancelled."""

from pathlib import Path
from typing import Final

import pytest
from real_servers.fixtures import running

from arvo_memory_postgres import PostgresMachineMemory
from real_servers import (
    PostgresServer,
    RedisServer,
    postgres_flavours,
    redis_flavours,
)
from storm import check_storm

pytestmark = [pytest.mark.alone, pytest.mark.scaled]
TIMERS: Final = 5


def check_timers(memory: str) -> None:
    """Run the storm, and print how the timers ended."""
    report = check_storm(memory, timers=TIMERS)
    fired, timers = report.ledger["rung"], TIMERS * report.workflows
    print(  # noqa: T201
        f"{report.memory}: {timers} timers, {fired} fired once and {timers - fired} cancelled, "
        f"{report.ticks} ticks, {report.kills} kills; {report.seconds:.1f} s"
    )
    assert report.ticks >= fired
    assert 0 < fired < timers


def test_no_timer_is_lost_or_fires_twice_on_sqlite(tmp_path: Path) -> None:
    check_timers(f"sqlite:///{tmp_path}/state.db?synchronous=normal")


async def test_no_timer_is_lost_or_fires_twice_on_postgres() -> None:
    with running(PostgresServer.start(postgres_flavours()[-1])) as postgres:
        async with PostgresMachineMemory.connect(postgres.dsn) as memory:
            await memory.migrate()
        check_timers(postgres.dsn)


def test_no_timer_is_lost_or_fires_twice_on_redis() -> None:
    with running(RedisServer.start(redis_flavours()[-1])) as redis:
        check_timers(redis.url)
