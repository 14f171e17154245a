"""A server process that never outlives the process that started it."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypedDict

_TIMEOUT_S = 20.0  # to start or to stop: a slow machine is not a failure

_PORTS = range(16_000, 32_000)  # below those that Linux gives to outgoing connections

# Waits for the end of its input, which is the end of its parent, even by SIGKILL.
_GUARD = 'read -r _; kill -KILL "$1" 2>/dev/null; rm -rf "$2"'


class ServerStartError(RuntimeError):
    """A server ended, or gave no answer, when it should have started; with the end of its log."""


class ServerProcess:
    """A process in a folder, with a guard that removes both when this process ends.

    Args:
        folder: Its home, removed with it; the log is written there.
        user: Run as this user and group id; None for the current user.
    """

    def __init__(self, folder: Path, *, user: int | None = None) -> None:
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            RuntimeError: It does not run.
        """
        if self._process is None:
            raise RuntimeError("the server does not run; call restart() first")
        return self._process.pid

    def start(self, command: Sequence[str | Path], *, ready: Callable[[], bool]) -> None:
        """Start it and wait until it answers.

        Args:
            command: The program and its arguments.
            ready: Sends the server a request; returns True for the expected answer.

        Raises:
            ServerStartError: It ended or did not answer in time.
        """
        if self._process is not None:
            raise RuntimeError("the server is already running")
        log = self._folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the tests, not for the server
                **run_as(self._user),
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self._process.pid), self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + _TIMEOUT_S
        while not ready():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.end(signal.SIGKILL)
                what = "ended immediately" if ended else f"gave no answer within {_TIMEOUT_S:.0f} s"
                tail = log.read_text("utf-8", "replace")[-2000:]
                raise ServerStartError(f"{command[0]} {what}:\n{tail}")
            time.sleep(0.005)

    def end(self, how: signal.Signals) -> None:
        """Send a signal and wait for the end. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        children = _children_of(process.pid) if how is signal.SIGKILL else ()
        process.send_signal(how)
        try:
            process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            if self._guard.stdin is not None:
                self._guard.stdin.close()
            self._guard = None


def server_folder(stack: ExitStack) -> Path:
    """Make a folder whose path is short enough for a unix socket, removed with the stack."""
    root = "/tmp" if os.access("/tmp", os.W_OK) else None  # noqa: S108 - made by mkdtemp
    folder = Path(tempfile.mkdtemp(prefix="arvo-", dir=root))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def free_port() -> int:
    """Return a loopback port that is free at the moment.

    Workers of pytest-xdist draw from different ports. None of them is a port that the system gives
    to outgoing connections, which might take it before the server listens, or while it restarts.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = _PORTS[worker % workers :: workers]
    while True:
        port = secrets.choice(ports)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class RunAs(TypedDict):
    """Arguments of `subprocess.Popen` for another user."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def run_as(user: int | None) -> RunAs:
    """Return the arguments of `subprocess.Popen` for a user; None for the current user."""
    return {"user": user, "group": user, "extra_groups": None if user is None else []}


def _children_of(pid: int) -> Sequence[int]:
    """Return the ids of a process's children; empty where the system does not list them."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    except OSError:
        return ()
    return [int(child) for child in listed.split()]
