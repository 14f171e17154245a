"""What a query and a page may be asked for, and what is refused before a memory looks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arvo_event_handler.memory import (
    PageRequest,
    StoredWorkflow,
    WorkflowQuery,
    WorkflowSummary,
    summary_of_record,
)

NOW = datetime(2030, 5, 6, tzinfo=UTC)
WORKFLOW = StoredWorkflow.of(
    WorkflowSummary(
        status="active",
        finished=False,
        source="arvo.orc.order",
        key="order-7",
        version="1.0.0",
        initiator="com.app.main",
        root="a",
    ),
    subject="a",
    root="a",
    record_version=1,
    created_at=NOW,
    updated_at=NOW,
    expires_at=None,
    lease_until=None,
)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"status": "active"}, TypeError, "status must be a set of statuses, got 'active'"),
        (
            {"status": {"running"}},
            ValueError,
            "status must be of active, done, failure, got 'running'",
        ),
        ({"status": {None}}, ValueError, "status must be of active, done, failure, got None"),
        ({"source": 7}, TypeError, "source must be a string or None, got 7"),
        ({"key": ""}, ValueError, "key must not be empty; None means any"),
        ({"error": "\ud800"}, ValueError, "error must be valid Unicode"),
        ({"root": "a\0b"}, ValueError, "root must not contain NUL"),
        ({"started_after": "today"}, TypeError, "started_after must be a datetime or None"),
        (
            {"started_before": NOW.replace(tzinfo=None)},
            ValueError,
            "started_before must have a time zone",
        ),
        ({"no_step_since": NOW.replace(tzinfo=None)}, ValueError, "no_step_since must have a"),
    ],
)
def test_a_wrong_field_is_refused(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        WorkflowQuery(**fields)


def test_a_query_can_be_a_key() -> None:
    assert {WorkflowQuery(status={"done"}): 1}[WorkflowQuery(status=frozenset({"done"}))] == 1


def test_a_field_by_which_a_memory_cannot_search_is_named() -> None:
    query = WorkflowQuery(root="a", key="b", status={"active"})
    query.check_answerable("Redis", lacks={"waits_for", "error"})
    with pytest.raises(ValueError, match="Redis cannot search by root; leave it out"):
        query.check_answerable("Redis", lacks={"root"})


def requested(after: str | None, *, kind: str = "list", length: int = 2) -> PageRequest:
    return PageRequest.of(
        WorkflowQuery(), after=after, limit=1, oldest_first=False, cursors=kind, length=length
    )


def test_a_cursor_is_of_one_kind_of_memory() -> None:
    found = [((3, -(2**70)), WORKFLOW), ((4, 5), replace(WORKFLOW, subject="b"))]
    cursor = requested(None).page(found).next
    assert requested(cursor).start == (3, -(2**70))
    with pytest.raises(ValueError, match="after is a cursor of a list memory, not of a tree one"):
        requested(cursor, kind="tree")
    with pytest.raises(ValueError, match="after must be the `next` of a page"):
        requested(cursor, length=1)
    other: Any = 7
    with pytest.raises(TypeError, match="after must be a str, got 7"):
        requested(other)


def test_times_are_compared_across_zones() -> None:
    assert WorkflowQuery(started_after=NOW.astimezone() - timedelta(seconds=1)).matches(WORKFLOW)
    assert not WorkflowQuery(started_before=NOW.astimezone()).matches(WORKFLOW)


def test_a_record_says_what_failed_and_where_it_belongs() -> None:
    record: dict[str, Any] = {
        "executionStatus": "failure",
        "parentSubject": "top",
        "error": {"name": "KeyError", "message": "no"},
    }
    summary = summary_of_record(record, subject="order-7")
    assert (summary.status, summary.finished, summary.error) == ("failure", True, "KeyError")
    assert (summary.parent, summary.root, summary.key) == ("top", "top", "order-7")
    odd: dict[str, Any] = {"parentSubject": 7, "error": "text", "initEventId": None, "status": []}
    summary = summary_of_record(odd, subject="order-7")
    assert (summary.status, summary.parent, summary.error) == ("active", None, None)
