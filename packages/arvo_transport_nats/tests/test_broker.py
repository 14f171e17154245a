"""Handlers and workflows of several workers, over NATS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pydantic import BaseModel

from arvo_core import ArvoEventFactory, SimpleArvoContract, SimpleVersion
from arvo_event_handler import ArvoEventHandler, Emit, HandlerInput
from arvo_transport import DistributedEventBroker, TopicSpec
from arvo_transport_nats import NatsTransport

from .clients import connect, new_namespace


class Order(BaseModel):
    items: int


class Price(BaseModel):
    total: float


PRICE_V1 = SimpleVersion("1.0.0", accepts=Order, emits=Price)
PRICE = SimpleArvoContract(uri="#/shop/price", type="shop.price", versions=[PRICE_V1])
CLIENT = "com.shop.web"


async def price_v1(call: HandlerInput[Order]) -> Emit:
    if call.data.items < 0:
        raise ValueError("nothing costs less than nothing")
    return Emit("evt.shop.price.success", Price(total=4.5 * call.data.items))


@asynccontextmanager
async def worker(url: str, *, namespace: str) -> AsyncIterator[NatsTransport]:
    handler = ArvoEventHandler(contract=PRICE, handler={"1.0.0": price_v1})
    async with (
        connect(url, namespace=namespace) as transport,
        DistributedEventBroker([handler], transport=transport) as broker,
    ):
        running = asyncio.ensure_future(broker.run())
        try:
            yield transport
        finally:
            await broker.drain()
            await running


async def test_requests_of_a_client_are_answered(nats_url: str) -> None:
    """Sent before there is a worker; one that fails is answered too; nothing is left."""
    namespace = new_namespace()
    factory = ArvoEventFactory(PRICE.version(PRICE_V1))
    async with connect(nats_url, namespace=namespace) as client, AsyncExitStack() as stack:
        asked = TopicSpec(PRICE.type, owner=False)
        await client.declare([TopicSpec(CLIENT, kind="answers"), asked])
        requests = [
            factory.accepts(source=CLIENT, subject=f"order-{items}", data=Order(items=items))
            for items in (-1, *range(30))
        ]
        await client.publish(requests)
        for _ in range(2):
            await stack.enter_async_context(worker(nats_url, namespace=namespace))
        async with client.answers(CLIENT) as box:
            failure, *prices = [await box.wait(request.id) for request in requests]
        assert failure.type == "sys.com.shop.price.error"
        assert [price.data["total"] for price in prices] == [4.5 * items for items in range(30)]
        await stack.aclose()
        depth = await client.depth(PRICE.type)
        assert (depth.waiting, depth.in_hand, depth.delayed, depth.dead) == (0, 0, 0, 0)
