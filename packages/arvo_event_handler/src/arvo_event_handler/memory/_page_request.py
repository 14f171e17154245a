"""Checked requests for pages and counts of workflows, and the cursors of pages."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from pydantic_core import from_json, to_json

from arvo_time.settings import check_count, check_flag, check_instance

from ._stored_workflow import StoredWorkflow
from ._workflow_queries import MAX_PAGE, WorkflowCount, WorkflowPage
from ._workflow_query import WorkflowQuery

Position: TypeAlias = tuple[int, ...]
"""Where a workflow stands in the order of a memory."""

_DIGEST_BYTES: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """A checked request for one page, for authors of memories.

    A cursor says nothing to anybody but the memory that made it. One that was altered or cut off,
    or made by another kind of memory or for the other direction, is refused.
    """

    query: WorkflowQuery
    """Which workflows."""
    limit: int
    """How many at most; fetch one more to know whether there is a next page."""
    oldest_first: bool
    """The direction."""
    start: Position | None
    """The position of the last workflow of the page before; None for the first page."""
    cursors: str
    """The kind of memory."""

    @classmethod
    def of(
        cls,
        query: WorkflowQuery,
        *,
        after: str | None,
        limit: int,
        oldest_first: bool,
        cursors: str,
        length: int,
    ) -> Self:
        """Check the arguments of `IWorkflowQueries.workflows`.

        Args:
            query: See there.
            after: See there.
            limit: See there.
            oldest_first: See there.
            cursors: The kind of memory; cursors of another kind are refused.
            length: How many numbers this memory's positions have.

        Raises:
            TypeError: An argument has another type.
            ValueError: `limit` is out of range, or `after` is not a cursor of this listing.
        """
        check_instance(query, kind=WorkflowQuery, name="query")
        check_count(limit, name="limit", least=1, most=MAX_PAGE)
        check_flag(oldest_first, name="oldest_first")
        start = None
        if after is not None:
            check_instance(after, kind=str, name="after")
            start = _read_cursor(after, _head(cursors, oldest_first=oldest_first), length)
        return cls(
            query=query, limit=limit, oldest_first=oldest_first, start=start, cursors=cursors
        )

    def page(self, found: Sequence[tuple[Position, StoredWorkflow]]) -> WorkflowPage:
        """Make the page.

        Args:
            found: The workflows behind `start`, with their positions, in order: one more than
                `limit` if there are so many.
        """
        shown = found[: self.limit]
        cursor = None
        if len(found) > self.limit:
            head = _head(self.cursors, oldest_first=self.oldest_first)
            cursor = _cursor(head, shown[-1][0])
        return WorkflowPage(workflows=tuple(workflow for _, workflow in shown), next=cursor)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountRequest:
    """A checked request for a count, for authors of memories."""

    query: WorkflowQuery
    """Which workflows."""
    at_most: int
    """Where counting ends; look for one more, to know whether there are more."""

    @classmethod
    def of(cls, query: WorkflowQuery, *, at_most: int) -> Self:
        """Check the arguments of `IWorkflowQueries.count`.

        Raises:
            TypeError: An argument has another type.
            ValueError: `at_most` is below 1.
        """
        check_instance(query, kind=WorkflowQuery, name="query")
        return cls(query=query, at_most=check_count(at_most, name="at_most", least=1))

    def count(self, found: int) -> WorkflowCount:
        """Make the count from how many were found, at most one more than `at_most`."""
        return WorkflowCount(value=min(found, self.at_most), exact=found <= self.at_most)


def _head(kind: str, *, oldest_first: bool) -> tuple[str, str]:
    return kind, "oldest" if oldest_first else "newest"


def _cursor(head: tuple[str, str], position: Position) -> str:
    said = to_json([*head, *position])
    return _text(_digest(said) + said)


def _text(packed: bytes) -> str:
    return urlsafe_b64encode(packed).rstrip(b"=").decode()


def _read_cursor(text: str, head: tuple[str, str], length: int) -> Position:
    kind, direction = head
    match _said(text):
        case [made_by, made_for, *position] if (made_by, made_for) == head:
            numbers = tuple(each for each in position if isinstance(each, int))
            if len(numbers) == len(position) == length:
                return numbers
        case [made_by, made_for, *_] if made_by == kind:
            raise ValueError(
                f"after is a cursor of a listing that is {made_for} first, not {direction} first: "
                f"{text!r}"
            )
        case [made_by, *_]:
            raise ValueError(
                f"after is a cursor of a {made_by} memory, not of a {kind} one: {text!r}"
            )
        case _:
            pass
    raise ValueError(f"after must be the `next` of a page, got {text!r}")


def _said(cursor: str) -> object:
    """Return what a cursor says; None if it is none, or was altered."""
    try:
        packed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        digest, said = packed[:_DIGEST_BYTES], packed[_DIGEST_BYTES:]
        found: object = from_json(said) if digest == _digest(said) else None
    except ValueError:
        return None
    # There are several ways to write the same bytes in base64.
    return found if cursor == _text(packed) else None


def _digest(said: bytes) -> bytes:
    return hashlib.blake2b(said, digest_size=_DIGEST_BYTES).digest()
