"""Workflows as whole records in the TypeScript shape, for memories that have but four calls."""

from collections.abc import Set as AbstractSet

from typing_extensions import override

from arvo_event_handler.memory._memory import MachineLease, WorkflowMemory
from arvo_event_handler.memory._record import read_state, write_state
from arvo_event_handler.memory._state import WorkflowState

from ._held_workflow import HeldWorkflow, NewEntry, WorkflowStore, WrittenState


class PlainStore(WorkflowStore):
    """Stores the whole state at each step.

    Args:
        memory: The memory.
        window: How many steps' outputs are kept at most.
    """

    def __init__(self, memory: WorkflowMemory, *, window: int) -> None:
        self._memory = memory
        self._window = window

    @property
    @override
    def memory(self) -> WorkflowMemory:
        return self._memory

    @override
    async def acquire(self, subject: str) -> MachineLease | None:
        return await self._memory.acquire(subject)

    @override
    async def load(self, lease: MachineLease, *, answering: AbstractSet[str]) -> HeldWorkflow:
        state = None
        if lease.record is not None:
            state = read_state(lease.record, lease.machine_id, services=answering)
        return _PlainWorkflow(state, window=self._window)


class _PlainWorkflow(HeldWorkflow):
    __slots__ = ("_state", "_window")

    def __init__(self, state: WorkflowState | None, *, window: int) -> None:
        self._state = state
        self._window = window

    @property
    @override
    def state(self) -> WorkflowState | None:
        return self._state

    @override
    def post(self, state: WorkflowState, entry: NewEntry, *, forgets: bool) -> bool:
        return state.post(entry.kept(), window=self._window)

    @override
    def written(
        self, state: WorkflowState, *, forgets: bool, compacts: bool = True
    ) -> WrittenState:
        return WrittenState(record=write_state(state))

    @override
    def committed(self) -> None:
        pass

    @override
    def released(self) -> None:
        pass
