"""What all stores must do alike, for those who write one.

A store decides in one step inside its database, and refuses alike:

1. Before the step: `append_requests` checks arguments, names and JSON, and writes the JSON.
2. In the step, before anything changes: look up the ids in the log, and let `without_known` answer them;
   then, for each request that is left, `AppendRequest.check_head` with the head of its stream. A store may
   instead write on the condition that this would pass, and ask afterwards why nothing was written.
3. In the same step: the heads, the events in the order of the requests, and the `target_marks`, sorted.
   Nothing at all if one request is refused.
4. `AppendRequest.stored` is the answer, once it cannot be lost any more.

It reads by `stream_range` and `log_range`, which check arguments at the call, and `read_pages`, which asks
for a page at a time (`page_ranges` is the same without awaiting): no connection and no snapshot of a
database is held between two. A page is bounded by `page_rows` or in the statement. Events come out of `stored_event`.
A client's `BackendError` becomes what the caller gets in `store_failure`, and no other error of a driver
leaves a store. A call that is cancelled has stored all or nothing.

`truncation`, `check_no_work` and `missing_stream` are the same for what operators do with streams.

Names and JSON have their rules here and nowhere else. `arvo_event_store.testing` tests the result.
"""

from arvo_event_store._json import MAX_DEPTH, MAX_PAYLOAD_BYTES, from_json, to_json
from arvo_event_store._names import MAX_NAME_BYTES, check_name, check_prefix

from ._append_request import AppendRequest, EventRow, append_requests
from ._known_events import KnownEvent, without_known
from ._read_arguments import check_snapshot_of, log_range, stream_range
from ._read_range import (
    MAX_POSITION,
    PAGE_BYTES,
    PAGE_EVENTS,
    Page,
    PageRange,
    Place,
    ReadRange,
    page_ranges,
    page_rows,
    read_pages,
)
from ._rows import SnapshotRow, check_streams, snapshot_row, store_failure, stored_event
from ._stream_changes import (
    PENDING_TARGETS,
    Truncation,
    check_no_work,
    missing_stream,
    truncation,
)
from ._target_mark import TargetMark, target_marks

__all__ = [
    "MAX_DEPTH",
    "MAX_NAME_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_POSITION",
    "PAGE_BYTES",
    "PAGE_EVENTS",
    "PENDING_TARGETS",
    "AppendRequest",
    "EventRow",
    "KnownEvent",
    "Page",
    "PageRange",
    "Place",
    "ReadRange",
    "SnapshotRow",
    "TargetMark",
    "Truncation",
    "append_requests",
    "check_name",
    "check_no_work",
    "check_prefix",
    "check_snapshot_of",
    "check_streams",
    "from_json",
    "log_range",
    "missing_stream",
    "page_ranges",
    "page_rows",
    "read_pages",
    "snapshot_row",
    "store_failure",
    "stored_event",
    "stream_range",
    "target_marks",
    "to_json",
    "truncation",
    "without_known",
]
