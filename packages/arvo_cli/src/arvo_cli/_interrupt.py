"""Ctrl-C: the first one asks to stop, the second one insists."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


def _nothing() -> None:
    pass
