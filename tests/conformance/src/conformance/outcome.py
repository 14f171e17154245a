"""Compares a call's value or exception with the vector's `ok` or `error`."""

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
        The value; `REFUSED` if the vector shows an error and the call raised it.

    Raises:
        Difference: The call was not refused, or not as shown.
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
