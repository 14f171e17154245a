"""The events of leases and scans."""

import sqlite3
from collections.abc import Mapping, Sequence

from arvo_event_store._lease import Lease
from arvo_event_store._query import Query
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._target import TargetKind
from arvo_event_store.stores import MAX_POSITION, PAGE_BYTES, Page, PageRange, ScanRange

from ._claims import Claimed
from ._reads import NAMED, Found, found_by, found_page, horizon, log_page
from ._rows import data_bytes, json_list, kind_of


def leases(
    connection: sqlite3.Connection,
    group: str,
    claimed: Sequence[Claimed],
    *,
    reactions: Mapping[str, ReactionSpec],
    max_events: int,
    max_bytes: int,
) -> list[Lease]:
    """Return targets that were claimed, each with the next of its events.

    Args:
        connection: The connection.
        group: Their group.
        claimed: The targets.
        reactions: Their reactions, by name.
        max_events: How many events each has at most.
        max_bytes: How long the JSON of their data is at most.

    Raises:
        StoreFailure: A row is damaged.
    """
    found: list[Lease] = []
    for each in claimed:
        reads = kind_of(each.reads, key=each.key)
        page = found_page(
            connection,
            PageRange(
                after=each.mark - 1 if reads is TargetKind.EVENT else each.at,
                upto=each.mark,
                backward=False,
                limit=min(max_events, MAX_POSITION),
                max_bytes=max_bytes,
                is_first=False,
            ),
            _read_by(group, each, reads, spec=reactions[each.reaction]),
            size=data_bytes,
            keep_damaged=True,
        )
        events = page.events
        may_be_more = page.is_cut or len(events) >= max_events
        found.append(
            Lease(
                group=group,
                reaction=each.reaction,
                key=each.key,
                reads=reads,
                stream=each.stream,
                at=each.at,
                mark=each.mark,
                token=each.token,
                attempt=each.attempt,
                failed=each.failed,
                lagging=bool(each.lagging),
                events=events,
                upto=events[-1].position if may_be_more else each.mark,
            )
        )
    return found


def unscanned(connection: sqlite3.Connection, asked: ScanRange) -> tuple[Page, int]:
    """Return events to scan, and the horizon as it was before they were read."""
    end = horizon(connection)
    page = PageRange(
        after=asked.after,
        upto=end,
        backward=False,
        limit=min(asked.limit, MAX_POSITION),
        max_bytes=PAGE_BYTES,
        is_first=False,
    )
    return log_page(connection, Query(names=asked.names), page, keep_damaged=True), end


def _read_by(group: str, target: Claimed, reads: TargetKind, *, spec: ReactionSpec) -> Found:
    """Return where the events of a target are."""
    match reads:
        case TargetKind.EVENT:
            return Found("event NOT INDEXED", ["TRUE"], {})
        case TargetKind.KEY:
            return Found(
                "listed CROSS JOIN event USING (position)",
                ["grp = :group", "reaction = :reaction", "key = :key"],
                {"group": group, "reaction": target.reaction, "key": target.key},
            )
        case TargetKind.LOG:
            return found_by(Query(stream_prefix=spec.stream_prefix, names=spec.events))
        case TargetKind.STREAM:
            found = Found(
                "event INDEXED BY event_stream", ["stream = :stream"], {"stream": target.stream}
            )
            if not (target.stream or "").startswith(spec.stream_prefix):
                found.conditions.append("FALSE")
            if spec.events is not None:
                found.conditions.append(NAMED)
                found.values["names"] = json_list(spec.events)
            return found
