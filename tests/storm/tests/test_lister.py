"""The lister passes a memory that shows all workflows, and fails one that hides some."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from storm._lister import Lister
from storm._report import Report
from typing_extensions import override

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import QueryTimeoutError
from arvo_event_handler.memory import WorkflowPage


class Forgetful(ConcurrentMachineMemory):
    """Shows no workflow with a certain subject, and at first cannot answer."""

    hidden = ""
    failures = 0

    @override
    async def workflows(self, *args: Any, **options: Any) -> WorkflowPage:
        if self.failures:
            self.failures -= 1
            raise QueryTimeoutError
        page = await super().workflows(*args, **options)
        return replace(
            page, workflows=tuple(each for each in page.workflows if each.subject != self.hidden)
        )


SUBJECTS = {f"order-{number}" for number in range(90)}


@pytest.fixture
async def memory() -> Forgetful:
    memory = Forgetful()
    for subject in sorted(SUBJECTS):
        await memory.write(subject, {"status": "active"}, None)
    return memory


@pytest.mark.parametrize("hidden", ["order-0", "order-44", "order-89"])
async def test_what_is_missing_from_any_page_is_reported(memory: Forgetful, hidden: str) -> None:
    report = Report()
    lister = Lister(memory, report, sources=[], pause=timedelta(0))
    await lister.list_once(SUBJECTS - {"order-7"})
    assert (report.ok, report.listings, report.unlisted) == (True, 1, 0)
    memory.hidden = hidden
    memory.failures = 2
    await asyncio.wait_for(lister.list_until_cancelled(SUBJECTS), timeout=60)
    assert (report.listings, report.unlisted) == (2, 1)
    [problem] = report.problems
    assert problem.startswith("1 of 90 workflows are missing from a listing by ")
    assert problem.endswith(f"such as {hidden}")


async def test_before_anything_has_started_a_listing_proves_nothing(memory: Forgetful) -> None:
    report = Report()
    await Lister(memory, report, sources=[], pause=timedelta(0)).list_once(set())
    assert report.listings == 0
