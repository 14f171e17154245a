"""One Redis or Valkey server."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, Self

from ._discovery import RedisFlavour, first_redis
from ._resp import RedisReply, RedisReplyError, redis_command
from ._server_process import ServerProcess, free_port, server_folder


class RedisServer:
    """A server of our own on loopback and on a unix socket; made by `start`."""

    def __init__(
        self, flavour: RedisFlavour, *, folder: Path, options: Mapping[str, str | int]
    ) -> None:
        self.flavour = flavour
        self.host = "127.0.0.1"
        self.port = free_port()
        """Stays the same after `restart`."""
        self.unix_path = folder / "s"
        """Its unix socket."""
        self._process = ServerProcess(folder)
        self._options = {
            "bind": self.host,
            "port": self.port,
            "unixsocket": self.unix_path,
            "dir": folder,
            "daemonize": "no",
            **options,
        }

    @classmethod
    @contextmanager
    def start(
        cls,
        flavour: RedisFlavour | None = None,
        *,
        appendfsync: Literal["always", "everysec", "no"] | None = None,
        options: Mapping[str, str | int] | None = None,
    ) -> Iterator[Self]:
        """Start a server that answers, and remove it and its data after the block.

        Args:
            flavour: What to start; None takes the preferred one.
            appendfsync: Keep an append-only file, synced like this. None keeps nothing: a restart
                loses all data.
            options: Further options of the configuration file, over ours.

        Raises:
            ServerNotFoundError: There is no Redis and no Valkey.
            ServerStartError: It does not start.
        """
        persistence: dict[str, str | int] = {"save": "", "appendonly": "no"}
        if appendfsync is not None:
            persistence |= {"appendonly": "yes", "appendfsync": appendfsync}
        with ExitStack() as stack:
            folder = server_folder(stack)
            server = cls(
                flavour or first_redis(), folder=folder, options=persistence | {**(options or {})}
            )
            stack.callback(server.kill)
            server._launch()
            yield server

    @property
    def url(self) -> str:
        """Its URL over TCP."""
        return f"redis://{self.host}:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Its URL over the unix socket."""
        return f"unix://{self.unix_path}?db=0"

    @property
    def pid(self) -> int:
        """Its process id; a RuntimeError when it does not run."""
        return self._process.pid

    def command(self, *words: str | int) -> RedisReply:
        """Send one command over a connection of its own.

        Raises:
            OSError: The server does not run or does not answer.
            RedisReplyError: It answered with an error.
        """
        return redis_command(self.port, *words)

    def kill(self) -> None:
        """End it as a crash would. Does nothing when it does not run."""
        self._process.end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut it down. Does nothing when it does not run."""
        self._process.end(signal.SIGTERM)

    def restart(self) -> None:
        """Start it again, on the same port and the same data, after `kill` or `stop`."""
        self._launch()

    def _launch(self) -> None:
        arguments = [
            text for key, value in self._options.items() for text in (f"--{key}", str(value))
        ]
        self._process.start([self.flavour.binary, *arguments], ready=self._answers)

    def _answers(self) -> bool:
        try:
            info = str(self.command("INFO"))
        except (OSError, RedisReplyError):  # not up yet
            return False
        # The process id tells our server from another one that took the port before it. While it
        # loads its data, it answers INFO and refuses everything else.
        return f"process_id:{self.pid}\r\n" in info and "\r\nloading:0\r\n" in info
