"""What a log must do that several clients share, as tests to subclass."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

from arvo_event_store._append import Append
from arvo_event_store._errors import ConflictError
from arvo_event_store._expect import Expect
from arvo_event_store._stream import Snapshot
from arvo_event_store._target import Wake

from ._expectations import WakingLog, added, listed, only, some, versions

ConnectLog: TypeAlias = Callable[[], AbstractAsyncContextManager[WakingLog]]
"""Opens one more client of the same log, for as long as the block lasts."""


class SharedEventLogSuite:
    """What every log must do that outlives its clients, one test for each promise.

    Subclass it in a test module and supply a fixture `connect`, which opens clients of one log with
    nothing in it, new for each test.

    Example:
        ```python
        class TestMySharedLog(SharedEventLogSuite):
            @pytest.fixture
            def connect(self, tmp_path: Path) -> ConnectLog:
                return lambda: MyEventStore.connect(tmp_path / "log")
        ```
    """

    async def test_another_client_reads_what_was_appended(self, connect: ConnectLog) -> None:
        """All that was acknowledged, after the client that appended it was closed."""
        async with connect() as store:
            await store.append_all(
                [Append("a", some(3), wakes=[Wake(group="g", reaction="r", lane="l")])]
            )
            await store.save_snapshot(
                Snapshot(stream="a", kind="k", version=1, schema=1, state={"sum": 1})
            )
            before = await listed(store.read_all())
            heads, horizon = await store.heads(["a"]), await store.horizon()
            targets = [target async for target in store.targets("g")]
        async with connect() as store:
            assert await listed(store.read_all()) == before
            assert await listed(store.read("a")) == before
            assert (await store.heads(["a"]), await store.horizon()) == (heads, horizon)
            assert [target async for target in store.targets("g")] == targets
            snapshot = await store.latest_snapshot("a", kind="k")
            assert snapshot is not None
            assert snapshot.state == {"sum": 1}

    async def test_the_same_append_after_reopening_is_a_duplicate(
        self, connect: ConnectLog
    ) -> None:
        """A15: whoever sends it again."""
        batch = some(2)
        async with connect() as store:
            first = await store.append("a", batch, expect=Expect.NO_STREAM)
        async with connect() as store:
            again = await store.append("a", batch, expect=Expect.NO_STREAM)
            assert again == replace(first, duplicate=True)
            assert await versions(store.read("a")) == [0, 1]

    async def test_one_of_many_racing_clients_wins(self, connect: ConnectLog) -> None:
        """A7: four clients, ten racers each, three rounds."""

        async def wins(store: WakingLog, expect: Expect | int) -> bool:
            try:
                await store.append("a", [added(1)], expect=expect)
            except ConflictError:
                return False
            return True

        async with _clients(connect, 4) as stores:
            for expect in (Expect.NO_STREAM, 0, 1):
                racers = [wins(store, expect) for store in stores for _ in range(10)]
                assert sum(await asyncio.gather(*racers)) == 1
            assert await versions(stores[0].read("a")) == [0, 1, 2]

    async def test_clients_share_versions_positions_and_marks(self, connect: ConnectLog) -> None:
        """A2, A24: four clients append to three streams at once, each to two in one call."""
        wake = Wake(group="g", reaction="r", lane="l")

        async def write(store: WakingLog, number: int) -> None:
            streams = [f"s{number % 3}", f"s{(number + 1) % 3}"][:: 1 if number % 2 else -1]
            await store.append_all([Append(each, some(2), wakes=[wake]) for each in streams])

        async with _clients(connect, 4) as stores:
            await asyncio.gather(
                *(write(store, number) for store in stores for number in range(12))
            )
            events = await listed(stores[0].read_all())
            assert len(events) == 4 * 12 * 4
            positions = [event.position for event in events]
            assert positions == sorted(set(positions))
            for stream in ("s0", "s1", "s2"):
                found = [event.version for event in events if event.stream == stream]
                assert found == list(range(len(found)))
            marks = {target.key: target.mark async for target in stores[1].targets("g")}
            assert marks == {event.stream: event.position for event in events}

    async def test_the_same_append_from_many_clients_is_stored_once(
        self, connect: ConnectLog
    ) -> None:
        """A15: sent by four of them at once."""
        batch = some(1)
        async with _clients(connect, 4) as stores:
            done = await asyncio.gather(*(store.append("a", batch) for store in stores))
            assert sorted(each.duplicate for each in done) == [False, True, True, True]
            assert len({replace(each, duplicate=False) for each in done}) == 1
            assert (await only(stores[3].read_all())).id == batch[0].id


@asynccontextmanager
async def _clients(connect: ConnectLog, count: int) -> AsyncIterator[list[WakingLog]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connect()) for _ in range(count)]
