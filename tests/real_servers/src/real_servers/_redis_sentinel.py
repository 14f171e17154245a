"""A Sentinel that watches one master, and may have a replica take over."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from ._discovery import RedisFlavour, first_redis
from ._redis import RedisServer
from ._resp import RedisReplyError, redis_command
from ._server_process import ServerProcess, ServerStartError, free_port, server_folder

_SERVICE: Final = "orders"
_TIMEOUT_S: Final = 20.0


class RedisSentinel:
    """A master, its replicas, and a Sentinel on loopback that knows them; made by `start`."""

    service_name: Final = _SERVICE
    """The Sentinel's name for its master."""

    def __init__(self, servers: Sequence[RedisServer], *, port: int) -> None:
        self.master, *self.replicas = servers
        """The first master, and its replicas."""
        self.host = "127.0.0.1"
        """The address of the Sentinel."""
        self.port = port
        """The port of the Sentinel."""

    @classmethod
    @contextmanager
    def start(cls, flavour: RedisFlavour | None = None, *, replicas: int = 0) -> Iterator[Self]:
        """Start all, and remove them after the block.

        Args:
            flavour: What to start; None takes the preferred one.
            replicas: How many replicas the master has; one takes over when it says nothing for
                a second.

        Raises:
            ServerNotFoundError: There is no Redis and no Valkey.
            ServerStartError: One of them does not start.
        """
        flavour = flavour or first_redis()
        with ExitStack() as stack:
            count = 1 + replicas
            servers = [stack.enter_context(RedisServer.start(flavour)) for _ in range(count)]
            _replicate(*servers)
            sentinel = cls(servers, port=free_port())
            folder = server_folder(stack)
            process = ServerProcess(folder)
            stack.callback(process.end, signal.SIGKILL)
            process.start(
                [flavour.binary, sentinel._configuration(folder), "--sentinel"],
                ready=sentinel._knows_all,
            )
            yield sentinel

    @property
    def url(self) -> str:
        """The URL of the Sentinel."""
        return f"redis://{self.host}:{self.port}"

    def master_port(self) -> int:
        """Return the port of the server that is the master now.

        Raises:
            OSError: The Sentinel does not answer.
        """
        found = redis_command(self.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", _SERVICE)
        assert isinstance(found, list)
        return int(str(found[1]))

    def wait_replicated(self) -> None:
        """Wait until each replica has all that the master has stored by now.

        `WAIT` does not do: it waits for writes of its own connection only.

        Raises:
            TimeoutError: A replica is still behind after 20 seconds.
        """
        stored = _offset(self.master)
        deadline = time.monotonic() + _TIMEOUT_S
        while any(_offset(replica) < stored for replica in self.replicas):
            if time.monotonic() > deadline:
                raise TimeoutError("a replica does not keep up with its master")
            time.sleep(0.01)

    def hand_over(self) -> None:
        """Let a replica take over from a master that lives on, as its replica; returns before it does."""
        redis_command(self.port, "SENTINEL", "FAILOVER", _SERVICE)

    def _configuration(self, folder: Path) -> Path:
        path = folder / "sentinel.conf"  # the Sentinel writes its findings into it
        path.write_text(
            f"bind {self.host}\nport {self.port}\ndir {folder}\n"
            f"sentinel monitor {_SERVICE} {self.master.host} {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {_SERVICE} 1000\n"
            f"sentinel failover-timeout {_SERVICE} 5000\n"
        )
        return path

    def _knows_all(self) -> bool:
        try:
            found = redis_command(self.port, "SENTINEL", "REPLICAS", _SERVICE)
            known = isinstance(found, list) and len(found) == len(self.replicas)
            return known and self.master_port() == self.master.port
        except (OSError, RedisReplyError):  # not up yet
            return False


def _offset(server: RedisServer) -> int:
    """Return how far a server's data has come, in bytes of the replication stream."""
    lines = str(server.command("INFO", "replication")).splitlines()
    members = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(members.get("slave_repl_offset", members["master_repl_offset"]))


def _replicate(master: RedisServer, *replicas: RedisServer) -> None:
    """Let servers follow a master, and wait until they have all that it has."""
    master.command("CONFIG", "SET", "repl-diskless-sync-delay", 0)
    for replica in replicas:
        replica.command("REPLICAOF", master.host, master.port)
    deadline = time.monotonic() + _TIMEOUT_S
    while str(master.command("INFO", "replication")).count("state=online") < len(replicas):
        if time.monotonic() > deadline:
            raise ServerStartError("a replica does not follow its master")
        time.sleep(0.01)
