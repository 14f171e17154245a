"""A memory of either kind, plain or with leases, whose calls can be disturbed."""

from typing import Any

from arvo_core import ArvoEvent
from arvo_event_handler import ArvoResumable, ExecutionPolicy, IMachineMemory, SimpleMachineMemory
from arvo_event_handler.memory import Record, to_typescript
from arvo_time.testing import FakeClock

from .intercepted_memory import InterceptedLeasedMemory, InterceptedMemory, Interception
from .leased_memory import LeasedMemory
from .shop import order

KINDS = ["plain", "leased"]


class Store:
    """A memory of one kind, whose calls can be disturbed."""

    def __init__(self, kind: str) -> None:
        self.clock = FakeClock()
        self.policy = ExecutionPolicy(clock=self.clock)
        self.kind = kind
        self.leased = LeasedMemory(clock=self.clock)
        self.plain = SimpleMachineMemory()

    def memory(
        self, *, before: Interception | None = None, after: Interception | None = None
    ) -> InterceptedMemory:
        options = {
            name: each for name, each in (("before", before), ("after", after)) if each is not None
        }
        if self.kind == "leased":
            return InterceptedLeasedMemory(self.leased, **options)
        return InterceptedMemory(self.plain, **options)

    def order(self, function: Any = None, **options: Any) -> ArvoResumable:
        arguments = {"memory": self.memory(), "policy": self.policy, **options}
        return order(**arguments) if function is None else order(function, **arguments)

    @property
    def locked(self) -> list[str]:
        return self.leased.locked if self.kind == "leased" else sorted(self.plain._locked)

    async def read(self, event: ArvoEvent) -> Any:
        """Return the record in the TypeScript shape."""
        record = await self._unwatched.read(event.subject)
        has_journal = record is not None and "journal" in record
        return to_typescript(record, subject=event.subject) if record and has_journal else record

    async def replace(self, event: ArvoEvent, record: Record) -> None:
        """Store another record, by the four calls."""
        memory = self._unwatched
        await memory.write(event.subject, record, await memory.read(event.subject))

    @property
    def _unwatched(self) -> IMachineMemory:
        return self.leased if self.kind == "leased" else self.plain

    def name(self, call: str) -> str:
        """Translate the name of a plain memory's call."""
        leased = {"lock": "acquire", "write": "commit", "unlock": "release"}
        return leased[call] if self.kind == "leased" else call
