"""Questions that a memory answers about its workflows, for people and for recovery."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, runtime_checkable

from ._stored_workflow import StoredWorkflow
from ._workflow_query import WorkflowQuery

MAX_PAGE: Final = 1000
"""How many workflows a page may hold."""
QUERY_TIMEOUT: Final = timedelta(seconds=2)
"""After this, a memory ends a query with a `QueryTimeoutError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowPage:
    """One page of a listing."""

    workflows: tuple[StoredWorkflow, ...]
    """In the order of the listing."""
    next: str | None
    """The cursor of the next page; None when this is the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowCount:
    """How many workflows there are, counted up to a bound."""

    value: int
    """The number that was counted."""
    exact: bool
    """Whether that is all; False when counting ended at the bound."""


@runtime_checkable
class IWorkflowQueries(Protocol):
    """A memory that can be asked which workflows it has.

    Optional for memories: ask `isinstance(memory, IWorkflowQueries)`. Verify yours with
    `arvo_event_handler.testing.WorkflowQueriesSuite`. Workflows that were forgotten are not shown,
    nor those that were leased but never written. Any query may raise a `QueryTimeoutError`.

    A memory that cannot search by a field of `WorkflowQuery` raises a ValueError that names it.
    """

    async def workflows(
        self,
        query: WorkflowQuery,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> WorkflowPage:
        """Return one page of the workflows of a query, in the order of their start.

        Paging shows every workflow that matches throughout exactly once, whatever starts and ends
        meanwhile.

        Args:
            query: Which ones.
            after: The `next` of the page before; None gives the first page.
            limit: How many at most, 1 to 1000.
            oldest_first: Begin with the oldest instead of the newest.

        Raises:
            TypeError: `query` is not a `WorkflowQuery`, or another argument has another type.
            ValueError: `limit` is out of range, or `after` is not a cursor of this listing.
            MachineMemoryError: The backend could not answer.
        """
        ...

    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        """Count the workflows of a query, up to a bound.

        Args:
            query: Which ones.
            at_most: Where counting ends; at least 1.

        Raises:
            TypeError: `query` is not a `WorkflowQuery`, or `at_most` not an int.
            ValueError: `at_most` is below 1.
            MachineMemoryError: The backend could not answer.
        """
        ...

    async def workflow(self, subject: str) -> StoredWorkflow | None:
        """Return one workflow; None if it is not stored.

        Raises:
            TransactionViolation: `subject` is empty; cause `INVALID_SUBJECT`.
            MachineMemoryError: The backend could not answer.
        """
        ...
