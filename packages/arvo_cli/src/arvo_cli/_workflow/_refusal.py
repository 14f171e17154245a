"""Why a workflow cannot be retried or cancelled, and what to do instead."""

from arvo_event_handler.memory import StoredDetails, StoredWorkflow

from ._rows import status_of

_CANCEL = "arvo.workflow.cancel"


def refused_retry(
    workflow: StoredWorkflow, details: StoredDetails, *, detached: bool
) -> str | None:
    """Return why a workflow cannot be retried; None if it can.

    Args:
        workflow: The workflow.
        details: What its record says.
        detached: Whether a child workflow may be retried alone.
    """
    failure = details.failure
    if failure is None:
        stands = "has completed" if workflow.status == "done" else "is active"
        return f"it {stands}; only one that has failed can be retried"
    if failure.event is None:
        return (
            "its record does not say which event failed, as of one that the TypeScript version has "
            "written; start it again under another subject"
        )
    if failure.event.get("type") == _CANCEL:
        return "it was cancelled, so no step has failed; start it again under another subject"
    if workflow.parent is not None and not detached:
        return (
            "it is a child, whose parent has consumed the failure already; retry the root of the "
            f"tree, {workflow.root}, or this one alone with --detached: then the parent ignores "
            "its completion"
        )
    return None


def refused_cancel(workflow: StoredWorkflow) -> str | None:
    """Return why a workflow cannot be cancelled; None if it can."""
    if workflow.status == "active":
        return None
    return f"it has ended already: {status_of(workflow)}"
