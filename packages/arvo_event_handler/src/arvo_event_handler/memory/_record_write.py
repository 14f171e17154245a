"""What one commit stores."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import JsonValue

from ._summary import WorkflowSummary

Record: TypeAlias = dict[str, JsonValue]
"""A workflow's stored state: a JSON object. What is inside is Arvo's business."""

Frees: TypeAlias = Literal["none", "earlier", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
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
    expires_in: timedelta | None = None
    """Forget record, tail and chunks after this; None keeps them."""
