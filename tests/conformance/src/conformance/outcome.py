"""What a call came to: a value or an exception, against the vector's `ok` or `error`."""

from collections.abc import Callable, Mapping
from typing import Any

from .comparison import Difference
from .refusals import Path, same_refusal


def returned(
    expected: Mapping[str, Any],
    call: Callable[[], Any],
    *,
    may_miss_arguments: bool = False,
    path: Callable[[Path], Path] = lambda path: path,
) -> Any:
    """Make a call that the vector shows to succeed, or check that it is refused as shown.

    Returns:
        What the call gave; `REFUSED` when the vector shows an error and it came.

    Raises:
        Difference: It was not refused, or not in the way shown.
    """
    if "ok" in expected:
        return call()
    try:
        value = call()
    except Exception as raised:
        same_refusal(expected["error"], raised, may_miss_arguments=may_miss_arguments, path=path)
        return REFUSED
    raise Difference(f"expected {expected['error']}, got {value!r}")


REFUSED = object()
"""The call was refused, as the vector shows."""
