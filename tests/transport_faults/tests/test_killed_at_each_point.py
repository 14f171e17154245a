"""Workers kill themselves at each point of a delivery, with workflows and services in hand."""

import signal
import time
from collections import Counter
from random import Random

import pytest

from transport_faults import POINTS, Death, Site, Workflows, strength

pytestmark = [pytest.mark.alone, pytest.mark.scaled, pytest.mark.timeout(600)]
KILLS = strength(quick=4, full=24)
WORKERS = 4


async def test_nothing_is_lost_and_duplicates_are_equal(site: Site) -> None:
    random = Random(16)
    deaths = [
        Death(
            point=POINTS[number % len(POINTS)],
            after=random.randrange(6),
            seconds=random.random() / 250,  # so that one comes before, during and after the call
        )
        for number in range(KILLS)
    ]
    started = time.monotonic()
    async with Workflows.open(site) as workflows:
        await workflows.work(deaths, workers=WORKERS)
        workflows.close()
        report = workflows.report
    async with site.connect() as transport:
        letters = await transport.dead_letters()
    statuses = Counter(worker.process.exitcode for worker in site.workers)
    print(  # noqa: T201
        f"{statuses[-signal.SIGKILL]} kills at {len(POINTS)} points: {report.completions} of "
        f"{report.workflows} workflows complete, {report.duplicates} completions came again and "
        f"{report.doubles} of them differ, {report.booked_again} booked again, {len(letters)} dead; "
        f"{time.monotonic() - started:.1f} s"
    )
    assert report.ok, report.problems
    assert report.completions == report.workflows
    assert not letters
    assert statuses == {-signal.SIGKILL: KILLS, 0: WORKERS}
