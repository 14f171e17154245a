"""Machine memories whose every call can be watched, held up or made to fail."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias, TypeVar

from typing_extensions import override

from arvo_event_handler import IMachineMemory
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    IStepHistory,
    LockPolicy,
    MachineLease,
    Record,
    RecordWrite,
    StoredStep,
)

from .historic_memory import HistoricMemory

T = TypeVar("T")

Interception: TypeAlias = Callable[[str, str], Awaitable[None]]
"""Receives the call's name and the machine id; may wait or raise."""


async def _let_pass(call: str, machine_id: str) -> None:
    pass


class InterceptedMemory(IMachineMemory):
    """Passes the four calls on, and awaits something before and after each takes effect."""

    def __init__(
        self,
        memory: IMachineMemory,
        *,
        before: Interception = _let_pass,
        after: Interception = _let_pass,
    ) -> None:
        self._memory = memory
        self._before = before
        self._after = after
        self.calls: list[str] = []
        """The names of the calls so far, also of those that failed."""

    async def _through(self, name: str, machine_id: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls.append(name)
        await self._before(name, machine_id)
        result = await call()
        await self._after(name, machine_id)
        return result

    @override
    async def read(self, machine_id: str) -> Record | None:
        return await self._through("read", machine_id, lambda: self._memory.read(machine_id))

    @override
    async def write(self, machine_id: str, record: Record, previous: Record | None) -> None:
        await self._through(
            "write", machine_id, lambda: self._memory.write(machine_id, record, previous)
        )

    @override
    async def lock(self, machine_id: str) -> bool:
        return await self._through("lock", machine_id, lambda: self._memory.lock(machine_id))

    @override
    async def unlock(self, machine_id: str) -> bool:
        return await self._through("unlock", machine_id, lambda: self._memory.unlock(machine_id))


class InterceptedLeasedMemory(InterceptedMemory, ILeasedMachineMemory):
    """The same for a memory with leases."""

    def __init__(
        self,
        memory: ILeasedMachineMemory,
        *,
        before: Interception = _let_pass,
        after: Interception = _let_pass,
    ) -> None:
        super().__init__(memory, before=before, after=after)
        self._leased = memory

    @property
    @override
    def policy(self) -> LockPolicy:
        return self._leased.policy

    @property
    @override
    def chunk_bytes(self) -> int:
        return self._leased.chunk_bytes

    @override
    async def chunks(self, lease: MachineLease) -> Sequence[tuple[int, bytes]]:
        return await self._through("chunks", lease.machine_id, lambda: self._leased.chunks(lease))

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        return await self._through(
            "acquire", machine_id, lambda: self._leased.acquire(machine_id, after=after)
        )

    @override
    async def commit(self, lease: MachineLease, write: RecordWrite) -> None:
        await self._through(
            "commit",
            lease.machine_id,
            lambda: self._leased.commit(lease, write),
        )

    @override
    async def release(self, lease: MachineLease) -> None:
        await self._through("release", lease.machine_id, lambda: self._leased.release(lease))

    @override
    async def renew(self, lease: MachineLease) -> bool:
        return await self._through("renew", lease.machine_id, lambda: self._leased.renew(lease))


class InterceptedHistoricMemory(InterceptedLeasedMemory, IStepHistory):
    """The same for one that keeps a history, whose questions are passed on as they are."""

    def __init__(
        self,
        memory: HistoricMemory,
        *,
        before: Interception = _let_pass,
        after: Interception = _let_pass,
    ) -> None:
        super().__init__(memory, before=before, after=after)
        self._historic = memory

    @property
    @override
    def history(self) -> timedelta | None:
        return self._historic.history

    @override
    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        return await self._historic.steps(subject, after=after, limit=limit)

    @override
    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        return await self._historic.times(subjects)


def fail(call: str, error: BaseException, *, times: int | None = None) -> Interception:
    """Raise `error` at every call of that name, or only the first `times`."""
    left = times

    async def interception(name: str, machine_id: str) -> None:
        nonlocal left
        if name != call or left == 0:
            return
        left = None if left is None else left - 1
        raise error

    return interception
