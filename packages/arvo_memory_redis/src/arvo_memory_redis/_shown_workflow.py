"""Workflows as operators see them, read from their hashes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

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


def summary_bytes(summary: WorkflowSummary, *, subject: str) -> bytes:
    """Return what a hash keeps of what a commit said; the subject, which is long, is left out."""
    said = replace(summary, root="") if summary.root == subject else summary
    try:
        return _SUMMARY.dump_json(said, exclude_defaults=True)
    except PydanticSerializationError:
        # JSON has no lone surrogates.
        texts = {
            name: value.encode("utf-8", "replace").decode()
            for name in ("source", "key", "version", "initiator", "parent", "root", "error")
            if (value := getattr(said, name)) is not None
        }
        return _SUMMARY.dump_json(replace(said, **texts), exclude_defaults=True)


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
    version, summary, started_at, updated_at, subject, expires_at, lease_end, *state = fields
    machine_id = _subject(subject)
    try:
        if isinstance(summary, bytes):
            said = _SUMMARY.validate_json(summary)
        else:
            said = _said_by_record(version, *state, subject=machine_id, limits=limits)
        started = None if started_at is None else int(started_at)
        shown = start if started is None else started
        if shown is None:
            raise UnreadableRecordError(
                "the stored workflow does not say when it started; run "
                "`arvo memory reindex --memory URL`"
            )
        workflow = StoredWorkflow.of(
            said,
            subject=machine_id,
            root=said.root or machine_id,
            record_version=int(version or 0),
            created_at=time_of(shown),
            updated_at=time_of(shown if updated_at is None else int(updated_at)),
            expires_at=_moment(expires_at),
            lease_until=_moment(lease_end),
        )
    except (ValueError, OverflowError) as error:
        raise UnreadableRecordError(f"the stored workflow is damaged: {error}") from error
    return ShownWorkflow(workflow, started)


def _subject(stored: bytes | int | None) -> str:
    try:
        if isinstance(stored, bytes):
            return stored.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        pass
    raise UnreadableRecordError("the stored subject is missing or damaged")


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


def _moment(milliseconds: bytes | int | None) -> datetime | None:
    """Read a time in milliseconds since 1970; None and negative numbers mean that there is none."""
    number = -1 if milliseconds is None else int(milliseconds)
    return None if number < 0 else time_of(number * 1000)
