"""Stores what a step has led to."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from arvo_event_handler._errors import UnreadableRecordError, UnwritableRecordError
from arvo_event_handler.memory._memory import MachineLease
from arvo_event_handler.memory._record_write import RecordWrite
from arvo_event_handler.memory._state import WorkflowState

from ._execution_policy import ExecutionPolicy
from ._held_workflow import HeldWorkflow, WorkflowStore
from ._lease import commit_record
from ._stored_record import unreadable
from ._summary import UNSEARCHED, summary_of
from ._timers import WorkflowTimers
from ._workflow import WorkflowStep

_LARGE_JOURNAL: Final = 32 * 1024 * 1024
"""From how many bytes on the journal of one workflow is a matter for its author."""


class StepCommit:
    """Commits the states of workflows to one memory.

    Args:
        store: The memory, as the execution uses it.
        leased: Whether it is one with leases.
        history: How long it keeps what happened; None where it does not.
        timers: The workflows' timers.
        policy: How stored state is treated.
    """

    def __init__(
        self,
        store: WorkflowStore,
        *,
        leased: bool,
        history: timedelta | None,
        timers: WorkflowTimers,
        policy: ExecutionPolicy,
    ) -> None:
        self._store = store
        self._leased = leased
        self._history = history
        self._timers = timers
        self._policy = policy

    async def commit(self, lease: MachineLease, held: HeldWorkflow, step: WorkflowStep) -> None:
        """Store a step's state, and drop the lease.

        Raises:
            TransactionViolation: Another writer was faster, or the memory failed.
            UnwritableRecordError: The state can never be stored.
        """
        state = step.state
        forgets = self.forgets(state)
        try:
            written = held.written(state, forgets=forgets)
        except UnreadableRecordError as error:
            raise unreadable(state.subject, str(error)) from error
        write = RecordWrite(
            record=written.record,
            summary=summary_of(step, state) if self._leased else UNSEARCHED,
            tail=written.tail,
            chunk=written.chunk,
            frees=written.frees,
            timer=self._timers.moved(state),
            expires_in=self._expiry(state),
        )
        try:
            await commit_record(self._store.memory, lease, write)
        except UnwritableRecordError:
            if not written.compacted:
                raise
            # The step may be fit to be stored where all that is needed of earlier ones is not.
            written = held.written(state, forgets=forgets, compacts=False)
            write = replace(write, tail=written.tail, chunk=written.chunk, frees=written.frees)
            await commit_record(self._store.memory, lease, write)
        held.committed()
        self._timers.committed(write.timer)
        if written.live > _LARGE_JOURNAL:
            step.trace.warn(
                f"the workflow needs {written.live} bytes of its journal; a worker that does not "
                "remember it reads them all: ask for less at a time, or in child workflows"
            )

    def forgets(self, state: WorkflowState) -> bool:
        """Return whether only what tells late events is kept of a workflow, as it has completed."""
        completed = state.status == "done" and not state.failed
        return completed and self._leased and self._policy.finished_expiry is not None

    def _expiry(self, state: WorkflowState) -> timedelta | None:
        if not (state.ended and self._leased):
            return None
        policy = self._policy
        expires_in = policy.failed_expiry if state.failed else policy.finished_expiry
        if expires_in is not None and self._history is not None:
            return max(expires_in, self._history)
        return expires_in
