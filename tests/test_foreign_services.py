"""Programs in another language, with nothing but the words of an engine: they publish and answer."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel
from real_servers.fixtures import (
    StartNats,
    StartRedis,
    nats_flavour as nats_flavour,
    redis_flavour as redis_flavour,
    start_nats as start_nats,
    start_redis as start_redis,
)

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import ArvoResumable, Complete, Emit, Reply, Start, Step
from arvo_transport import DOOR, DistributedEventBroker, IAnsweringTransport, TopicSpec
from arvo_transport_nats import NatsTransport
from arvo_transport_redis import RedisTransport

PROGRAMS = Path(__file__).parents[1] / "examples" / "foreign_service"
CLIENT = "com.shop.web"


class Basket(BaseModel):
    items: int


class Quote(BaseModel):
    price: int


QUOTE_V1 = SimpleVersion("1.0.0", accepts=Basket, emits=Quote)
QUOTE = SimpleArvoContract(uri="#/price/quote", type="price.quote", versions=[QUOTE_V1])
OFFER_V1 = OrchestratorVersion("1.0.0", init=Basket, complete=Quote)
OFFER = ArvoOrchestratorContract(uri="#/shop/offer", name="shop.offer", versions=[OFFER_V1])


def offers() -> ArvoResumable:
    async def offer_v1(call: Start[Basket] | Reply[Basket]) -> Step[Basket]:
        if isinstance(call, Start):
            return Step(context=call.data, services=[Emit("com.price.quote", call.data)])
        return Step(output=Complete(Quote(price=call.event.data["price"])))

    return ArvoResumable(
        contract=OFFER,
        services=[QUOTE.version(QUOTE_V1)],
        memory=ConcurrentMachineMemory(),
        handler={"1.0.0": offer_v1},
        answers="awaited",
    )


def order(number: int) -> ArvoEvent:
    return ArvoOrchestratorEventFactory(OFFER.version(OFFER_V1)).init(
        id=f"order-{number}", source=CLIENT, data=Basket(items=number)
    )


@asynccontextmanager
async def node(program: str, *words: str) -> AsyncIterator[None]:
    """Run a program, which is killed at the end, as it has none of its own."""
    found = shutil.which("node")
    if found is None:
        if os.environ.get("CI") == "true":
            raise AssertionError("node is not installed")
        pytest.skip("node is not installed")
    process = await asyncio.create_subprocess_exec(found, PROGRAMS / program, *words)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def test_over_redis(start_redis: StartRedis) -> None:
    url, namespace = start_redis().url, f"test-{secrets.token_hex(6)}"
    async with RedisTransport.connect(url, namespace=namespace) as transport:
        await publishes_and_answers(transport, "redis.mjs", url=url, namespace=namespace)


async def test_over_nats(start_nats: StartNats) -> None:
    url, namespace = start_nats().url, f"test-{secrets.token_hex(6)}"
    async with NatsTransport.connect(url, namespace=namespace) as transport:
        await publishes_and_answers(transport, "nats.mjs", url=url, namespace=namespace)


async def publishes_and_answers(
    transport: IAnsweringTransport, program: str, *, url: str, namespace: str
) -> None:
    """Let a workflow start by an event of the program, which then answers its request; and four more."""
    topics = [TopicSpec(CLIENT, kind="answers"), TopicSpec(QUOTE.type), TopicSpec(DOOR)]
    await transport.declare(topics)
    async with (
        DistributedEventBroker([offers()], transport=transport) as broker,
        transport.answers(CLIENT) as answers,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(broker.run())
        port = str(urlsplit(url).port)
        async with node(program, port, namespace, order(3).to_json()):
            async with asyncio.timeout(60):
                answer = await answers.wait("order-3")
            assert answer.data == {"price": 15}
            await broker.publish([order(number) for number in range(4, 8)])
            async with asyncio.timeout(60):
                prices = [(await answers.wait(f"order-{n}")).data["price"] for n in range(4, 8)]
            assert prices == [20, 25, 30, 35]
            async with asyncio.timeout(60):
                # An acknowledgement has no answer, so it may be on its way.
                for topic in (QUOTE.type, DOOR):
                    while await left(transport, topic):  # noqa: ASYNC110 - the engine says nothing
                        await asyncio.sleep(0)
        await broker.drain()
    for topic in (DOOR, QUOTE.type, OFFER.type):
        assert await left(transport, topic) == (), topic


async def left(transport: IAnsweringTransport, topic: str) -> tuple[str, ...]:
    """Return which kinds of events a topic still has."""
    depth = await transport.depth(topic)
    counts = {"waiting": depth.waiting, "in hand": depth.in_hand, "dead": depth.dead}
    return tuple(name for name, count in counts.items() if count)
