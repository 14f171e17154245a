"""A workflow begun in one place is finished in another, from its stored record alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conformance.cases import Case
from conformance.comparison import Difference
from conformance.hand_over import handed_over, scenario

CASES = handed_over()
POINTS = [
    pytest.param(case, end, id=f"{case.id}-after-{end}")
    for case in CASES
    for end in range(1, scenario(case).length)
]
COMMITTED = pytest.mark.skipif(
    "ARVO_VECTORS" in os.environ,
    reason="only for the committed vectors, and ARVO_VECTORS names others",
)
SOURCES = Path(__file__).parent / "src"


def finish_elsewhere(tasks: list[dict[str, Any]]) -> list[str | None]:
    """Finish scenarios in one new process; return the error of each, None if it passed."""
    path = os.pathsep.join([str(SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])])
    finished = subprocess.run(
        [sys.executable, "-m", "conformance.hand_over"],
        input="".join(f"{json.dumps(task)}\n" for task in tasks),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line)["failed"] for line in finished.stdout.splitlines()]


async def interrupted(case: Case, end: int) -> dict[str, Any]:
    return {"case": case.id, "progress": await scenario(case).advance(end)}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def outcomes(anyio_backend: str) -> dict[tuple[str, int], str | None]:
    """Interrupt every case at every step, and finish them all in one new process."""
    points: list[tuple[Case, int]] = [(each.values[0], each.values[1]) for each in POINTS]  # type: ignore[misc]
    tasks = [await interrupted(case, end) for case, end in points]
    failures = finish_elsewhere(tasks)
    return {(case.id, end): failed for (case, end), failed in zip(points, failures, strict=True)}


@COMMITTED
def test_enough_cases_are_handed_over() -> None:
    assert sum(case.area == "orchestrator" for case in CASES) >= 20


@pytest.mark.parametrize(("case", "end"), POINTS)
async def test_a_new_process_finishes_a_workflow_stored_here(
    outcomes: dict[tuple[str, int], str | None], case: Case, end: int
) -> None:
    assert outcomes[case.id, end] is None


@pytest.mark.parametrize(("case", "end"), POINTS)
async def test_a_workflow_stored_by_the_typescript_version_is_finished_here(
    case: Case, end: int
) -> None:
    ours = scenario(case)
    ours.resume(json.loads(json.dumps(ours.shown(end))))
    await ours.advance(ours.length)


@COMMITTED
async def test_a_record_that_was_tampered_with_is_noticed() -> None:
    case = next(case for case in CASES if case.id == "orchestrator::seq")
    task = await interrupted(case, 1)
    [record] = task["progress"]["records"].values()
    record["state"]["context"]["n"] = 1000
    [failed] = finish_elsewhere([task])
    assert failed is not None
    assert failed.startswith(Difference.__name__)
