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
leaves a store. A call that is cancelled has stored all or nothing. `count_appends` and
`count_conflict` count what its own appends came to.

`truncation`, `check_no_work` and `missing_stream` are the same for what operators do with streams.

Reactions are kept alike too: `check_reactions` and `changed_reaction` say what may be registered,
`check_scan`, `check_marks`, `check_claim`, `check_lanes` and `check_leases` refuse wrong arguments,
`scan_range` says what a page of a scan covers, `error_text` how an `UnroutedEvent` keeps its error,
`finish_row` what a finish writes into the row of its
target, `READS` how kinds of targets are stored. A lease is fenced by its token in the step that stores
anything under it.

Names and JSON have their rules here and nowhere else. `arvo_event_store.testing` tests the result.
"""

from arvo_event_store._json import MAX_DEPTH, MAX_PAYLOAD_BYTES, from_json, to_json
from arvo_event_store._lease import (
    Blocked,
    Done,
    Finish,
    Finished,
    Lease,
    Parked,
    Postponed,
    Progress,
    Retried,
    Statement,
    Then,
    Work,
)
from arvo_event_store._names import MAX_NAME_BYTES, check_name, check_prefix
from arvo_event_store._reaction_spec import ReactionSpec, Start
from arvo_event_store._scan_page import Mark, Ready, ScanPage, UnroutedEvent
from arvo_event_store._telemetry import count_appends, count_conflict

from ._append_request import AppendRequest, EventRow, append_requests
from ._changes import Changes
from ._error_text import error_text
from ._finish_row import READS, FinishRow, events_within, finish_row, lost_lease
from ._known_events import KnownEvent, without_known
from ._reaction_arguments import (
    check_claim,
    check_lanes,
    check_leases,
    check_marks,
    check_scan,
)
from ._reaction_definition import (
    changed_reaction,
    check_lease,
    check_reactions,
    missing_reaction,
    reaction_definition,
)
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
from ._replay_key import check_target_key, replay_key
from ._rows import SnapshotRow, check_streams, snapshot_row, store_failure
from ._scan_range import ScanRange, scan_range
from ._stored_event import stored_event
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
    "READS",
    "AppendRequest",
    "Blocked",
    "Changes",
    "Done",
    "EventRow",
    "Finish",
    "FinishRow",
    "Finished",
    "KnownEvent",
    "Lease",
    "Mark",
    "Page",
    "PageRange",
    "Parked",
    "Place",
    "Postponed",
    "Progress",
    "ReactionSpec",
    "ReadRange",
    "Ready",
    "Retried",
    "ScanPage",
    "ScanRange",
    "SnapshotRow",
    "Start",
    "Statement",
    "TargetMark",
    "Then",
    "Truncation",
    "UnroutedEvent",
    "Work",
    "append_requests",
    "changed_reaction",
    "check_claim",
    "check_lanes",
    "check_lease",
    "check_leases",
    "check_marks",
    "check_name",
    "check_no_work",
    "check_prefix",
    "check_reactions",
    "check_scan",
    "check_snapshot_of",
    "check_streams",
    "check_target_key",
    "count_appends",
    "count_conflict",
    "error_text",
    "events_within",
    "finish_row",
    "from_json",
    "log_range",
    "lost_lease",
    "missing_reaction",
    "missing_stream",
    "page_ranges",
    "page_rows",
    "reaction_definition",
    "read_pages",
    "replay_key",
    "scan_range",
    "snapshot_row",
    "store_failure",
    "stored_event",
    "stream_range",
    "target_marks",
    "to_json",
    "truncation",
    "without_known",
]
