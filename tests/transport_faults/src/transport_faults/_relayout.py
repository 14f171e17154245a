"""Lays a topic out anew, in a process of its own."""

import asyncio

from arvo_transport import connect_transport


def relayout(url: str, topic: str, partitions: int) -> None:
    """Give a topic other partitions."""
    asyncio.run(_relayout(url, topic, partitions))


async def _relayout(url: str, topic: str, partitions: int) -> None:
    async with connect_transport(url) as transport:
        await transport.relayout(topic, partitions=partitions)
