"""What a store that was closed must do, as tests to subclass."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from arvo_event_store._append import Append
from arvo_event_store._errors import StoreFailure
from arvo_event_store._store import IEventStore
from arvo_event_store._stream import Snapshot

from ._expectations import listed, refused, some


class ClosableEventStore(IEventStore, Protocol):
    """A store that can be closed."""

    async def aclose(self) -> None:
        """Close it."""
        ...


class ClosedStoreSuite:
    """What every store must do once it was closed: refuse each call, and say so.

    Subclass it in a test module and supply a fixture `closed`: your store, closed_store.

    Example:
        ```python
        class TestMyClosedStore(ClosedStoreSuite):
            @pytest.fixture
            async def closed_store(self) -> ClosableEventStore:
                async with MyEventStore() as store:
                    await store.horizon()
                return store
        ```
    """

    async def test_closing_again_does_nothing(self, closed_store: ClosableEventStore) -> None:
        """Any number of times, also at once."""
        await closed_store.aclose()
        await asyncio.gather(*(closed_store.aclose() for _ in range(5)))

    async def test_a_closed_store_appends_nothing(self, closed_store: ClosableEventStore) -> None:
        """One stream, several, and snapshots."""
        await _refused(closed_store.append("a", some(1)))
        await _refused(closed_store.append_all([Append("a", some(1)), Append("b", some(1))]))
        snapshot = Snapshot(stream="a", kind="k", version=0, schema=1, state=1)
        await _refused(closed_store.save_snapshot(snapshot))

    async def test_a_closed_store_reads_nothing(self, closed_store: ClosableEventStore) -> None:
        """When the first event is asked for, at the latest."""
        await _refused(listed(closed_store.read("a")))
        await _refused(listed(closed_store.read_all(backward=True)))
        await _refused(closed_store.heads(["a"]))
        await _refused(closed_store.horizon())
        await _refused(closed_store.latest_snapshot("a", kind="k"))

    async def test_a_closed_store_changes_no_stream(self, closed_store: ClosableEventStore) -> None:
        """Whatever operators ask for."""
        await _refused(closed_store.close_stream("a"))
        await _refused(closed_store.reopen_stream("a"))
        await _refused(closed_store.truncate("a", before=1))
        await _refused(closed_store.forget("a"))
        await _refused(closed_store.delete_stream("a"))
        await _refused(closed_store.record_archive("a", archive="x"))

    async def test_a_closed_store_lists_nothing(self, closed_store: ClosableEventStore) -> None:
        """Neither streams nor targets."""

        async def streams() -> None:
            async for _ in closed_store.streams():
                pass

        async def targets() -> None:
            async for _ in closed_store.targets("g"):
                pass

        await _refused(streams())
        await _refused(targets())


async def _refused(call: Awaitable[object]) -> None:
    error = await refused(call, StoreFailure)
    assert (error.retryable, error.outcome) == (False, "failed")
    assert "close" in str(error)
