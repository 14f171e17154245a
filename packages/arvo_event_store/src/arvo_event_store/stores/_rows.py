"""What stores read and write beside appends and events: snapshots, names of streams, failures."""

from collections.abc import Sequence
from typing import NamedTuple

from arvo_event_store._errors import StoreFailure
from arvo_event_store._json import to_json
from arvo_event_store._names import check_name
from arvo_event_store._stream import Snapshot
from arvo_time import BackendError
from arvo_time.settings import check_count, check_instance

from ._read_range import MAX_POSITION


class SnapshotRow(NamedTuple):
    """A snapshot as it is stored."""

    stream: str
    """The stream."""
    kind: str
    """Its kind."""
    version: int
    """The version of the last event in it."""
    schema: int
    """The schema of its state."""
    state: str
    """Its state, as JSON text."""


def snapshot_row(snapshot: Snapshot, *, max_payload_bytes: int) -> SnapshotRow:
    """Check a snapshot and write its JSON.

    Args:
        snapshot: What to store.
        max_payload_bytes: How long the JSON of its state may be.

    Raises:
        TypeError: A field is of another type.
        ValueError: A number is out of its bounds.
        InvalidEventError: A name or the state breaks the rules.
    """
    check_instance(snapshot, kind=Snapshot, name="snapshot")
    stream = check_name(snapshot.stream, path="stream")
    return SnapshotRow(
        stream=stream,
        kind=check_name(snapshot.kind, path="kind", stream=stream),
        version=check_count(snapshot.version, name="version", most=MAX_POSITION),
        schema=check_count(snapshot.schema, name="schema", least=1, most=2**31 - 1),
        state=to_json(snapshot.state, max_bytes=max_payload_bytes, path="state", stream=stream),
    )


def check_streams(streams: Sequence[str]) -> list[str]:
    """Return the names of streams, each once.

    Raises:
        TypeError: It is a string, or not a sequence of strings.
        InvalidEventError: A name breaks the rules for names.
    """
    if isinstance(streams, str | bytes) or not isinstance(streams, Sequence):
        raise TypeError(f"streams must be a sequence of strings, got {streams!r}")
    return list(dict.fromkeys(check_name(stream, path="streams") for stream in streams))


def store_failure(error: BackendError) -> StoreFailure:
    """Return what the caller gets for an error of a client; raise it `from error.__cause__`."""
    return StoreFailure(str(error), retryable=error.retryable, outcome=error.outcome)
