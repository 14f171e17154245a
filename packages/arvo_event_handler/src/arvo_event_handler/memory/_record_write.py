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

    The record is replaced at each step, and so is the tail. A chunk is written once, under the next
    number. What is in tail and chunks is Arvo's business: a memory keeps the bytes as they are.
    """

    record: Record
    """The new state, which replaces the stored one."""
    summary: WorkflowSummary
    """What can be searched; a memory keeps as much of it as it can search."""
    tail: bytes = b""
    """What replaces the stored tail; empty when there is none any more."""
    chunk: bytes | None = None
    """What to append under the next number; None for nothing."""
    frees: Frees = "none"
    """Which chunks are not needed any more: `none`, those `earlier` than this write's own chunk (or
    all when it has none), or `all`, its own included. Its number counts as used all the same."""
    expires_in: timedelta | None = None
    """Forget record, tail and chunks after this; None keeps them."""
