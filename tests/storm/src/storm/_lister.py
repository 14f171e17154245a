"""Looks at listings while the storm goes on: no workflow that has started is ever missing."""

import asyncio
from collections.abc import Sequence, Set as AbstractSet
from datetime import timedelta
from typing import Final

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import IWorkflowQueries, WorkflowQuery

from ._report import Report

_ALL: Final[Sequence[WorkflowQuery]] = [WorkflowQuery()]
_PAGE: Final = 40


class Lister:
    """Pages through all workflows, and reports those that are missing.

    Args:
        memory: What is asked.
        report: Counts the listings, and holds what they lack.
        sources: The addresses of all workflows.
        pause: How long to pause after each page, so that the workers are not slowed down.
    """

    def __init__(
        self,
        memory: IWorkflowQueries,
        report: Report,
        *,
        sources: Sequence[str],
        pause: timedelta = timedelta(seconds=0.05),
    ) -> None:
        self._memory = memory
        self._report = report
        # Each of these, one after the other, shows all workflows: none ever goes back to `active`.
        self._listings: Sequence[Sequence[WorkflowQuery]] = (
            _ALL,
            [WorkflowQuery(status={status}) for status in ("active", "failure", "done")],
            [WorkflowQuery(source=source) for source in sources],
        )
        self._pause = pause

    async def list_until_cancelled(self, started: AbstractSet[str]) -> None:
        """List all workflows again and again, until one is missing.

        Args:
            started: The subjects of those whose first commit was confirmed; it grows.
        """
        number = 0
        while not self._report.unlisted:
            try:
                await self.list_once(started, self._listings[number % len(self._listings)])
            except MachineMemoryError as error:
                if not error.retryable:
                    raise
            else:
                number += 1

    async def list_once(
        self, started: AbstractSet[str], queries: Sequence[WorkflowQuery] = _ALL
    ) -> None:
        """Page through the listings of some queries, which together must show all that had started."""
        expected = frozenset(started)
        found: set[str] = set()
        for number, query in enumerate(queries):
            after, is_first = None, True
            while after is not None or is_first:
                oldest_first = number % 2 == 1
                page = await self._memory.workflows(
                    query, after=after, limit=_PAGE, oldest_first=oldest_first
                )
                found.update(each.subject for each in page.workflows)
                after, is_first = page.next, False
                await asyncio.sleep(self._pause.total_seconds())
        missing = sorted(expected - found)
        self._report.listings += bool(expected)
        self._report.unlisted += len(missing)
        if missing:
            self._report.problems.append(
                f"{len(missing)} of {len(expected)} workflows are missing from a listing by "
                f"{queries}, such as {missing[0]}"
            )
