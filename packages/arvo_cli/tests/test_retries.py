"""`arvo run` tries again as its handlers' `retry_on` and `retry` say."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Jsonl = Callable[[Iterable[object]], Path]


def test_failing_service_is_tried_again_by_its_handlers_policy(
    arvo: Any, targets: Path, jsonl: Jsonl
) -> None:
    path = jsonl([{"away": 2}, {"away": 0}, {"away": 9}])
    done = arvo("run", targets / "flaky", "--events", path, "--contract", "#/test/flaky/1.0.0")
    assert done.status == 0
    data = {answer.type: answer.data for answer in done.answers}
    assert sorted(answer.data.get("calls", 0) for answer in done.answers) == [0, 1, 3]
    assert data["sys.com.flaky.ask.error"]["errorMessage"] == "away"
    assert "3 results + 0 rejected + 0 failed = 3 lines read" in done.err
