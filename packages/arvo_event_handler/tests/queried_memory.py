"""A machine memory that answers queries, in a list, on a clock that the test moves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from typing_extensions import override

from arvo_event_handler.memory import (
    CountRequest,
    IWorkflowQueries,
    PageRequest,
    Record,
    RecordWrite,
    StoredWorkflow,
    WorkflowCount,
    WorkflowPage,
    WorkflowQuery,
    WorkflowSummary,
    check_machine_id,
    summary_of_record,
)
from arvo_time import Clock

from .leased_memory import WaitingLeasedMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the memory knows of a workflow beside its record."""

    number: int
    created_at: datetime
    updated_at: datetime
    root: str
    summary: WorkflowSummary


class QueriedMemory(WaitingLeasedMemory, IWorkflowQueries):
    """Sorts everything for each answer."""

    def __init__(self, *, clock: Clock, policy: object = None) -> None:
        super().__init__(clock=clock)
        self._known: dict[str, Known] = {}
        self._started = 0

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await super().write(machine_id, record, previous)
        summary = summary_of_record(record, subject=machine_id)
        self._known[machine_id] = replace(self._known[machine_id], summary=summary)

    @override
    def _store(self, machine_id: str, write: RecordWrite, *, by: str) -> None:
        now, parent = self._clock.now(), write.summary.parent
        known = self._known.get(machine_id) if self._current(machine_id) else None
        if known is None:
            self._started += 1
            above = None if parent is None else self._known.get(parent)
            known = Known(
                number=self._started,
                created_at=now,
                updated_at=now,
                root=machine_id if parent is None else parent if above is None else above.root,
                summary=write.summary,
            )
        self._known[machine_id] = replace(known, updated_at=now, summary=write.summary)
        super()._store(machine_id, write, by=by)

    @override
    async def workflows(
        self,
        query: WorkflowQuery,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> WorkflowPage:
        request = PageRequest.of(
            query, after=after, limit=limit, oldest_first=oldest_first, cursors="list", length=1
        )
        found = sorted(
            self.found(request.query), key=lambda each: each[0], reverse=not oldest_first
        )
        if request.start is not None:
            (start,) = request.start
            found = [
                each for each in found if (each[0] > start if oldest_first else each[0] < start)
            ]
        return request.page([((number,), workflow) for number, workflow in found[: limit + 1]])

    @override
    async def count(self, query: WorkflowQuery, *, at_most: int = 1000) -> WorkflowCount:
        request = CountRequest.of(query, at_most=at_most)
        return request.count(len(list(self.found(query))[: at_most + 1]))

    @override
    async def workflow(self, subject: str) -> StoredWorkflow | None:
        check_machine_id(subject)
        return dict(self.listed()).get(subject)

    def found(self, query: WorkflowQuery) -> Iterator[tuple[int, StoredWorkflow]]:
        """Yield what a query is about, with the number of each."""
        for subject, workflow in self.listed():
            if query.matches(workflow):
                yield self._known[subject].number, workflow

    def listed(self) -> Iterator[tuple[str, StoredWorkflow]]:
        """Yield all workflows by subject."""
        for subject, known in self._known.items():
            stored = self._current(subject)
            if stored is not None:
                yield (
                    subject,
                    StoredWorkflow.of(
                        known.summary,
                        subject=subject,
                        root=known.root,
                        record_version=stored.version,
                        created_at=known.created_at,
                        updated_at=known.updated_at,
                        expires_at=stored.forgotten_at,
                        lease_until=self.leased_until(subject),
                    ),
                )

    def leased_until(self, subject: str) -> datetime | None:
        """Return when the lease of a workflow ends; None if there is none."""
        return self._held[subject].until if self._holder(subject) is not None else None
