"""A Sentinel that watches one master."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from ._discovery import RedisFlavour, first_redis
from ._redis import RedisServer
from ._resp import RedisReplyError, redis_command
from ._server_process import ServerProcess, free_port, server_folder

_SERVICE: Final = "orders"


class RedisSentinel:
    """A master, and a Sentinel on loopback that knows its address; made by `start`."""

    service_name: Final = _SERVICE
    """The Sentinel's name for its master."""

    def __init__(self, master: RedisServer, *, port: int) -> None:
        self.master = master
        self.host = "127.0.0.1"
        """The address of the Sentinel."""
        self.port = port
        """The port of the Sentinel."""

    @classmethod
    @contextmanager
    def start(cls, flavour: RedisFlavour | None = None) -> Iterator[Self]:
        """Start both, and remove them after the block.

        Args:
            flavour: What to start; None takes the preferred one.

        Raises:
            ServerNotFoundError: There is no Redis and no Valkey.
            ServerStartError: One of them does not start.
        """
        flavour = flavour or first_redis()
        with ExitStack() as stack:
            sentinel = cls(stack.enter_context(RedisServer.start(flavour)), port=free_port())
            folder = server_folder(stack)
            process = ServerProcess(folder)
            stack.callback(process.end, signal.SIGKILL)
            process.start(
                [flavour.binary, sentinel._configuration(folder), "--sentinel"],
                ready=sentinel._knows_the_master,
            )
            yield sentinel

    @property
    def url(self) -> str:
        """The URL of the Sentinel."""
        return f"redis://{self.host}:{self.port}"

    def _configuration(self, folder: Path) -> Path:
        path = folder / "sentinel.conf"  # the Sentinel writes its findings into it
        path.write_text(
            f"bind {self.host}\nport {self.port}\ndir {folder}\n"
            f"sentinel monitor {_SERVICE} {self.master.host} {self.master.port} 1\n"
        )
        return path

    def _knows_the_master(self) -> bool:
        try:
            found = redis_command(self.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", _SERVICE)
        except (OSError, RedisReplyError):  # not up yet
            return False
        return found == [self.master.host, str(self.master.port)]
