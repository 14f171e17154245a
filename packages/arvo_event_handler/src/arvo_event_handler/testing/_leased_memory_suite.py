"""What every machine memory with leases must do, as tests to subclass."""

import asyncio

from arvo_event_handler import TransactionViolationCause
from arvo_event_handler.memory import ILeasedMachineMemory

from ._contention import (
    ConnectLeasedMachineMemory,
    LetTimePass,
    after_max_wait,
    granted,
    locked_out,
    refused,
)
from ._lease_cancellation import LeaseCancellation
from ._lease_chunks import LeaseChunks
from ._lease_commits import LeaseCommits
from ._lease_expiry import LeaseExpiry
from ._lease_journals import LeaseJournals
from ._lease_progress import LeaseProgress
from ._record_write import record_write
from ._refusal import refuses

_CONTENDERS = 50


class LeasedMachineMemorySuite(
    LeaseCommits, LeaseChunks, LeaseJournals, LeaseExpiry, LeaseProgress, LeaseCancellation
):
    """What every `ILeasedMachineMemory` must do beyond the four calls, one test for each promise.

    Subclass it beside `MachineMemorySuite` and supply three fixtures:

    * `memory`: your memory with nothing stored, new for each test. Its policy needs a `ttl` of at
      least ten times `max_wait`, and a `max_wait` in which a few calls can be made.
    * `connect`: a function that opens another client of the same data. A memory of one process
      has no other client: let it return `memory` itself.
    * `let_pass`: an async function that lets a `timedelta` pass, as the memory sees it. With a
      `FakeClock` that is its `run_for`. If a server keeps the time, make its data older: move the
      end of every lease and record that much closer. Really waiting works too, but then the `ttl`
      must be short, and on a busy machine leases may expire that should last.

    Example:
        ```python
        class TestMyLeases(LeasedMachineMemorySuite):
            @pytest.fixture
            async def memory(self, connect: ConnectLeasedMachineMemory) -> AsyncIterator[MyMemory]:
                async with connect() as memory:
                    yield memory

            @pytest.fixture
            def connect(self, url: str) -> ConnectLeasedMachineMemory:
                policy = LockPolicy(max_wait=timedelta(milliseconds=60))
                return lambda: MyMemory.connect(url, policy=policy)

            @pytest.fixture
            def let_pass(self, url: str) -> LetTimePass:
                async def let_pass(delta: timedelta) -> None:
                    await execute(
                        url,
                        "UPDATE machines SET lease_end = lease_end - $1, expires = expires - $1",
                        delta,
                    )

                return let_pass
        ```
    """

    # --- what a lease says --------------------------------------------------

    async def test_a_workflow_that_never_ran_is_leased_at_version_0(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """Without a record, under its own id."""
        lease = await granted(memory)
        assert (lease.machine_id, lease.version, lease.record) == ("order-7", 0, None)

    async def test_a_lease_shows_the_record_and_its_version(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """The version counts every write, plain ones too."""
        await memory.write("order-7", {"count": 1}, None)
        await memory.write("order-7", {"count": {"is": 2}}, {"count": 1})
        lease = await granted(memory)
        assert (lease.version, lease.record) == (2, {"count": {"is": 2}})

    async def test_each_lease_has_an_owner_of_its_own(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Random and long for every client: it must not be guessed or shared."""
        owners: list[str] = []
        async with connect() as other:
            for client in [memory, other] * 10:
                lease = await granted(client)
                owners.append(lease.owner)
                await client.release(lease)
        assert len(set(owners)) == 20
        assert min(map(len, owners)) >= 16

    async def test_the_record_of_a_lease_is_its_holders_own(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """What the holder does to it changes nothing stored."""
        await memory.write("order-7", {"inner": {"count": 1}}, None)
        lease = await granted(memory)
        assert lease.record is not None
        assert isinstance(lease.record["inner"], dict)
        lease.record["inner"]["count"] = 2
        lease.record["more"] = True
        assert await memory.read("order-7") == {"inner": {"count": 1}}

    async def test_a_lease_is_not_a_record(self, memory: ILeasedMachineMemory) -> None:
        """A workflow that is leased and released has still never run."""
        lease = await granted(memory)
        assert await memory.read("order-7") is None
        await memory.release(lease)
        assert await memory.read("order-7") is None
        assert (await granted(memory)).version == 0

    async def test_an_empty_machine_id_is_refused_by_acquire(
        self, memory: ILeasedMachineMemory
    ) -> None:
        """With a cause saying that a retry cannot help."""
        with refuses(TransactionViolationCause.INVALID_SUBJECT, by="acquire"):
            await memory.acquire("")

    # --- one holder at a time -----------------------------------------------

    async def test_exactly_one_of_many_contenders_gets_the_lease(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Out of fifty tasks of two clients; the others get None after a bounded wait."""
        async with connect() as other:
            leases = await after_max_wait(
                memory,
                asyncio.gather(
                    *(each.acquire("order-7") for each in [memory, other] * (_CONTENDERS // 2))
                ),
                let_pass=let_pass,
            )
        assert leases.count(None) == _CONTENDERS - 1

    async def test_a_lease_excludes_other_clients(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Also clients that come later."""
        await granted(memory)
        async with connect() as other:
            assert await refused(other, let_pass=let_pass)

    async def test_a_lease_leaves_other_workflows_free(self, memory: ILeasedMachineMemory) -> None:
        """Each workflow has a lease of its own."""
        await granted(memory, "order-7")
        await granted(memory, "order-8")

    async def test_a_lease_excludes_the_plain_lock(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """The same client's too: the four calls do not know a lease's owner."""
        await granted(memory)
        assert await locked_out(memory, let_pass=let_pass)
        async with connect() as other:
            assert await locked_out(other, let_pass=let_pass)

    async def test_a_plain_lock_excludes_leases(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Until it is unlocked."""
        assert await memory.lock("order-7")
        assert await refused(memory, let_pass=let_pass)
        async with connect() as other:
            assert await refused(other, let_pass=let_pass)
            assert await memory.unlock("order-7") is True
            await granted(other)

    async def test_unlock_leaves_a_lease_alone(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """There is no plain lock to release, so it returns True; the lease stays held."""
        await granted(memory)
        assert await memory.unlock("order-7") is True
        assert await refused(memory, let_pass=let_pass)

    # --- giving it up -------------------------------------------------------

    async def test_a_released_lease_goes_to_the_next_caller(
        self, memory: ILeasedMachineMemory, connect: ConnectLeasedMachineMemory
    ) -> None:
        """Immediately."""
        await memory.release(await granted(memory))
        async with connect() as other:
            await other.release(await granted(other))
        await granted(memory)

    async def test_a_release_writes_nothing(self, memory: ILeasedMachineMemory) -> None:
        """Record and version stay."""
        await memory.write("order-7", {"count": 1}, None)
        await memory.release(await granted(memory))
        lease = await granted(memory)
        assert (lease.version, lease.record) == (1, {"count": 1})

    async def test_a_second_release_leaves_the_next_holder_alone(
        self, memory: ILeasedMachineMemory, let_pass: LetTimePass
    ) -> None:
        """It does nothing: the lease is dropped already."""
        first = await granted(memory)
        await memory.release(first)
        await memory.release(first)
        await granted(memory)
        await memory.release(first)
        assert await refused(memory, let_pass=let_pass)

    # --- waiting for it -----------------------------------------------------

    async def test_a_waiter_gets_the_lease_when_it_is_released(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Within `max_wait`, from another client too."""
        async with connect() as other:
            for _ in range(20):
                lease = await granted(memory)
                waiter = asyncio.ensure_future(other.acquire("order-7"))
                await let_pass(memory.policy.max_wait / 4)
                await other.read("order-7")
                in_time = not waiter.done()
                await memory.release(lease)
                after = await after_max_wait(memory, waiter, let_pass=let_pass)
                if in_time and after is not None:
                    return
                # On a busy machine the waiter's whole wait may have passed unnoticed.
                if after is not None:
                    await other.release(after)
        raise AssertionError("acquire must wait for a holder, up to the policy's max_wait")

    async def test_a_waiter_gets_what_the_holder_committed(
        self,
        memory: ILeasedMachineMemory,
        connect: ConnectLeasedMachineMemory,
        let_pass: LetTimePass,
    ) -> None:
        """Whenever it gets the lease, it sees the latest record, not the one from when it asked."""
        await memory.write("order-7", {"count": 0}, None)
        async with connect() as other:
            lease = await granted(memory)
            waiter = asyncio.ensure_future(other.acquire("order-7"))
            await let_pass(memory.policy.max_wait / 4)
            await other.read("order-7")
            await memory.commit(lease, record_write({"count": 1}))
            after = await after_max_wait(memory, waiter, let_pass=let_pass)
            after = after or await granted(other)
            assert (after.version, after.record) == (2, {"count": 1})
