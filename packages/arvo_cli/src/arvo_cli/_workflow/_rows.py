"""How workflows and their timers are shown in listings."""

from datetime import datetime
from typing import Final

from arvo_cli._terminal._listing import Column, age, local_time, until
from arvo_event_handler.memory import StoredTimer, StoredWorkflow

WORKFLOW_COLUMNS: Final = (
    Column("key", whole=True),
    Column("type", whole=True),
    Column("status", whole=True),
    Column("age", justify="right"),
    Column("waits for", whole=True),
    Column("since", justify="right"),
    Column("due", justify="right"),
)
TIMER_COLUMNS: Final = (
    Column("key", whole=True),
    Column("type", whole=True),
    Column("timer", whole=True),
    Column("at"),
    Column("due", justify="right"),
)


def workflow_json(workflow: StoredWorkflow) -> dict[str, object]:
    """Return a workflow as `--json` shows it."""
    return {
        "subject": workflow.subject,
        "key": workflow.key,
        "type": workflow.source,
        "version": workflow.version,
        "status": status_of(workflow),
        "error": workflow.error,
        "initiator": workflow.initiator,
        "parent": workflow.parent,
        "root": workflow.root,
        "waits_for": list(workflow.waits_for),
        "waits_since": workflow.waits_since,
        "due": workflow.due,
        "created_at": workflow.created_at,
        "updated_at": workflow.updated_at,
        "expires_at": workflow.expires_at,
        "lease_until": workflow.lease_until,
    }


def workflow_row(workflow: StoredWorkflow, *, now: datetime) -> tuple[str, ...]:
    """Return the cells of a workflow in a table of `WORKFLOW_COLUMNS`."""
    since = workflow.waits_since
    return (
        workflow.key,
        type_of(workflow),
        status_of(workflow) if workflow.error is None else f"failed: {workflow.error}",
        age(now - workflow.created_at),
        ", ".join(workflow.waits_for) or "-",
        "-" if since is None else age(now - since),
        "-" if workflow.due is None else until(workflow.due, now=now),
    )


def timer_json(timer: StoredTimer) -> dict[str, object]:
    """Return a timer as `--json` shows it."""
    return {"name": timer.name, "at": timer.at, "event": timer.event}


def timer_row(workflow: StoredWorkflow, timer: StoredTimer, *, now: datetime) -> tuple[str, ...]:
    """Return the cells of a timer in a table of `TIMER_COLUMNS`."""
    return (
        workflow.key,
        type_of(workflow),
        timer.name,
        local_time(timer.at),
        until(timer.at, now=now),
    )


def status_of(workflow: StoredWorkflow) -> str:
    """Return a workflow's status in the word of the options."""
    return "failed" if workflow.status == "failure" else workflow.status


def type_of(workflow: StoredWorkflow) -> str:
    """Return a workflow's type with its version."""
    return f"{workflow.source} {workflow.version}".strip() or "unknown"
