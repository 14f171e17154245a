"""A Redis or Valkey cluster of three masters."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, Self

from ._discovery import RedisFlavour
from ._redis import RedisServer
from ._server_process import ServerStartError, free_port

_SLOTS: Final = 16_384
_MASTERS: Final = 3
_TIMEOUT_S = 20.0


class RedisCluster:
    """Three masters on loopback that share all slots; made by `start`."""

    def __init__(self, nodes: Sequence[RedisServer]) -> None:
        self.nodes = tuple(nodes)
        """The masters."""

    @classmethod
    @contextmanager
    def start(cls, flavour: RedisFlavour | None = None) -> Iterator[Self]:
        """Start a cluster that takes commands, and remove it after the block.

        Args:
            flavour: What to start; None takes the preferred one.

        Raises:
            ServerNotFoundError: There is no Redis and no Valkey.
            ServerStartError: A master does not start, or the three do not form a cluster.
        """
        with ExitStack() as stack:
            nodes = [
                stack.enter_context(
                    RedisServer.start(
                        flavour,
                        # The usual bus port, 10000 higher, may not exist or be taken.
                        options={"cluster-enabled": "yes", "cluster-port": free_port()},
                    )
                )
                for _ in range(_MASTERS)
            ]
            _introduce(nodes)
            _await_agreement(nodes)
            yield cls(nodes)

    @property
    def url(self) -> str:
        """The URL of the first master; cluster clients find the others."""
        return self.nodes[0].url


def _introduce(nodes: Sequence[RedisServer]) -> None:
    first, *others = nodes
    for index, node in enumerate(nodes):
        start, end = _SLOTS * index // _MASTERS, _SLOTS * (index + 1) // _MASTERS - 1
        node.command("CLUSTER", "ADDSLOTSRANGE", start, end)
        node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
    bus = str(first.command("CONFIG", "GET", "cluster-port"))
    bus_port = int("".join(filter(str.isdigit, bus)))
    for node in others:
        node.command("CLUSTER", "MEET", first.host, first.port, bus_port)


def _await_agreement(nodes: Sequence[RedisServer]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not all(_agrees(node) for node in nodes):
        if time.monotonic() > deadline:
            raise ServerStartError(f"the cluster was not complete within {_TIMEOUT_S:.0f} s")
        time.sleep(0.02)


def _agrees(node: RedisServer) -> bool:
    info = str(node.command("CLUSTER", "INFO"))
    return "cluster_state:ok" in info and f"cluster_known_nodes:{_MASTERS}" in info
