"""The hop of `transport` by FastStream. Run: uv run --with 'faststream[redis,nats]' python -m benchmarks --only hop."""

from collections.abc import AsyncIterator
from typing import Any

from benchmarks.servers import nats_server, redis_server
from benchmarks.transports import BATCH, IN_THE_RING, hops, ring_event
from benchmarks.workload import UnavailableError, Workload, benchmark


@benchmark("peer.redis.hop.c50")
async def hop_over_redis() -> AsyncIterator[Workload[int, bool]]:
    """FastStream over Redis Streams, 50 handlers at a time: read, publish, acknowledge."""
    peer = _peer()
    with redis_server() as server:
        async with peer.redis_hop(server.url, tasks=BATCH, events=_events()) as hop:
            yield hops(hop, tasks=BATCH)


@benchmark("peer.nats.hop.c50")
async def hop_over_nats() -> AsyncIterator[Workload[int, bool]]:
    """FastStream over NATS JetStream, 50 handlers at a time: fetch, publish, acknowledge."""
    peer = _peer()
    with nats_server() as server:
        async with peer.nats_hop(server.url, tasks=BATCH, events=_events()) as hop:
            yield hops(hop, tasks=BATCH)


def _peer() -> Any:
    try:
        from benchmarks.peers import faststream_hop
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "FastStream is not installed; `uv run --with 'faststream[redis,nats]'` brings it"
        ) from error
    return faststream_hop


def _events() -> list[dict[str, Any]]:
    return [ring_event().to_dict() for _ in range(IN_THE_RING)]
