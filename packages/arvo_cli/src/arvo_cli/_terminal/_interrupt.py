"""Ctrl-C: the first one stops the input, the second one cancels, the third one ends the process."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from ._signals import handled_by


@dataclass(slots=True)
class Interrupts:
    """The interrupts of one block."""

    count: int = 0
    """How many came, whether or not their responses were called yet."""


@contextmanager
def interrupts(*responses: Callable[[], None], last: Callable[[], None]) -> Iterator[Interrupts]:
    """Call the next response at each interrupt within the block, on the running event loop.

    Args:
        responses: One per interrupt.
        last: Called at every further interrupt. It runs within the signal handler, so that code
            that never yields to the event loop cannot keep the command alive.
    """
    loop = asyncio.get_running_loop()
    came = Interrupts()

    def respond(number: int, frame: FrameType | None) -> None:
        came.count += 1
        if came.count <= len(responses):
            loop.call_soon_threadsafe(responses[came.count - 1])
        else:
            last()

    with handled_by(respond):
        yield came


@asynccontextmanager
async def woken_by_signals() -> AsyncIterator[None]:
    """Let each signal within the block wake the running event loop.

    Otherwise one that comes just before the loop sleeps goes unnoticed until it wakes. Not by
    `loop.add_signal_handler`: between that call and the next `signal.signal` a signal is lost.
    """
    loop = asyncio.get_running_loop()
    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)
        writing.setblocking(False)
        try:
            loop.add_reader(reading, _empty, reading)
        except NotImplementedError:  # the loop of Windows, which does this by itself
            yield
            return
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(reading)


def end_process(status: int, *, say: str) -> NoReturn:
    """End the process immediately, without waiting for anything.

    Safe in a signal handler: it needs neither a lock nor the event loop.

    Args:
        status: The exit status.
        say: The last message, on standard error.
    """
    # A progress bar may be on this line and have hidden the cursor.
    reset = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""
    with suppress(OSError):
        os.write(2, f"{reset}{say}\n".encode())
    os._exit(status)


def _empty(reading: socket.socket) -> None:
    with suppress(BlockingIOError):
        reading.recv(4096)
