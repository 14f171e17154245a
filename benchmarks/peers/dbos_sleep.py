"""The durable sleep of DBOS. It is in no environment of ours: `uv run --with dbos` brings it."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

from dbos import DBOS, DBOSConfig  # type: ignore[import-not-found]

_late: list[float] = []


@DBOS.workflow()  # type: ignore[untyped-decorator]
async def wait(seconds: float) -> None:
    """Sleep, and note how late the end of it is."""
    due = datetime.now(UTC) + timedelta(seconds=seconds)
    await DBOS.sleep_async(seconds)
    _late.append((datetime.now(UTC) - due).total_seconds())


async def lateness(dsn: str, *, timers: int, within: float) -> list[float]:
    """Return how late each of the sleeps ended, in seconds.

    Args:
        dsn: Where PostgreSQL is; a database of its own is made there.
        timers: How many workflows sleep.
        within: Seconds that all sleeps end within.
    """
    config: DBOSConfig = {
        "name": "late-timers",
        "system_database_url": dsn,
        "log_level": "ERROR",
        "run_migrations": True,
    }
    DBOS(config=config)
    DBOS.launch()
    try:
        chance = random.Random(1)  # noqa: S311
        waiting = [
            await DBOS.start_workflow_async(wait, chance.uniform(within / 2, within))
            for _ in range(timers)
        ]
        await asyncio.gather(*(each.get_result() for each in waiting))
    finally:
        DBOS.destroy()
    return _late
