"""What fails half way, in a script or beside one, loses nothing and leaves no topic without a worker."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from arvo_redis import Script, Server
from arvo_transport import Done, Output, TopicSpec, TransportError, partition_of
from arvo_transport_redis import RedisTransport
from arvo_transport_redis._scripts import RELEASE, SETTLE

from .conftest import Connect
from .events import TOPIC, event, number_of, outputs, receive_all

ORDERED = TopicSpec(TOPIC, order="subject")
UNORDERED = TopicSpec(TOPIC)
PAY = TopicSpec("com.pay")
CLIENT = TopicSpec("com.web", kind="answers")
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def limited(
    transport: RedisTransport, url: str, namespace: str, *rules: str
) -> AsyncIterator[RedisTransport]:
    """Connect as a user who may do everything but what the rules leave out."""
    user = f"user-{secrets.token_hex(4)}"
    await transport._server.ask("ACL", "SETUSER", user, "on", ">secret", "+@all", *rules)
    place = urlsplit(url)
    limited_url = f"redis://{user}:secret@{place.hostname}:{place.port}"
    try:
        async with RedisTransport.connect(limited_url, namespace=namespace) as opened:
            yield opened
    finally:
        await transport._server.ask("ACL", "DELUSER", user)


@contextmanager
def failing_once(monkeypatch: pytest.MonkeyPatch, script: Script) -> Iterator[None]:
    """Let the next run of a script fail before it reaches the server."""
    run = Server.run
    left = [script]

    async def once(self: Server, called: Script, key: str, *arguments: Any) -> Any:
        if called in left:
            left.remove(called)
            raise TransportError("injected", retryable=True, outcome="failed")
        return await run(self, called, key, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Server, "run", once)
        yield


async def test_an_output_that_may_not_be_stored_leaves_its_cause_in_hand(
    transport: RedisTransport, redis_url: str, namespace: str
) -> None:
    await transport.declare([UNORDERED, PAY])
    await transport.publish([event(0)])
    rules = (f"~{namespace}:*", f"~{{{namespace}:{TOPIC}:*", "&*")
    async with (
        limited(transport, redis_url, namespace, *rules) as worker,
        worker.inbox(UNORDERED, prefetch=1) as inbox,
    ):
        [received] = await receive_all(inbox, 1)
        for _ in range(2):
            with pytest.raises(TransportError):
                await inbox.settle(received, outputs(event(9, to=PAY.name)))
    assert (await transport.depth(TOPIC)).waiting == 1
    assert (await transport.depth(PAY.name)).waiting == 0


async def test_an_answer_is_stored_though_nobody_may_be_woken(
    transport: RedisTransport, redis_url: str, namespace: str
) -> None:
    await transport.declare([UNORDERED, CLIENT])
    await transport.publish([event(0)])
    rules = ("~*", f"&{namespace}:bell:*")
    async with (
        limited(transport, redis_url, namespace, *rules) as worker,
        worker.inbox(UNORDERED, prefetch=1) as inbox,
    ):
        [received] = await receive_all(inbox, 1)
        answer = event(9, to=CLIENT.name, parentid="request-1")
        await inbox.settle(received, Done(outputs=[Output(answer, topic=CLIENT.name)]))
    async with transport.answers(CLIENT.name) as answers:
        found = await answers.get("request-1")
    assert found is not None
    assert found.id == "event-9"


async def test_an_owner_without_order_takes_over_what_waits_in_every_partition(
    transport: RedisTransport,
) -> None:
    await transport.declare([TopicSpec(TOPIC, order="subject", owner=False)])
    others = [key for key in map(str, range(40)) if partition_of(key, partitions=8)]
    await transport.publish([event(int(key), subject=key) for key in others])
    await transport.declare([UNORDERED])
    assert (await transport.depth(TOPIC)).waiting == len(others)
    async with transport.inbox(UNORDERED, prefetch=40) as inbox:
        await receive_all(inbox, len(others))


async def test_the_first_owner_keeps_its_limit_though_events_waited(
    transport: RedisTransport,
) -> None:
    await transport.declare([TopicSpec(TOPIC, owner=False)])
    await transport.publish([event(0)])
    wanted = TopicSpec(TOPIC, order="subject", max_waiting=7)
    await transport.declare(iter([wanted]))
    [state] = await transport.topics()
    assert (state.order, state.max_waiting) == ("subject", 7)


async def test_nothing_is_published_for_later_by_an_old_layout(connect: Connect) -> None:
    async with connect() as publisher, connect() as operator:
        await publisher.declare([UNORDERED])
        await publisher.publish([event(0)])
        await operator.relayout(TOPIC, order="subject")
        with pytest.raises(ValueError, match="has an order"):
            await publisher.publish([event(1)], at=datetime.now(UTC) + SECOND)
        assert (await operator.depth(TOPIC)).delayed == 0


async def test_what_could_not_be_given_back_keeps_no_partition_away(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(partitions=1, lease=SECOND) as transport:
        await transport.declare([ORDERED])
        await transport.publish([event(0), event(1)])
        async with transport.inbox(ORDERED, prefetch=8) as inbox:
            held = await receive_all(inbox, 2)
            with failing_once(monkeypatch, RELEASE), pytest.raises(TransportError):
                await inbox.release(held)
            async with asyncio.timeout(20):
                again = await receive_all(inbox, 2)
            assert [number_of(each) for each in again] == [0, 1]


async def test_a_letter_that_cannot_be_kept_yet_changes_no_order(
    connect: Connect, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(partitions=1, lease=SECOND) as transport:
        await transport.declare([ORDERED])
        stream = transport._namespace.keys.partition(TOPIC, 0) + ":s"
        await transport._server.ask("XADD", stream, "*", "event", "rubbish")
        await transport.publish([event(0), event(1)])
        async with transport.inbox(ORDERED, prefetch=8) as inbox:
            with failing_once(monkeypatch, SETTLE):
                async with asyncio.timeout(20):
                    found = await receive_all(inbox, 2)
            assert [number_of(each) for each in found] == [0, 1]


async def test_a_worker_that_stood_still_goes_on_tending(connect: Connect) -> None:
    async with connect(partitions=4, lease=SECOND) as transport:
        await transport.declare([ORDERED])
        await transport.publish([event(number, subject=f"s-{number}") for number in range(8)])
        async with transport.inbox(ORDERED, prefetch=8) as inbox:
            held = await receive_all(inbox, 8)
            # Another worker has taken all partitions while this one stood still, and went again.
            for partition in range(4):
                owner = transport._namespace.keys.partition(TOPIC, partition) + ":o"
                await transport._server.ask("SET", owner, "another", "PX", 300)
            lost = await asyncio.gather(inbox.extend(held), inbox.extend(held))
            assert [len(each) for each in lost] == [8, 8]
            await inbox.release(held)
            async with asyncio.timeout(20):
                again = await receive_all(inbox, 8)
            assert {number_of(each) for each in again} == {*range(8)}
