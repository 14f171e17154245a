"""Workflows keep the timers of their machines as the cases on time say."""

import pytest
from statechart_vectors.cases import Case, load
from statechart_vectors.hosted import hosted_differences

CASES = [pytest.param(case, id=f"after::{case.name}::{case.xstate}") for case in load("after.json")]


@pytest.mark.parametrize("case", CASES)
async def test_statechart_vector_as_a_workflow(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    warm = case.xstate == "5.33"
    assert await hosted_differences(case, warm=warm) == []
    # Which is said of states that were entered by code without their delays.
    assert "no timer is pending" not in caplog.text
