"""What one commit stores."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import JsonValue

from ._next_timer import UNCHANGED, NextTimer, Unchanged
from ._summary import WorkflowSummary

Record: TypeAlias = dict[str, JsonValue]
"""A workflow's stored state: a JSON object. What is inside is Arvo's business."""

Frees: TypeAlias = Literal["none", "earlier", "all"]


# Not frozen, which would triple the cost of making one for every step.
@dataclass(slots=True, kw_only=True)
class RecordWrite:
    """Everything that one commit stores, in one atomic write.

    Each commit replaces the record and the tail. A chunk is written once, under the next number. A
    memory stores tail and chunks as opaque bytes.
    """

    record: Record
    """The new state, which replaces the stored one."""
    summary: WorkflowSummary
    """Facts about the workflow for searching; a memory may store a part of it, or none."""
    tail: bytes = b""
    """Replaces the stored tail; empty clears it."""
    chunk: bytes | None = None
    """The chunk to append; None appends nothing."""
    frees: Frees = "none"
    """Which chunks are no longer needed: `none`, those `earlier` than this write's own chunk (all of
    them when it has none), or `all`, including its own, whose number counts as used."""
    timer: NextTimer | Unchanged | None = UNCHANGED
    """The workflow's earliest timer, for the index of an `ITimedMachineMemory`: a new one replaces the
    entry and counts its claims from 0; None removes it. `UNCHANGED` leaves the entry with its hold and
    its claims, so that a step taken beside a claimed timer does not reset them."""
    expires_in: timedelta | None = None
    """Forget record, tail and chunks after this; None keeps them."""
