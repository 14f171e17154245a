"""A Sentinel: another server takes over while events are published and handled."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import pytest
from opentelemetry.context import Context
from real_servers.fixtures import missing
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from typing_extensions import override

from arvo_core import ArvoContract, ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_transport import DistributedEventBroker, TopicSpec
from arvo_transport_redis import RedisTransport
from real_servers import RedisSentinel, ServerNotFoundError

from .events import TOPIC, event, insisted

PAY = TopicSpec("com.pay")
SUBJECTS = 5
HALF = 60


class Payer(IArvoEventHandler):
    """Answers each event by one to `PAY`."""

    def __init__(self, source: str, *, ordered: bool = False) -> None:
        self._source = source
        self._ordered = ordered
        self.handled: list[int] = []

    @property
    @override
    def source(self) -> str:
        return self._source

    @property
    @override
    def stateful(self) -> bool:
        return self._ordered

    @property
    @override
    def contract(self) -> ArvoContract | None:
        return None

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        number: int = event.data["number"]
        self.handled.append(number)
        return [paid(number, self._source)]


def paid(number: int, source: str) -> ArvoEvent:
    one = event(number, subject=f"order-{number % SUBJECTS}", to=PAY.name)
    return one.model_copy(update={"id": f"{source}-{number}"})


@asynccontextmanager
async def connected(sentinel: RedisSentinel) -> AsyncIterator[RedisTransport]:
    watch = Sentinel(  # type: ignore[no-untyped-call]
        [(sentinel.host, sentinel.port)],
        sentinel_kwargs={"socket_timeout": 2, "retry": Retry(NoBackoff(), 0)},
    )
    client = watch.master_for(sentinel.service_name, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    transport = RedisTransport(client, partitions=4)
    try:
        yield transport
    finally:
        await transport.aclose()
        await client.aclose()
        for each in watch.sentinels:
            await each.aclose()


@pytest.mark.alone
@pytest.mark.parametrize("master_dies", [True, False], ids=["killed", "demoted"])
async def test_events_arrive_and_workers_go_on_by_themselves(*, master_dies: bool) -> None:
    with running() as sentinel:
        async with connected(sentinel) as publisher, connected(sentinel) as working:
            await publisher.declare([PAY])
            payers = [Payer(TOPIC), Payer(f"{TOPIC}.ordered", ordered=True)]
            async with DistributedEventBroker(payers, transport=working) as broker:
                serving = asyncio.create_task(broker.run())
                await broker.wait_ready()
                await publish(publisher, range(HALF))
                # What a replica has not received is lost with its master: that is in the README.
                sentinel.wait_replicated()
                former = sentinel.master_port()
                if master_dies:
                    sentinel.master.kill()
                else:
                    # Or it would take events for a while that are lost when it becomes a replica.
                    for server in (sentinel.master, *sentinel.replicas):
                        server.command("CONFIG", "SET", "min-replicas-to-write", 1)
                    sentinel.hand_over()
                async with asyncio.timeout(300):  # elections, leases and a busy machine
                    while sentinel.master_port() == former:
                        await asyncio.wait([serving], timeout=0.05)
                        assert not serving.done()
                    await publish(publisher, range(HALF, 2 * HALF))
                    while any({*payer.handled} != {*range(2 * HALF)} for payer in payers):
                        await asyncio.wait([serving], timeout=0.02)
                        assert not serving.done()
                await broker.drain()
                await serving
            stored = await publisher.peek(PAY.name, limit=1000)
            depths = [await publisher.depth(payer.source) for payer in payers]
            letters = await publisher.dead_letters()
    again = sum(len(payer.handled) - len({*payer.handled}) for payer in payers)
    print(f"{4 * HALF} events over a failover: 0 lost, {again} handled again")  # noqa: T201
    assert {each.id for each in stored} == {
        paid(number, payer.source).id for payer in payers for number in range(2 * HALF)
    }
    assert not any(depth.waiting + depth.in_hand for depth in depths)
    assert not letters


@contextmanager
def running() -> Iterator[RedisSentinel]:
    try:
        with RedisSentinel.start(replicas=1) as sentinel:
            yield sentinel
    except ServerNotFoundError as error:
        missing(error)


async def publish(transport: RedisTransport, numbers: range) -> None:
    """Publish events one by one; those that were stored before are dropped."""
    for number in numbers:
        for topic in (TOPIC, f"{TOPIC}.ordered"):
            one = event(number, subject=f"order-{number % SUBJECTS}", to=topic)
            await insisted(partial(transport.publish, [one]))
