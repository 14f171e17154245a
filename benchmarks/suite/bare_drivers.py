"""The hops of `transport` by the drivers alone: what a transport cannot exceed, and what is easily had."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy
from redis.asyncio import BlockingConnectionPool, Redis

from benchmarks.servers import nats_server, redis_server
from benchmarks.transports import BATCH, IN_THE_RING, RING, hops, ring_event
from benchmarks.workload import Workload, benchmark

_SUBJECT = "bare.ring"

# Acknowledge, forget, store what came of it: what a settlement cannot do without.
_SETTLE = """
if redis.call('XACK', KEYS[1], 'bare', ARGV[1]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[1], '*', 'event', ARGV[2])
return 1
"""


@benchmark("limit.redis.hop.c50")
async def limit_ofhops() -> AsyncIterator[Workload[int, bool]]:
    """The same commands on the bare driver, 50 events a round trip: what a transport cannot exceed."""
    async with _redis() as client:
        settle = await client.script_load(_SETTLE)
        await _fill_redis(client)

        async def batch(_: int) -> bool:
            taken = await _take_from_redis(client, BATCH)
            async with client.pipeline(transaction=False) as pipeline:
                for identity, event in taken:
                    pipeline.evalsha(settle, 1, RING.name, identity, event)
                return len(await pipeline.execute()) == BATCH

        yield Workload(
            inputs=lambda n: [*range(n)], operation=batch, check=lambda done: done, units=BATCH
        )


@benchmark("naive.redis.hop.c50")
async def naivehops() -> AsyncIterator[Workload[int, bool]]:
    """50 tasks, each with one command at a time: read one event, store the output, acknowledge, delete."""
    async with _redis() as client:
        await _fill_redis(client)

        async def hop(_: int) -> bool:
            [(identity, event)] = await _take_from_redis(client, 1)
            await client.xadd(RING.name, {"event": event})
            await client.xack(RING.name, "bare", identity)
            return bool(await client.xdel(RING.name, identity))

        yield hops(hop, tasks=BATCH)


@benchmark("limit.nats.hop.c50")
async def limit_on_nats() -> AsyncIterator[Workload[int, bool]]:
    """The same commands on the bare driver, 50 events a round trip: what a transport cannot exceed."""
    async with _nats() as (client, stream):
        taking = await stream.pull_subscribe_bind("bare", "bare")
        replies = client.new_inbox()
        stored: asyncio.Queue[Msg] = asyncio.Queue()
        await client.subscribe(replies, cb=stored.put)

        async def batch(_: int) -> bool:
            taken: list[Msg] = []
            while len(taken) < BATCH:
                taken += await taking.fetch(BATCH - len(taken))
            for message in taken:
                await client.publish(_SUBJECT, message.data, replies)
            for _number in range(BATCH):
                await stored.get()
            for message in taken:
                await client.publish(message.reply)
            return True

        yield Workload(
            inputs=lambda n: [*range(n)], operation=batch, check=lambda done: done, units=BATCH
        )


@benchmark("naive.nats.hop.c50")
async def naive_on_nats() -> AsyncIterator[Workload[int, bool]]:
    """50 tasks, each with one call at a time: fetch one event, publish the output, acknowledge."""
    async with _nats() as (_, stream):
        free = [await stream.pull_subscribe_bind("bare", "bare") for _ in range(BATCH)]

        async def hop(_: int) -> bool:
            taking = free.pop()
            [message] = await taking.fetch(1)
            free.append(taking)
            await stream.publish(_SUBJECT, message.data)
            await message.ack()
            return True

        yield hops(hop, tasks=BATCH)


@asynccontextmanager
async def _nats() -> AsyncIterator[tuple[Client, JetStreamContext]]:
    with nats_server() as server:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        await stream.add_stream(
            name="bare", subjects=[_SUBJECT], retention=RetentionPolicy.WORK_QUEUE
        )
        await stream.add_consumer("bare", durable_name="bare", ack_policy="explicit")
        for _ in range(IN_THE_RING):
            await stream.publish(_SUBJECT, ring_event().to_json().encode())
        try:
            yield client, stream
        finally:
            await client.close()


@asynccontextmanager
async def _redis() -> AsyncIterator[Redis]:
    with redis_server() as server:
        pool = BlockingConnectionPool.from_url(server.url, max_connections=BATCH)
        client = Redis.from_pool(pool)
        try:
            yield client
        finally:
            await client.aclose()


async def _fill_redis(client: Redis) -> None:
    await client.xgroup_create(RING.name, "bare", id="0", mkstream=True)
    for _ in range(IN_THE_RING):
        await client.xadd(RING.name, {"event": ring_event().to_json()})


async def _take_from_redis(client: Redis, limit: int) -> Sequence[tuple[Any, Any]]:
    streams: Any = await client.xreadgroup("bare", "bench", {RING.name: ">"}, count=limit)
    return [(identity, fields[b"event"]) for identity, fields in streams[0][1]]
