"""Finishes scenarios that another process began: tasks on standard input, outcomes on output.

Each task is one line, `{"case": id, "progress": ...}`; each outcome is one, `{"failed": text}`,
where null says that all went as the vector shows.
"""

import asyncio
import json
import sys
from importlib import import_module
from typing import Any

from .cases import Case, load_cases, vectors_folder
from .memories import PlainMemory
from .scenario import Scenario

AREAS = ("orchestrator", "resumable")
"""The areas whose cases keep state."""


def handed_over() -> list[Case]:
    """Return the cases that can be interrupted: those that reach a second step without faults."""
    return [case for case in load_cases(vectors_folder()) if case.area in AREAS and _is_long(case)]


def scenario(case: Case) -> Scenario:
    """Make the scenario of a case over an empty memory."""
    area = import_module(f"conformance.areas.{case.area}")
    return Scenario(case, build=area.build, memory=PlainMemory())


def _is_long(case: Case) -> bool:
    if case.skipped or "ok" not in case.expected:
        return False
    steps = case.input["steps"]
    return len(steps) > 1 and not any(step.get("faults") for step in steps)


async def _finish(case: Case, progress: Any) -> None:
    resumed = scenario(case)
    resumed.resume(progress)
    await resumed.advance(resumed.length)


def main() -> None:
    """Finish the scenarios on standard input."""
    cases = {case.id: case for case in handed_over()}
    for line in sys.stdin:
        task = json.loads(line)
        try:
            asyncio.run(_finish(cases[task["case"]], task["progress"]))
            failed = None
        except Exception as error:
            failed = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps({"failed": failed}) + "\n")


if __name__ == "__main__":
    main()
