"""Statements that answer which workflows there are. Each question is one statement."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from arvo_event_handler.memory import (
    CountRequest,
    PageRequest,
    StoredWorkflow,
    WorkflowQuery,
    summary_of_record,
)

from ._statements import EXPIRED, HELD

_COLUMNS: Final = f"""m.key, m.machine_id, m.status, m.workflow_key, m.source, m.contract_version,
    m.initiator, m.parent, m.root, m.waits_for, m.waits_since, m.due, m.error, m.version,
    m.created_at, m.updated_at, m.expires_at, CASE WHEN {HELD} THEN m.lease_until END AS lease_until"""
_SHOWN: Final = f"m.version > 0 AND ({EXPIRED}) IS NOT TRUE"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ACTIVE_LAST: Final = ("done", "failure", "active").index
_MICROSECOND: Final = timedelta(microseconds=1)

WORKFLOW: Final = f"SELECT {_COLUMNS} FROM {{table}} AS m WHERE m.key = $1 AND {_SHOWN}"
"""Finds one workflow by its key in the table."""


class Question:
    """A statement with its parameters."""

    def __init__(self) -> None:
        self.sql = ""
        self.values: list[object] = []

    @classmethod
    def page(cls, request: PageRequest) -> "Question":
        """Ask for one page, with one more workflow if there is one; in the order of no one."""
        question = cls()
        beyond, order = "", "ASC" if request.oldest_first else "DESC"
        if request.start is not None:
            at, key = request.start
            than = ">" if request.oldest_first else "<"
            start = question._value(_EPOCH + at * _MICROSECOND, "timestamptz")
            last = question._value(key.to_bytes(16, "big"), "bytea")
            beyond = f"AND (m.created_at, m.key) {than} ({start}, {last})"
        question.sql = question._union(
            request.query,
            _COLUMNS,
            f"{beyond} ORDER BY m.created_at {order}, m.key {order} LIMIT {request.limit + 1}",
        )
        return question

    @classmethod
    def count(cls, request: CountRequest) -> "Question":
        """Ask for a count."""
        question = cls()
        # In order too: without it, PostgreSQL reads the table if it believes that this ends early.
        limit = f"LIMIT {request.at_most + 1}"
        counted = question._union(
            request.query, "1", f"ORDER BY m.created_at DESC, m.key DESC {limit}"
        )
        some = f"SELECT 1 FROM ({counted}) AS each {limit}"
        question.sql = f"SELECT count(*) AS found FROM ({some}) AS counted"
        return question

    def _union(self, query: WorkflowQuery, columns: str, end: str) -> str:
        """Return the statement: one ordered walk over an index for each branch."""
        conditions = " AND ".join([_SHOWN, *self._conditions(query)])
        return " UNION ALL ".join(
            f"(SELECT {columns} FROM {{table}} AS m WHERE {branch} AND {conditions} {end})"
            for branch in _branches(query)
        )

    def _conditions(self, query: WorkflowQuery) -> list[str]:
        conditions: list[str] = []
        for column, text in [
            ("workflow_key", query.key),
            ("root", query.root),
            ("source", query.source),
            ("error", query.error),
        ]:
            if text is not None:
                conditions.append(f"m.{column} = {self._value(text, 'text')}")
        if query.waits_for is not None:
            conditions.append(f"{self._value(query.waits_for, 'text')} = ANY (m.waits_for)")
        for comparison, time in [
            ("created_at >", query.started_after),
            ("created_at <", query.started_before),
            ("updated_at <", query.no_step_since),
        ]:
            if time is not None:
                conditions.append(f"m.{comparison} {self._value(time, 'timestamptz')}")
        return conditions

    def _value(self, value: object, kind: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


def position(row: Any) -> tuple[int, int]:
    """Return where the workflow of a row stands in the order."""
    return (row["created_at"] - _EPOCH) // _MICROSECOND, int.from_bytes(row["key"], "big")


def stored_workflow(row: Any) -> StoredWorkflow:
    """Return the workflow of a row."""
    subject: str = row["machine_id"]
    status = row["status"]
    source, key, version, initiator = (
        row["source"],
        row["workflow_key"],
        row["contract_version"],
        row["initiator"],
    )
    if source is None or key is None or version is None or initiator is None:
        # A row of the version before, or what PostgreSQL could not store.
        said = summary_of_record({}, subject=subject)
        source, key = source or said.source, key or said.key
        version, initiator = version or said.version, initiator or said.initiator
    return StoredWorkflow(
        subject=subject,
        status=status,
        finished=status != "active",
        source=source,
        key=key,
        version=version,
        initiator=initiator,
        parent=row["parent"],
        root=row["root"] or subject,
        waits_for=tuple(row["waits_for"] or ()),
        waits_since=row["waits_since"],
        due=row["due"],
        error=row["error"],
        record_version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        expires_at=row["expires_at"],
        lease_until=row["lease_until"],
    )


def _branches(query: WorkflowQuery) -> list[str]:
    """Return conditions that exclude each other, under each of which an index gives the order."""
    statuses = sorted(query.statuses)
    if query.key is not None or query.root is not None:
        # Few workflows have the same key or root: they are found by it, and sorted.
        return [f"m.status IN ({', '.join(map(repr, statuses))})"]
    # Those that are done come first: most are, so a count that may end early does.
    return [f"m.status = '{status}'" for status in sorted(statuses, key=_ACTIVE_LAST)]
