"""Engines in the process, as the suite for transports needs them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from arvo_time.testing import FakeClock
from arvo_transport import InMemoryEngine, InMemoryTransport
from arvo_transport.testing import EngineUnderTest


def engine_under_test(transport: type[InMemoryTransport] = InMemoryTransport) -> EngineUnderTest:
    """Return an engine on a fake clock, with clients of a class."""
    clock = FakeClock()
    engine = InMemoryEngine(clock=clock, max_event_bytes=64 * 1024)

    @asynccontextmanager
    async def connect(*, patience: timedelta) -> AsyncIterator[InMemoryTransport]:
        client = transport(engine)
        try:
            yield client
        finally:
            await client.aclose()

    async def kill(client: InMemoryTransport) -> None:
        client.kill()

    return EngineUnderTest(connect=connect, kill=kill, clock=clock)
