"""Reads from a file descriptor without blocking the event loop."""

import asyncio
import os
import threading
from queue import SimpleQueue


class Pump:
    """Reads from a file descriptor in a thread of its own.

    At its end the process waits for an executor's threads, but not for this one: a blocked read
    does not keep the process alive.

    Args:
        descriptor: The file descriptor to read from.
        owned: Whether to close it after `stop`.
        size: Maximum length of a piece in bytes.
    """

    def __init__(self, descriptor: int, *, owned: bool, size: int) -> None:
        self._descriptor = descriptor
        self._owned = owned
        self._size = size
        self._requests: SimpleQueue[asyncio.Future[bytes] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="arvo-input", daemon=True)
        self._thread.start()

    def read(self) -> asyncio.Future[bytes]:
        """Request the next piece; the future's result is empty at the end."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._requests.put(future)
        return future

    def stop(self) -> None:
        """Stop reading. Idempotent."""
        self._requests.put(None)

    def _work(self) -> None:
        while (future := self._requests.get()) is not None:
            piece: bytes | OSError
            try:
                piece = os.read(self._descriptor, self._size)
            except OSError as error:
                piece = error
            try:
                future.get_loop().call_soon_threadsafe(_settle, future, piece)
            except RuntimeError:  # the loop was closed while the read waited
                break
        if self._owned:
            os.close(self._descriptor)


def _settle(future: asyncio.Future[bytes], piece: bytes | OSError) -> None:
    if future.done():
        return
    if isinstance(piece, OSError):
        future.set_exception(piece)
    else:
        future.set_result(piece)
