"""A program in another language, with nothing but the commands of Redis: it publishes and answers."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel

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
from arvo_transport import DOOR, DistributedEventBroker, TopicSpec
from arvo_transport_redis import RedisTransport

PROGRAM = Path(__file__).parents[3] / "examples" / "foreign_service" / "service.mjs"
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
async def node(url: str, namespace: str, *events: str) -> AsyncIterator[None]:
    """Run the program, which is killed at the end, as it has none of its own."""
    found = shutil.which("node")
    if found is None:
        if os.environ.get("CI") == "true":
            raise AssertionError("node is not installed")
        pytest.skip("node is not installed")
    process = await asyncio.create_subprocess_exec(
        found, PROGRAM, str(urlsplit(url).port), namespace, *events
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def test_a_program_in_another_language_publishes_and_handles(
    transport: RedisTransport, redis_url: str, namespace: str
) -> None:
    await transport.declare([TopicSpec(CLIENT, kind="answers")])
    async with (
        DistributedEventBroker([offers()], transport=transport) as broker,
        transport.answers(CLIENT) as answers,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(broker.run())
        # The workflow starts by an event of the program, which then answers its request.
        async with node(redis_url, namespace, order(3).to_json()):
            async with asyncio.timeout(30):
                answer = await answers.wait("order-3")
            assert answer.data == {"price": 15}
            await broker.publish([order(number) for number in range(4, 8)])
            async with asyncio.timeout(30):
                prices = [(await answers.wait(f"order-{n}")).data["price"] for n in range(4, 8)]
            assert prices == [20, 25, 30, 35]
        await broker.drain()
    for topic in (DOOR, QUOTE.type, OFFER.type):
        depth = await transport.depth(topic)
        assert (depth.waiting, depth.in_hand, depth.dead) == (0, 0, 0), topic
