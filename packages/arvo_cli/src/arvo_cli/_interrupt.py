"""Ctrl-C: the first one asks to stop, the second one insists."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts(*responses: Callable[[], None]) -> Iterator[None]:
    """Answer each interrupt within the block by the next response, on the running event loop.

    After the last response the process reacts as it did before, so that a handler that never
    gives way to the event loop cannot keep the command alive.

    Args:
        responses: One per interrupt.
    """
    loop = asyncio.get_running_loop()
    waiting = list(responses)
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def respond(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(waiting.pop(0))
        if not waiting:
            restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in SIGNALS:
        signal.signal(number, respond)
    try:
        yield
    finally:
        restore()
