"""The most that a call may cost: an amount for every byte of its input, and a constant.

Time is the thread's own processor time, memory is what Python allocates. Both bounds are far above
the measured cost, and far below the cost of anything that grows faster than its input.
"""

import tracemalloc
from collections.abc import Callable
from time import thread_time

SECONDS_PER_BYTE = 20e-6
BYTES_PER_BYTE = 400
SECONDS = 0.5
"""For the part that does not depend on the input, on a busy machine."""
BYTES = 8 * 2**20
_TRIES = 3


def spend(call: Callable[[], object], *, size: int) -> object:
    """Make a call and return its result, or the exception that it raises.

    Args:
        call: Called up to four times, so it must not depend on earlier calls.
        size: Size of its input in bytes.

    Raises:
        AssertionError: The call takes more than its budget.
    """
    allowed = SECONDS + size * SECONDS_PER_BYTE
    took = 0.0
    for _ in range(_TRIES):  # a machine may be busy for a moment
        before = thread_time()
        outcome = _outcome(call)
        took = thread_time() - before
        if took <= allowed:
            break
    else:
        raise AssertionError(f"{size} bytes took {took:.2f} s; at most {allowed:.2f} s are allowed")
    peak = _peak(call)
    room = BYTES + size * BYTES_PER_BYTE
    assert peak <= room, f"{size} bytes took {peak} bytes; at most {room} are allowed"
    return outcome


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except Exception as error:
        return error


def _peak(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        _outcome(call)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
