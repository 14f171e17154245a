"""When an event happened, as it stands on the wire."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns
from typing import Final

from ._errors import FieldProblem, InvalidEventError
from ._event_rules import MADE_TIME_PATTERN, READ_TIME_PATTERN

_MADE: Final = re.compile(MADE_TIME_PATTERN)
_READ: Final = re.compile(READ_TIME_PATTERN)


def time_text(time: object) -> object:
    """Write the time of a new event: now when None, a datetime as text, all else as it is.

    Raises:
        InvalidEventError: The datetime is naive, or the text is a time that only others may write.
    """
    if time is None:
        return _now_text()
    if isinstance(time, str) and _READ.fullmatch(time) and not _MADE.fullmatch(time):
        raise _refused("write T and Z in upper case and no second 60; some readers know no others")
    if not isinstance(time, datetime):
        return time
    if time.tzinfo is None:
        raise _refused("the datetime is naive; give it a tzinfo, such as UTC")
    return time.isoformat(timespec="milliseconds")


def _refused(why: str) -> InvalidEventError:
    problem = FieldProblem(path=("time",), message=why)
    return InvalidEventError("cannot make an event", problems=[problem])


def _now_text() -> str:
    # All but the milliseconds is kept for a second: `isoformat` takes a tenth of making an event.
    second, millisecond = divmod(time_ns() // 1_000_000, 1000)
    return f"{_second_text(second)}.{millisecond:03}+00:00"


@lru_cache(maxsize=1)
def _second_text(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
