"""What a workflow's record says passes through the execution's state unchanged."""

from collections.abc import Iterator
from typing import Any

import pytest
from conformance.cases import Case, load_cases, vectors_folder

from arvo_event_handler.memory._record import read_state, write_state

STATEFUL = [
    case for case in load_cases(vectors_folder()) if case.area in ("resumable", "orchestrator")
]


def records(content: Any) -> Iterator[dict[str, Any]]:
    """Return the records anywhere in what a case expects."""
    if isinstance(content, list):
        for item in content:
            yield from records(item)
    elif isinstance(content, dict):
        if "executionStatus" in content:
            yield content
        else:
            yield from records(list(content.values()))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in STATEFUL])
def test_every_record_of_the_typescript_version_comes_back_as_it_was(case: Case) -> None:
    for record in records(case.expected):
        written = write_state(read_state(record, record["subject"]))
        redelivery = written.pop("redelivery")  # ours; the other version does not look at it
        assert written == record
        assert isinstance(redelivery, dict)


def test_there_are_records_to_look_at() -> None:
    assert sum(len(list(records(case.expected))) for case in STATEFUL) > 150


def test_members_that_nobody_knows_stay() -> None:
    record = next(record for case in STATEFUL for record in records(case.expected))
    stranger = {**record, "tag": {"of": ["somebody"]}}
    assert write_state(read_state(stranger, stranger["subject"]))["tag"] == {"of": ["somebody"]}
