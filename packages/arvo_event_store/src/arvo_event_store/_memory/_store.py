"""The store in this process."""

from datetime import timedelta
from types import TracebackType
from typing import Self

from arvo_event_store.stores import MAX_PAYLOAD_BYTES
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.settings import check_clock, check_count, check_duration

from ._claims import MemoryClaims
from ._event_log import MemoryLog
from ._operators import MemoryOperators
from ._scanning import MemoryScanning
from ._stream_admin import MemoryStreamAdmin


class MemoryEventStore(MemoryLog, MemoryStreamAdmin, MemoryScanning, MemoryClaims, MemoryOperators):
    """An event store in this process, gone when it ends: for tests, and to begin with.

    It is one event loop's. Its order is that of the calls, so its horizon is the last position. It has
    no database, so a reaction that stages SQL or other work is refused with `NotSupportedError`.

    Args:
        max_payload_bytes: How long the JSON of an event's data, meta and private data may be, each,
            and the state of a snapshot.
        clock: When events are stored, and how long leases are.

    Raises:
        TypeError: `max_payload_bytes` is not an int, or `clock` is not a `Clock`.
        ValueError: `max_payload_bytes` is below 1.

    Example:
        >>> async def main() -> None:
        ...     async with MemoryEventStore() as store:
        ...         await store.append("counter-a", [NewEvent("Added", {"amount": 7})])
        ...         print([event.data async for event in store.read("counter-a")])
        >>> asyncio.run(main())
        [{'amount': 7}]
    """

    def __init__(
        self, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        check_count(max_payload_bytes, name="max_payload_bytes", least=1)
        super().__init__(max_payload_bytes=max_payload_bytes, clock=check_clock(clock))

    async def __aenter__(self) -> Self:
        """Return the store."""
        self._check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse all calls from now on. Idempotent."""
        self._closed = True
        self._changes.wake()

    # --- wake-ups -----------------------------------------------------------

    @property
    def changes(self) -> int:
        """See `IWakeUps.changes`."""
        return self._changes.count

    async def wait_for_change(self, *, seen: int, at_most: timedelta) -> bool:
        """See `IWakeUps.wait_for_change`."""
        check_count(seen, name="seen")
        check_duration(at_most, name="at_most")
        await self._turn()
        changed = await self._changes.wait(seen=seen, at_most=at_most)
        self._check_open()
        return changed
