"""A worker whose process stood still while the server handed it events."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from arvo_transport import Done, TopicSpec

from .clients import ORDER, PAY, connect, event, new_namespace, numbers, receive

PATIENCE = timedelta(seconds=1)


class TestEventsThatWaitedInTheSocket:
    async def test_one_that_another_has_handled_is_not_handed_out(self, nats_url: str) -> None:
        """What lies in the socket for longer than the patience is somebody else's by then."""
        for topic in (PAY, ORDER):
            await _stalls(nats_url, topic)


async def _stalls(url: str, topic: TopicSpec) -> None:
    namespace = new_namespace()
    async with connect(url, namespace=namespace, patience=PATIENCE) as transport:
        await transport.declare([topic])
        async with transport.inbox(topic, prefetch=5) as inbox:
            waiting = asyncio.ensure_future(receive(inbox, 1))
            await transport.publish([event(1, to=topic)])
            assert numbers(await waiting) == [1]
            await inbox.settle(waiting.result()[0], Done())
            waiting = asyncio.ensure_future(receive(inbox, 1))
            await transport.ping()  # the pull is at the server
            with ThreadPoolExecutor(1) as thread:
                # The loop of this worker stands still until another worker is done.
                thread.submit(asyncio.run, _handled_elsewhere(url, namespace, topic)).result()
            await transport.publish([event(3, to=topic)])
            assert numbers(await waiting) == [3]


async def _handled_elsewhere(url: str, namespace: str, topic: TopicSpec) -> None:
    """Publish an event, which goes to the worker that stalls, and settle it once it is missed."""
    async with connect(url, namespace=namespace, patience=PATIENCE) as transport:
        await transport.publish([event(2, to=topic)])
        async with transport.inbox(topic, prefetch=5) as inbox:
            [received] = await receive(inbox, 1)
            assert (numbers([received]), received.deliveries) == ([2], 2)
            await inbox.settle(received, Done())
