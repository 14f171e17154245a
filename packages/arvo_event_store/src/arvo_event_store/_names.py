"""The rules for names: of streams, events, snapshots, groups, reactions, lanes, correlations.

They are the same on every store, so that a program can change stores. Names are compared by their
code points: case counts, nothing is normalised, and no character is a wildcard.
"""

from typing import Final

from ._errors import InvalidEventError

MAX_NAME_BYTES: Final = 512
"""How long a name may be, in bytes of UTF-8."""


def check_name(
    value: object, *, path: str, stream: str | None = None, event: int | None = None
) -> str:
    """Return a name: a string of 1 to 512 bytes of UTF-8 without NUL.

    Args:
        value: The name.
        path: The argument, for errors.
        stream: The stream that the call is about, for errors; None if there is none.
        event: The number of the event in its append, for errors; None if it is not of an event.

    Raises:
        TypeError: It is not a string.
        InvalidEventError: It is empty or too long, or has a NUL or a lone surrogate.

    Example:
        >>> check_name("counter-a", path="stream")
        'counter-a'
    """
    if not isinstance(value, str):
        raise TypeError(f"{path} must be a string, got {value!r}")
    if value:
        check_prefix(value, path=path, stream=stream, event=event)
        return value
    raise InvalidEventError("must not be empty", stream=stream, event=event, path=path)


def check_prefix(
    value: object, *, path: str, stream: str | None = None, event: int | None = None
) -> str:
    """Return the beginning of a name, which may be empty; otherwise as `check_name`.

    Args:
        value: The beginning of a name.
        path: The argument, for errors.
        stream: The stream that the call is about, for errors; None if there is none.
        event: The number of the event in its append, for errors; None if it is not of an event.

    Raises:
        TypeError: It is not a string.
        InvalidEventError: It is too long, or has a NUL or a lone surrogate.
    """
    if not isinstance(value, str):
        raise TypeError(f"{path} must be a string, got {value!r}")
    problem = None
    if "\0" in value:
        problem = "must not contain a NUL"
    elif len(value) * 3 > MAX_NAME_BYTES or not value.isascii():
        try:
            length = len(value.encode())
        except UnicodeEncodeError:
            problem = "must not contain a lone surrogate"
        else:
            if length > MAX_NAME_BYTES:
                problem = f"must have at most {MAX_NAME_BYTES} bytes of UTF-8, got {length}"
    if problem is None:
        return value
    raise InvalidEventError(problem, stream=stream, event=event, path=path)
