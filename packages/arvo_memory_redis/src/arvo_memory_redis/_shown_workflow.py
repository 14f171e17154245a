"""Workflows as operators see them, read from their hashes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from arvo_event_handler import UnreadableRecordError
from arvo_event_handler.memory import StoredWorkflow, WorkflowSummary, summary_of_record

from ._index import time_of
from ._stored_record import RecordLimits, stored_record

_SUMMARY: Final = TypeAdapter(WorkflowSummary)


class ShownWorkflow(NamedTuple):
    """A workflow, and what its hash lacks for the index."""

    workflow: StoredWorkflow
    started: int | None
    """When it started, in microseconds since 1970; None when its hash does not say so."""


def summary_bytes(summary: WorkflowSummary) -> bytes:
    """Return what a hash keeps of what a commit said."""
    return _SUMMARY.dump_json(summary, exclude_defaults=True)


def shown_workflow(
    fields: Sequence[bytes | int | None], *, start: int | None, limits: RecordLimits
) -> ShownWorkflow | None:
    """Read what the script SHOW returned; None if the workflow was never written, or is gone.

    Args:
        fields: The answer.
        start: When it started as the index says, for a hash that does not.
        limits: For the record of a hash of the version before, which has no summary.

    Raises:
        UnreadableRecordError: The hash is damaged, or of a newer version.
    """
    if not fields:
        return None
    version, summary, created, updated, owner, lease_end, subject, left, now, *state = fields
    try:
        if not isinstance(subject, bytes):
            raise UnreadableRecordError("the stored subject is missing")
        machine_id = subject.decode("utf-8", "surrogatepass")
        if isinstance(summary, bytes):
            said = _SUMMARY.validate_json(summary)
        else:
            said = _said_by_record(version, *state, subject=machine_id, limits=limits)
        started = None if created is None else int(created)
        shown = started if started is not None else start if start is not None else updated
        at = time_of(_ms(now) * 1000)
        lease_left = 0 if owner is None else _lease_end(lease_end) - _ms(now)
        workflow = StoredWorkflow.of(
            said,
            subject=machine_id,
            root=said.root,
            record_version=int(version or 0),
            created_at=at if shown is None else time_of(int(shown)),
            updated_at=at if updated is None else time_of(int(updated)),
            expires_at=None if _ms(left) < 0 else at + timedelta(milliseconds=_ms(left)),
            lease_until=at + timedelta(milliseconds=lease_left) if lease_left > 0 else None,
        )
    except (ValueError, OverflowError) as error:
        raise UnreadableRecordError(f"the stored workflow is damaged: {error}") from error
    return ShownWorkflow(workflow, started)


def _said_by_record(
    version: bytes | int | None,
    codec: bytes | int | None,
    state: bytes | int | None,
    *,
    subject: str,
    limits: RecordLimits,
) -> WorkflowSummary:
    as_stored = (each if isinstance(each, bytes) else None for each in (version, codec, state))
    record = stored_record(*as_stored, limits=limits).record
    return summary_of_record(record or {}, subject=subject)


def _lease_end(stored: bytes | int | None) -> int:
    try:
        return _ms(stored)
    except ValueError:
        return 0  # one whose end is damaged has ended


def _ms(number: bytes | int | None) -> int:
    return int(number or 0)
