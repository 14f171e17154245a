"""The events of a lease, in memory."""

from collections.abc import Iterator, Mapping
from itertools import islice

from arvo_event_store._event import Event
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._target import TargetKind
from arvo_event_store.stores import events_within

from ._stream import Log, StoredEvent, Stream
from ._targets import Target


def window(
    target: Target,
    spec: ReactionSpec,
    *,
    log: Log,
    streams: Mapping[str, Stream],
    max_events: int,
    max_bytes: int,
) -> tuple[list[Event], int]:
    """Return the next events of a target, and its watermark once all of them are done.

    Args:
        target: The target.
        spec: Its reaction, as the caller has it.
        log: The log.
        streams: The streams.
        max_events: How many events at most, from 1.
        max_bytes: How long the JSON of their data is at most; the first is there in any case.
    """
    found = list(islice(_all(target, spec, log=log, streams=streams), max_events))
    sizes = [len(each.row.data.encode()) for each in found]
    fit = events_within(sizes, max_bytes=max_bytes)
    events = [each.event() for each in found[:fit]]
    may_be_more = len(found) == max_events or fit < len(found)
    return events, events[-1].position if may_be_more else target.mark


def _all(
    target: Target, spec: ReactionSpec, *, log: Log, streams: Mapping[str, Stream]
) -> Iterator[StoredEvent]:
    if target.reads is TargetKind.EVENT:
        return log.between(target.mark - 1, target.mark)
    if target.reads is TargetKind.KEY:
        listed = (each for each in target.listed if target.at < each <= target.mark)
        # One whose stream was cut off or deleted meanwhile is not there any more.
        return (event for each in listed for event in log.between(each - 1, each))
    if target.reads is TargetKind.LOG:
        events = log.between(target.at, target.mark)
    else:
        stream = streams.get(target.stream or "")
        events = iter(()) if stream is None else stream.between(target.at, target.mark)
    return (each for each in events if spec.takes(name=each.row.name, stream=each.stream))
