"""Ctrl-C: the first one stops the input, the second one cancels, the third one ends the process."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts(*responses: Callable[[], None], last: Callable[[], None]) -> Iterator[None]:
    """Call the next response at each interrupt within the block, on the running event loop.

    Args:
        responses: One per interrupt.
        last: Called at every further interrupt. It runs within the signal handler, so that code
            that never yields to the event loop cannot keep the command alive.
    """
    loop = asyncio.get_running_loop()
    waiting = list(responses)
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def respond(number: int, frame: FrameType | None) -> None:
        if waiting:
            loop.call_soon_threadsafe(waiting.pop(0))
        else:
            last()

    def restore() -> None:
        for number, handler in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)

    for number in SIGNALS:
        # The loop's own handler would wait for code that blocks the loop. But it sets up the pipe
        # without which a signal goes unnoticed when it comes just before the loop sleeps; Windows
        # always has that pipe.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, _do_nothing)
        signal.signal(number, respond)
    try:
        yield
    finally:
        restore()


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


def _do_nothing() -> None:
    pass
