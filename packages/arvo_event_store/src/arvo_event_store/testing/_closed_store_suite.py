"""What a store that was closed must do, as tests to subclass."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Protocol
from unittest import SkipTest

from arvo_event_store._append import Append
from arvo_event_store._errors import StoreFailure
from arvo_event_store._lease import Done, Lease
from arvo_event_store._reaction_state import ParkedEvent
from arvo_event_store._scan_page import ScanPage
from arvo_event_store._store import IEventStore
from arvo_event_store._stream import Snapshot
from arvo_event_store._target import PER_STREAM
from arvo_event_store._wake_ups import IWakeUps

from ._consumer import TTL, Consumer
from ._expectations import listed, refused, some


class ClosableEventStore(IEventStore, Protocol):
    """A store that can be closed."""

    async def aclose(self) -> None:
        """Close it."""
        ...


class ClosedStoreSuite:
    """What every store must do once it was closed: refuse each call, and say so.

    Subclass it in a test module and supply a fixture `closed_store`: your store, which was closed.

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


class ClosedReactionStoreSuite(ClosedStoreSuite):
    """What every store must do once it was closed that keeps reactions: refuse those calls too."""

    async def test_a_closed_store_registers_and_scans_nothing(
        self, closed_store: ClosableEventStore
    ) -> None:
        """Nor is a page stored, or a scan given up."""
        consumer = Consumer(closed_store)
        await _refused(consumer.register())
        await _refused(consumer.scan())
        page = ScanPage(
            group="g",
            owner=consumer.owner,
            tokens={"r": 1},
            scanned={"r": 0},
            events=(),
            upto=1,
            complete=True,
            others=False,
        )
        await _refused(consumer.mark(page))
        await _refused(closed_store.leave("g", owner=consumer.owner))

    async def test_a_closed_store_leases_nothing(self, closed_store: ClosableEventStore) -> None:
        """Nor does a lease go on or end."""
        consumer = Consumer(closed_store)
        lease = Lease(
            group="g",
            reaction="r",
            key="a",
            reads=PER_STREAM,
            stream="a",
            at=0,
            mark=1,
            token=1,
            attempt=1,
            failed=0,
            lagging=True,
            events=(),
            upto=1,
        )
        await _refused(consumer.ready())
        await _refused(consumer.claim())
        await _refused(consumer.finish(lease, Done()))
        await _refused(consumer.finish(lease, Done(), appends=[Append("a", some(1))]))
        await _refused(closed_store.extend([lease], ttl=TTL))
        await _refused(closed_store.release([lease]))

    async def test_a_closed_store_does_nothing_for_operators(
        self, closed_store: ClosableEventStore
    ) -> None:
        """Nor does it tell how far reactions are behind."""
        consumer = Consumer(closed_store)
        parked = ParkedEvent(
            group="g",
            reaction="r",
            key="a",
            position=1,
            error="x",
            attempts=1,
            parked_at=datetime.now(UTC),
        )
        await _refused(closed_store.lag("g"))
        await _refused(consumer.targets())
        await _refused(consumer.parked())
        await _refused(closed_store.unblock("g", reaction="r"))
        await _refused(closed_store.skip("g", reaction="r", key="a"))
        await _refused(closed_store.reset("g", reaction="r", after=0))
        await _refused(closed_store.replay("g", [parked]))

    async def test_nobody_waits_for_a_closed_store(self, closed_store: ClosableEventStore) -> None:
        """If it has wake-ups."""
        if not isinstance(closed_store, IWakeUps):
            raise SkipTest("the store has no wake-ups")
        seen = closed_store.changes + 1
        await _refused(closed_store.wait_for_change(seen=seen, at_most=TTL))


async def _refused(call: Awaitable[object]) -> None:
    error = await refused(call, StoreFailure)
    assert (error.retryable, error.outcome) == (False, "failed")
    assert "close" in str(error)
