"""Keeps idle cores from sleeping, or lets them."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LONGEST_WAKE_UP_US: Final = Path("/dev/cpu_dma_latency")


@contextmanager
def cores_kept_awake() -> Iterator[bool]:
    """Ask Linux to keep idle cores awake within the block.

    A core that sleeps takes tens of microseconds to wake in a virtual machine. A single task that waits
    for a server pays that twice per call, which has nothing to do with the measured code. The
    interface is Linux's own for such work (PM QoS), and it ends with this process however that ends.

    Yields:
        Whether they are kept awake. False where this is not Linux, or not root.
    """
    try:
        # Closing it withdraws the request, so it stays open.
        file = _LONGEST_WAKE_UP_US.open("wb", buffering=0)
    except OSError:
        yield False
        return
    with file:
        file.write(struct.pack("=i", 0))
        yield True
