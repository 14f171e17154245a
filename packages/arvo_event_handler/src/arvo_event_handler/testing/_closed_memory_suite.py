"""What a closed machine memory must do, as tests to subclass."""

import asyncio
from collections.abc import Coroutine
from typing import Protocol

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import ILeasedMachineMemory, MachineLease

from ._record_write import record_write


class ClosableMachineMemory(ILeasedMachineMemory, Protocol):
    """A memory with leases that holds connections, files or threads."""

    async def aclose(self) -> None:
        """Close them."""
        ...


class ClosedMachineMemorySuite:
    """What a memory must do once it is closed, one test for each promise.

    Subclass it and supply a fixture `closed_memory`: a memory that was opened, used, and closed
    with `aclose`.

    Example:
        ```python
        class TestMyClosedMemory(ClosedMachineMemorySuite):
            @pytest.fixture
            async def closed_memory(self, url: str) -> ClosableMachineMemory:
                async with MyMemory.connect(url) as memory:
                    await memory.read("order-7")
                return memory
        ```
    """

    async def test_closing_again_does_nothing(self, closed_memory: ClosableMachineMemory) -> None:
        """Any number of times, and concurrently."""
        await closed_memory.aclose()
        await asyncio.gather(closed_memory.aclose(), closed_memory.aclose())

    async def test_every_call_of_a_closed_memory_is_refused(
        self, closed_memory: ClosableMachineMemory
    ) -> None:
        """With an error saying that nothing happened and that a retry cannot help."""
        lease = MachineLease(machine_id="order-7", owner="0" * 32, version=0, record=None)
        calls: dict[str, Coroutine[object, object, object]] = {
            "read": closed_memory.read("order-7"),
            "write": closed_memory.write("order-7", {"count": 1}, None),
            "lock": closed_memory.lock("order-7"),
            "unlock": closed_memory.unlock("order-7"),
            "acquire": closed_memory.acquire("order-7"),
            "chunks": closed_memory.chunks(lease),
            "commit": closed_memory.commit(lease, record_write({"count": 1})),
            "release": closed_memory.release(lease),
            "renew": closed_memory.renew(lease),
        }
        answers = await asyncio.gather(*calls.values(), return_exceptions=True)
        for name, answer in zip(calls, answers, strict=True):
            assert isinstance(answer, MachineMemoryError), (
                f"{name} must raise MachineMemoryError when the memory is closed, got {answer!r}"
            )
            assert (answer.retryable, answer.outcome) == (False, "failed"), name
