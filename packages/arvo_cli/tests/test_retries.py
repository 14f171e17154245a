"""`arvo run` tries again what its handlers say is worth another try."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Jsonl = Callable[[Iterable[object]], Path]


def test_a_service_that_is_away_is_tried_again_as_its_handler_says(
    arvo: Any, targets: Path, jsonl: Jsonl
) -> None:
    path = jsonl([{"away": 2}, {"away": 0}, {"away": 9}])
    done = arvo("run", targets / "flaky", "--events", path, "--contract", "#/test/flaky/1.0.0")
    assert done.status == 0
    told = {answer.type: answer.data for answer in done.answers}
    assert sorted(answer.data.get("calls", 0) for answer in done.answers) == [0, 1, 3]
    assert told["sys.com.flaky.ask.error"]["errorMessage"] == "away"
    assert "3 results + 0 rejected + 0 failed = 3 lines read" in done.err
