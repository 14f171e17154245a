"""Messages of channels, and connections that are lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from arvo_redis import Server, Subscription
from real_servers import FaultProxy, RedisServer

from .proxies import url_of

Messages = asyncio.Queue[tuple[str, bytes | None]]


@asynccontextmanager
async def subscribed(url: str) -> AsyncIterator[tuple[Server, Subscription, Messages]]:
    messages: Messages = asyncio.Queue()
    async with Server.connect(url) as server:
        subscription = server.subscription(on_message=lambda *each: messages.put_nowait(each))
        async with aclosing(subscription):
            yield server, subscription, messages


async def test_messages_come_after_the_subscription_has_begun(redis_server: RedisServer) -> None:
    async with subscribed(redis_server.url) as (server, subscription, messages):
        for channel in ("bell:1", "bell:2"):
            await subscription.subscribe(channel)
        assert {await messages.get(), await messages.get()} == {("bell:1", None), ("bell:2", None)}
        await server.ask("PUBLISH", "bell:2", "ring")
        assert await messages.get() == ("bell:2", b"ring")


async def test_a_channel_that_was_left_is_silent(redis_server: RedisServer) -> None:
    async with subscribed(redis_server.url) as (server, subscription, messages):
        for channel in ("bell:1", "bell:2"):
            await subscription.subscribe(channel)
            assert await messages.get() == (channel, None)
        await subscription.unsubscribe("bell:1")
        while await server.ask("PUBLISH", "bell:1", "ring"):
            await messages.get()
        await server.ask("PUBLISH", "bell:2", "ring")
        assert await messages.get() == ("bell:2", b"ring")


async def test_a_lost_connection_is_made_again_and_told(redis_server: RedisServer) -> None:
    async with (
        FaultProxy.open(port=redis_server.port) as proxy,
        subscribed(url_of(proxy)) as (server, subscription, messages),
    ):
        await subscription.subscribe("bell")
        assert await messages.get() == ("bell", None)
        proxy.cut_all()
        assert await messages.get() == ("bell", None)
        await server.ask("PUBLISH", "bell", "ring")
        assert await messages.get() == ("bell", b"ring")


async def test_a_channel_can_be_subscribed_while_the_server_is_away(
    redis_server: RedisServer,
) -> None:
    async with (
        FaultProxy.open(port=redis_server.port) as proxy,
        subscribed(url_of(proxy)) as (_, subscription, messages),
    ):
        await subscription.subscribe("bell:1")
        assert await messages.get() == ("bell:1", None)
        proxy.refusing = True
        proxy.cut_all()
        await subscription.subscribe("bell:2")
        proxy.refusing = False
        found = {await messages.get(), await messages.get()}
        assert found == {("bell:1", None), ("bell:2", None)}


async def test_closing_twice_does_nothing(redis_server: RedisServer) -> None:
    async with subscribed(redis_server.url) as (_, subscription, messages):
        await subscription.subscribe("bell")
        assert await messages.get() == ("bell", None)
        await subscription.aclose()
        await subscription.aclose()
    assert messages.empty()
