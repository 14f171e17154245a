"""Ctrl-C: the first one asks to stop, the second one insists, the third one ends the process."""

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
    """Answer each interrupt within the block by the next response, on the running event loop.

    Args:
        responses: One per interrupt.
        last: Answers every interrupt after those. It is called within the signal handler, so
            that code that never gives way to the event loop cannot keep the command alive.
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
        # The loop's own handler would wait for code that blocks the loop. But with it comes the
        # pipe without which a signal just before the loop falls asleep goes unnoticed; Windows
        # always has that.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, _nothing)
        signal.signal(number, respond)
    try:
        yield
    finally:
        restore()


def end_process(status: int, *, say: str) -> NoReturn:
    """End the process now, without waiting for anything or anyone.

    Fit for a signal handler: whatever was under way, it needs no lock and no event loop.

    Args:
        status: The exit status.
        say: The last words, on standard error.
    """
    # A progress bar may stand in this line and have hidden the cursor.
    tidied = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""
    with suppress(OSError):
        os.write(2, f"{tidied}{say}\n".encode())
    os._exit(status)


def _nothing() -> None:
    pass
