"""What a machine memory shared by several processes must do, as tests to subclass."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from arvo_event_handler import IMachineMemory, TransactionViolationCause

from ._refusal import refuses, wins

ConnectMachineMemory: TypeAlias = Callable[[], AbstractAsyncContextManager[IMachineMemory]]
"""Opens another client of the same data, as another process would; closes it at the end."""


class SharedMachineMemorySuite:
    """What a memory shared by several processes must do, one test for each promise.

    Subclass it beside `MachineMemorySuite` and supply a fixture `connect`: a function that opens
    another client of the same data, as another process would. The data is empty at the start of
    each test and outlives its clients until the end of the test.

    Example:
        ```python
        class TestMySharedMemory(SharedMachineMemorySuite):
            @pytest.fixture
            def connect(self, url: str) -> ConnectMachineMemory:
                return lambda: MyMemory.connect(url)
        ```
    """

    async def test_a_client_sees_what_another_wrote(self, connect: ConnectMachineMemory) -> None:
        """Immediately, and again when it is overwritten."""
        async with connect() as first, connect() as second:
            await first.write("order-7", {"count": 1}, None)
            assert await second.read("order-7") == {"count": 1}
            await first.write("order-7", {"count": 2}, {"count": 1})
            assert await second.read("order-7") == {"count": 2}

    async def test_a_record_survives_its_writer(self, connect: ConnectMachineMemory) -> None:
        """A client that comes after the writer has closed finds it."""
        async with connect() as first:
            await first.write("order-7", {"count": 1}, None)
        async with connect() as second:
            assert await second.read("order-7") == {"count": 1}

    async def test_closing_a_client_leaves_the_others_working(
        self, connect: ConnectMachineMemory
    ) -> None:
        """Each client has its own connection to close."""
        async with connect() as first:
            async with connect() as second:
                await second.write("order-7", {"count": 1}, None)
            assert await first.read("order-7") == {"count": 1}
            assert await first.lock("order-7")

    async def test_a_write_over_another_clients_record_is_refused(
        self, connect: ConnectMachineMemory
    ) -> None:
        """The check is made where the data is, not in what a client remembers."""
        async with connect() as first, connect() as second:
            await first.write("order-7", {"by": "nobody"}, None)
            stale = await first.read("order-7")
            await second.write("order-7", {"by": "second"}, await second.read("order-7"))
            with refuses(TransactionViolationCause.VERSION_MOVED, by="write"):
                await first.write("order-7", {"by": "first"}, stale)
            assert await first.read("order-7") == {"by": "second"}

    async def test_exactly_one_of_many_clients_wins_a_write(
        self, connect: ConnectMachineMemory
    ) -> None:
        """All read the same record and write concurrently."""
        async with connect() as first, connect() as second, connect() as third:
            await first.write("order-7", {"by": -1}, None)
            writers = [first, second, third] * 5
            won = await asyncio.gather(
                *(wins(each, {"by": number}, {"by": -1}) for number, each in enumerate(writers))
            )
            assert won.count(True) == 1
            assert await third.read("order-7") == {"by": won.index(True)}

    async def test_a_lock_excludes_other_clients(self, connect: ConnectMachineMemory) -> None:
        """Until its holder releases it."""
        async with connect() as first, connect() as second:
            assert await first.lock("order-7")
            assert not await second.lock("order-7")
            assert await first.unlock("order-7") is True
            assert await second.lock("order-7")

    async def test_only_one_of_many_clients_gets_the_lock(
        self, connect: ConnectMachineMemory
    ) -> None:
        """When all ask concurrently."""
        async with connect() as first, connect() as second, connect() as third:
            won = await asyncio.gather(
                *(each.lock("order-7") for each in [first, second, third] * 5)
            )
            assert won.count(True) == 1

    async def test_a_client_cannot_unlock_what_another_holds(
        self, connect: ConnectMachineMemory
    ) -> None:
        """It has nothing to release, so unlock returns True; the lock stays held."""
        async with connect() as first, connect() as second:
            assert await first.lock("order-7")
            assert await second.unlock("order-7") is True
            assert not await second.lock("order-7")
