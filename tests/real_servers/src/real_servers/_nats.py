"""One NATS server, with JetStream."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from ._discovery import NatsFlavour, first_nats
from ._server_process import ServerProcess, free_port, server_folder


class NatsServer:
    """A server of our own on loopback, which keeps its streams in files; made by `start`."""

    def __init__(self, flavour: NatsFlavour, *, folder: Path, config: str, jetstream: bool) -> None:
        self.flavour = flavour
        self.host = "127.0.0.1"
        self.port = free_port()
        """Stays the same after `restart`."""
        self._process = ServerProcess(folder)
        self._config = folder / "nats.conf"
        store = f"jetstream {{ store_dir: {str(folder / 'data')!r} }}\n" if jetstream else ""
        # Its name tells our server from another one that took the port before it.
        self._name = folder.name
        own = f"host: {self.host}\nport: {self.port}\nserver_name: {self._name!r}\n"
        self._config.write_text(f"{own}{store}{config}", "utf-8")

    @classmethod
    @contextmanager
    def start(
        cls,
        flavour: NatsFlavour | None = None,
        *,
        config: str = "",
        jetstream: bool = True,
    ) -> Iterator[Self]:
        """Start a server that answers, and remove it and its data after the block.

        Args:
            flavour: What to start; None takes the preferred one.
            config: Further lines of the configuration file.
            jetstream: Whether it has JetStream.

        Raises:
            ServerNotFoundError: There is no NATS server.
            ServerStartError: It does not start.
        """
        with ExitStack() as stack:
            folder = server_folder(stack)
            server = cls(flavour or first_nats(), folder=folder, config=config, jetstream=jetstream)
            stack.callback(server.kill)
            server._launch()
            yield server

    @property
    def url(self) -> str:
        """Its URL."""
        return f"nats://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id; a RuntimeError when it does not run."""
        return self._process.pid

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
        command: list[str | Path] = [self.flavour.binary, "--config", self._config]
        self._process.start(command, ready=self._answers)

    def _answers(self) -> bool:
        """Return whether it greets clients, which it does once it has recovered its streams."""
        try:
            with socket.create_connection((self.host, self.port), 5) as connection:
                greeting = connection.recv(4096)
        except OSError:  # not up yet
            return False
        return greeting.startswith(b"INFO ") and f'"{self._name}"'.encode() in greeting
