"""Which function is called at SIGINT and SIGTERM.

`asyncio` is not imported here: an interrupt while it is imported is handled already.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call a function at each SIGINT and SIGTERM within the block.

    Neither at its beginning nor at its end is there a moment at which a signal is lost: one handler
    takes the place of the other. Only the main thread has signal handlers; elsewhere this does
    nothing.

    Args:
        handler: Called in the main thread, between any two instructions.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number in SIGNALS:
            signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt. A signal handler."""
    raise KeyboardInterrupt


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM within the block, which must not wait; they come at its end."""
    held: list[int] = []
    try:
        with handled_by(lambda number, frame: held.append(number)):
            yield
    finally:
        for number in held:
            signal.raise_signal(number)
