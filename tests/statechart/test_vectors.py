import pytest
from statechart_vectors.cases import FILES, Case, load
from statechart_vectors.replay import differences

CASES = [
    pytest.param(case, file, id=f"{file.removesuffix('.json')}::{case.name}")
    for file in FILES
    for case in load(file)
]


@pytest.mark.parametrize("resumed", [False, True], ids=["live", "resumed"])
@pytest.mark.parametrize(("case", "file"), CASES)
def test_statechart_vector(case: Case, file: str, resumed: bool) -> None:
    assert differences(case, resumed=resumed) == []
