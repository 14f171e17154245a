"""One PostgreSQL server."""

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from ._discovery import PostgresFlavour, first_postgres
from ._server_process import (
    ServerProcess,
    ServerStartError,
    free_port,
    run_as,
    server_folder,
)

_NOBODY: Final = 65534  # PostgreSQL refuses to run as root
_ROLE: Final = "postgres"


class PostgresServer:
    """A server of our own on loopback and on a unix socket, with fsync; made by `start`."""

    def __init__(
        self, flavour: PostgresFlavour, *, folder: Path, options: Mapping[str, str | int]
    ) -> None:
        self.flavour = flavour
        self.host = "127.0.0.1"
        self.port = free_port()
        """Stays the same after `restart`."""
        self.unix_folder = folder
        """The folder of its unix socket."""
        self._user = _NOBODY if os.geteuid() == 0 else None
        self.programs = _runnable(flavour.folder, self._user)
        """The folder of its programs: the flavour's, or a copy that they may read."""
        self._data = folder / "data"
        self._process = ServerProcess(folder, user=self._user)
        self._options = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": folder,
            "fsync": "on",
            "synchronous_commit": "on",
            "shared_buffers": "16MB",
            **options,
        }

    @classmethod
    @contextmanager
    def start(
        cls,
        flavour: PostgresFlavour | None = None,
        *,
        options: Mapping[str, str | int] | None = None,
    ) -> Iterator[Self]:
        """Start a server with an empty database, and remove it and its data after the block.

        Args:
            flavour: What to start; None takes the preferred one.
            options: Further settings of `postgresql.conf`, over ours.

        Raises:
            ServerNotFoundError: There is no PostgreSQL.
            ServerStartError: It cannot make its data folder, or does not start.
        """
        with ExitStack() as stack:
            folder = server_folder(stack)
            server = cls(flavour or first_postgres(), folder=folder, options=options or {})
            stack.callback(server.kill)
            server._make_data_folder()
            server._launch()
            yield server

    @property
    def dsn(self) -> str:
        """Its DSN over TCP."""
        return f"postgresql://{_ROLE}@{self.host}:{self.port}/postgres"

    @property
    def unix_dsn(self) -> str:
        """Its DSN over the unix socket."""
        return f"postgresql://{_ROLE}@/postgres?host={self.unix_folder}&port={self.port}"

    @property
    def pid(self) -> int:
        """The process id of its postmaster; a RuntimeError when it does not run."""
        return self._process.pid

    def kill(self) -> None:
        """End it and its backends as a crash would. Does nothing when it does not run."""
        self._process.end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut it down, disconnecting its clients. Does nothing when it does not run."""
        self._process.end(signal.SIGINT)  # "fast shutdown"

    def restart(self) -> None:
        """Start it again, on the same port and the same data, after `kill` or `stop`."""
        self._launch()

    def _make_data_folder(self) -> None:
        if self._user is not None:
            os.chown(self.unix_folder, self._user, self._user)
        made = subprocess.run(
            [
                self.programs / "initdb",
                *("--pgdata", self._data, "--username", _ROLE, "--auth", "trust"),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            cwd=self.unix_folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **run_as(self._user),
        )
        if made.returncode:
            raise ServerStartError(f"initdb failed:\n{made.stdout[-2000:]}")

    def _launch(self) -> None:
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # left by a killed server
        settings = [
            text for key, value in self._options.items() for text in ("-c", f"{key}={value}")
        ]
        self._process.start(
            [self.programs / "postgres", "-D", self._data, *settings], ready=self._answers
        )

    def _answers(self) -> bool:
        # Only our server makes this file, not another one that took the port before it.
        if not (self.unix_folder / f".s.PGSQL.{self.port}").exists():
            return False
        with suppress(OSError):
            return _takes_queries(self.host, self.port)
        return False


def _takes_queries(host: str, port: int) -> bool:
    """Log in, as a client does; True when the server then waits for a query."""
    body = b"\0\3\0\0" + f"user\0{_ROLE}\0database\0postgres\0\0".encode()
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall((len(body) + 4).to_bytes(4, "big") + body)
        with connection.makefile("rb") as stream:
            while header := stream.read(5):
                stream.read(int.from_bytes(header[1:], "big") - 4)
                if header[:1] == b"Z":  # ReadyForQuery
                    connection.sendall(b"X\0\0\0\4")  # Terminate
                    return True
                if header[:1] == b"E":  # ErrorResponse: still starting up
                    return False
    return False


def _runnable(folder: Path, user: int | None) -> Path:
    """Return the folder, or a copy of it, whose programs the user may run."""
    if user is None or _runs(folder, user):
        return folder
    package = folder.parent.parent  # <package>/pginstall/bin
    copy = _copied(package) / folder.relative_to(package)
    if not _runs(copy, user):
        raise ServerStartError(f"user {user} can run neither {folder}/postgres nor a copy of it")
    return copy


def _runs(folder: Path, user: int) -> bool:
    try:
        run = subprocess.run(
            [folder / "postgres", "--version"],
            cwd="/",
            capture_output=True,
            check=False,
            user=user,
            group=user,
            extra_groups=[],
        )
    except OSError:
        return False
    return run.returncode == 0


@functools.cache
def _copied(package: Path) -> Path:
    """Return a copy that every user can read; it is removed when the process ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    root = server_folder(stack)
    # A wheel's programs find their libraries next to the package.
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(
                source,
                root / source.name,
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "__pycache__"),
            )
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return root / package.name
