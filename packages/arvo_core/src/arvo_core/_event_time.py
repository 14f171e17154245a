"""When an event happened, as it stands on the wire."""

from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns

from ._errors import FieldProblem, InvalidEventError


def time_text(time: object) -> object:
    """Write the time of a new event: now when None, a datetime as text, all else as it is.

    Raises:
        InvalidEventError: The datetime is naive.
    """
    if time is None:
        return _now_text()
    if not isinstance(time, datetime):
        return time
    if time.tzinfo is None:
        raise InvalidEventError(
            "cannot make an event",
            problems=[
                FieldProblem(
                    path=("time",), message="the datetime is naive; give it a tzinfo, such as UTC"
                )
            ],
        )
    return time.isoformat(timespec="milliseconds")


def _now_text() -> str:
    # All but the milliseconds is kept for a second: `isoformat` takes a tenth of making an event.
    second, millisecond = divmod(time_ns() // 1_000_000, 1000)
    return f"{_second_text(second)}.{millisecond:03}+00:00"


@lru_cache(maxsize=1)
def _second_text(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
