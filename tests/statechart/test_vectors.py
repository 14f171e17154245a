"""Machines do what XState does, whether they stay in memory or are stored between events."""

from pathlib import Path

import pytest
from statechart_vectors.cases import FILES, Case, load, source_of
from statechart_vectors.replay import differences

CASES = [
    pytest.param(case, id=f"{Path(file).stem}::{case.name}::{case.xstate}")
    for file in FILES
    for case in load(file)
]


@pytest.mark.parametrize("resumed", [False, True], ids=["live", "resumed"])
@pytest.mark.parametrize("case", CASES)
def test_statechart_vector(case: Case, resumed: bool) -> None:
    assert differences(case, resumed=resumed) == []


@pytest.mark.parametrize("file", FILES)
def test_statechart_vector_file_has_cases(file: str) -> None:
    if source_of(file) is None and file == "scxml.json":
        pytest.skip("the cases derived from the W3C's test suite are not part of the repository")
    assert load(file)
