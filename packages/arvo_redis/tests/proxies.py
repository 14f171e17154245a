"""Helpers of the tests of this package for proxies and event loops."""

import asyncio

from real_servers import FaultProxy


def url_of(proxy: FaultProxy) -> str:
    return f"redis://{proxy.host}:{proxy.port}"


async def turns(number: int) -> None:
    """Let the event loop turn."""
    for _ in range(number):
        await asyncio.sleep(0)
