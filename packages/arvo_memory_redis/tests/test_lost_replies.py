"""A proxy forwards a script and cuts the connection before the whole reply has come."""

import os
from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from real_servers.fixtures import StartRedis

from arvo_event_handler import MachineMemoryError
from arvo_event_handler.memory import LockPolicy, MachineLease
from arvo_event_handler.testing import record_write
from arvo_memory_redis import RedisMachineMemory
from arvo_memory_redis._scripts import ACQUIRE, CHUNKS, COMMIT, EXTEND, RELEASE, WRITE
from real_servers import FaultProxy

from .clients import Connect, stored, url_of

INSTANTS = 200 if os.environ.get("ARVO_FULL") == "1" else 20
# Only a lease that was given back becomes free within max_wait.
POLICY = LockPolicy(ttl=timedelta(minutes=5), max_wait=timedelta(seconds=10))
SCRIPTS = [ACQUIRE, CHUNKS, COMMIT, EXTEND, RELEASE, WRITE]


@pytest.mark.scaled
async def test_no_lost_reply_of_any_script_loses_or_doubles_a_write(
    connect_url: Connect,
    start_redis: StartRedis,
) -> None:
    random = Random(13)
    lost = Counter[str]()
    async with (
        FaultProxy.open(port=start_redis().port) as proxy,
        connect_url(url_of(proxy), policy=POLICY, max_connections=4) as memory,
    ):
        version = await round_of_calls(memory, 0)  # the server knows all scripts now
        while lost.total() < INSTANTS:
            script = random.choice(SCRIPTS)
            # No reply is shorter than three bytes, so none is complete by then.
            fault = proxy.cut_reply_after(
                random.randrange(3), containing=script.sha.encode(), after=random.randrange(3)
            )
            while not fault.happened.is_set():
                version = await round_of_calls(memory, version)
            lost[script.name] += 1
    assert lost.keys() == {script.name for script in SCRIPTS}
    print(f"{dict(lost)} replies lost, {version} writes, none lost, none doubled")  # noqa: T201 - the figure of the run


class Overtaken:
    """A clock during whose pauses another client writes."""

    def __init__(self, other: RedisMachineMemory) -> None:
        self._other = other

    async def sleep(self, delay: timedelta) -> None:
        lease = await leased(self._other, 1)
        await self._other.commit(lease, record_write({"version": 2}))


@pytest.mark.parametrize("call", ["commit", "write"])
async def test_a_write_with_a_lost_reply_is_unknown_if_another_write_followed(
    connect_url: Connect, start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Its reply was lost, and when it was sent again the next version was stored already."""
    server = start_redis()
    script = COMMIT if call == "commit" else WRITE
    async with (
        FaultProxy.open(port=server.port) as proxy,
        connect_url(url_of(proxy), policy=POLICY) as memory,
        RedisMachineMemory.connect(server.url, policy=POLICY) as other,
    ):
        # The server knows the script now, so it is sent once.
        await memory.write("order-8", {}, None)
        await memory.commit(await leased(memory, 0), record_write({"version": 1}))
        await other.cleanup("order-7")
        if call == "commit":
            writing = memory.commit(await leased(memory, 0), record_write({"version": 1}))
        else:
            writing = memory.write("order-7", {"version": 1}, None)
        monkeypatch.setattr(memory._server, "_clock", Overtaken(other))
        fault = proxy.lose_next_reply(containing=script.sha.encode())
        with pytest.raises(MachineMemoryError, match="the stored data has changed since") as caught:
            await writing
        assert fault.happened.is_set()
        assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
        assert await other.read("order-7") == {"version": 2}


async def round_of_calls(memory: RedisMachineMemory, version: int) -> int:
    """Make every call that runs a script, check what it did, and return the version after."""
    await memory.release(await leased(memory, version))
    lease = await leased(memory, version)
    assert await memory.renew(lease)
    # Two writes a round, of which one has a chunk.
    chunk = b"%d" % (version // 2 + 1)
    write = record_write({"version": version + 1}, tail=b"tail", chunk=chunk, frees="earlier")
    await memory.commit(lease, write)
    lease = await leased(memory, version + 1)
    assert (lease.tail, lease.last_chunk) == (b"tail", int(chunk))
    assert list(lease.chunks) == list(await memory.chunks(lease)) == [(int(chunk), chunk)]
    await memory.release(lease)
    assert await memory.lock("order-7")
    await memory.write("order-7", {"version": version + 2}, {"version": version + 1})
    assert await memory.unlock("order-7")
    found = await stored(memory, "order-7")
    assert found is not None
    assert (found.version, found.record) == (version + 2, {"version": version + 2})
    return version + 2


async def leased(memory: RedisMachineMemory, version: int) -> MachineLease:
    lease = await memory.acquire("order-7")
    assert lease is not None
    assert (lease.version, lease.record) == (version, {"version": version} if version else None)
    return lease
