from importlib import import_module

import pytest
from conformance.cases import Case, load_cases, vectors_folder


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.id) for case in load_cases(vectors_folder())]
)
async def test_vector(case: Case) -> None:
    if case.skipped:
        pytest.skip(case.skipped)
    await import_module(f"conformance.areas.{case.area}").run(case)
