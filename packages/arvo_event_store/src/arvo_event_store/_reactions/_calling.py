"""Calling handlers."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from arvo_event_store._event import Event
from arvo_event_store._lease import Lease
from arvo_event_store._log import IStreamAccess

from ._call import Batch, BatchItem, ReactionCall
from ._event_consumer import EventConsumer, Projection
from ._stage import Stage


def called(
    consumer: EventConsumer,
    events: Sequence[Event],
    data: Sequence[Any],
    *,
    lease: Lease,
    attempt: int,
    deadline: Callable[[], datetime],
    log: IStreamAccess,
    stage: Stage,
) -> Awaitable[object]:
    """Call a handler.

    Args:
        consumer: Whose handler.
        events: The events; one for a reaction.
        data: The objects that they store.
        lease: Under what.
        attempt: Which try this is.
        deadline: Returns when the lease ends.
        log: Where to read.
        stage: What the try collects.
    """
    if isinstance(consumer, Projection):
        pairs = zip(events, data, strict=True)
        batch = Batch(
            items=[BatchItem(event=event, data=given) for event, given in pairs],
            group=lease.group,
            reaction=lease.reaction,
            key=lease.key,
            attempt=attempt,
            token=lease.token,
            deadline=deadline,
            stage_work=stage.do,
        )
        return consumer.handler(batch)
    call = ReactionCall(
        event=events[0],
        data=data[0],
        group=lease.group,
        reaction=lease.reaction,
        key=lease.key,
        attempt=attempt,
        token=lease.token,
        deadline=deadline,
        log=log,
        new_event=consumer.new_event,
        stage_append=stage.append,
        stage_work=stage.do,
    )
    return consumer.handler(call)
