"""Copies on purpose: events that are sent again under their own ids, and must not be swallowed."""

from dataclasses import replace
from typing import Final

from arvo_transport._settlement import Received

_ASK_ANEW: Final = frozenset({"arvo.workflow.retry", "arvo.workflow.wake"})


def asking_anew(received: Received) -> Received:
    """Return what a delivery is settled as, which gives what comes of it its name.

    A workflow that is retried or woken sends again what it has asked before, under the same ids: on
    its way that is a copy on purpose, of the name `by:<id of the event that asks for it>`. So it is
    sent again once for each such event, however often that is delivered.
    """
    if received.event.type not in _ASK_ANEW or received.again:
        return received
    return replace(received, again=f"by:{received.event.id}")
