"""One workflow under a lease: its state, and what a commit writes of it."""

from collections.abc import Sequence, Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from arvo_event_handler.memory._kept_event import KeptEvent, WireEvent
from arvo_event_handler.memory._memory import MachineLease, Record, WorkflowMemory
from arvo_event_handler.memory._record_write import Frees
from arvo_event_handler.memory._state import WorkflowEntry, WorkflowState


@dataclass(slots=True, kw_only=True)
class NewEntry:
    """A step that was taken and is not stored yet."""

    consumed: WireEvent
    outputs: Sequence[WireEvent]
    asks: Sequence[int]
    """The positions of the outputs that await an answer."""
    notifies: Sequence[int]
    """The positions of those that go to a service which never answers, except by failing."""
    collects: bool
    """Whether outputs begin a new collection of answers."""
    at: int
    """When, in milliseconds since 1970."""
    took: timedelta | None = None
    """How long the workflow's own code ran; None where nobody wants to know."""
    delayed: Sequence[str] = ()
    """The ids of requests that leave later."""
    dropped: Sequence[str] = ()
    """The ids of earlier such requests that were cancelled."""

    def kept(self) -> WorkflowEntry:
        """Return it as a state keeps it, with its events as they are at hand."""
        request = self.consumed.get("parentid")
        outputs = [KeptEvent.of(output) for output in self.outputs]
        for position in self.asks:
            outputs[position].asks = True
        for position in self.notifies:
            outputs[position].notifies = True
        return WorkflowEntry(
            consumed=KeptEvent.of(self.consumed),
            request=request if isinstance(request, str) else None,
            outputs=outputs,
            collects=self.collects,
            at=self.at,
            delayed=self.delayed,
            dropped=self.dropped,
        )


@dataclass(slots=True, kw_only=True)
class WrittenState:
    """What a commit stores of a state, as `RecordWrite` has it."""

    record: Record
    tail: bytes = b""
    chunk: bytes | None = None
    frees: Frees = "none"
    live: int = 0
    """How many bytes the chunks have after it that are not freed."""
    compacted: bool = False
    """Whether the chunk says more than the record needs, and so may be too large where that is not."""


class HeldWorkflow(Protocol):
    """One workflow under a lease."""

    @property
    def state(self) -> WorkflowState | None:
        """What is stored of it; None when it has never run."""
        ...

    def post(self, state: WorkflowState, entry: NewEntry, *, forgets: bool) -> bool:
        """Account for a step in the state.

        Args:
            state: The one that is stored, or that of a workflow which begins.
            entry: The step.
            forgets: Whether the workflow has completed with it, and only what tells late events is
                kept.

        Returns:
            Whether outputs had to be dropped that may not have arrived.

        Raises:
            UnwritableRecordError: An event can never be stored.
        """
        ...

    def written(
        self, state: WorkflowState, *, forgets: bool, compacts: bool = True
    ) -> WrittenState:
        """Return what a commit must store.

        Args:
            state: As of `post`.
            forgets: As of `post`; false for a step that failed.
            compacts: Whether the chunk may say what is needed of earlier ones, to free those.

        Raises:
            UnwritableRecordError: The state can never be stored.
            UnreadableRecordError: An event of an earlier step, which must be kept, is damaged.
        """
        ...

    def committed(self) -> None:
        """Keep what the next step of this workflow can use. Call it when the commit succeeded."""
        ...

    def released(self) -> None:
        """Keep the same where no step was accounted for. Call it when the workflow is let go."""
        ...


class WorkflowStore(Protocol):
    """Loads workflows from a machine memory."""

    @property
    def memory(self) -> WorkflowMemory:
        """The memory."""
        ...

    async def acquire(self, subject: str) -> MachineLease | None:
        """Lock and read a workflow; None when another holder has it.

        Raises:
            Exception: As of the memory's `acquire`.
        """
        ...

    async def load(self, lease: MachineLease, *, answering: AbstractSet[str]) -> HeldWorkflow:
        """Return the workflow of a lease.

        Args:
            lease: The lease, not yet committed.
            answering: The types of requests that services answer, not only by failing.

        Raises:
            UnreadableRecordError: What is stored is not a workflow's.
            TransactionViolation: The memory failed, or the workflow was written since.
        """
        ...
