"""When a schedule is due: a cron expression in a time zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, available_timezones

if TYPE_CHECKING:
    from cronsim import CronSim

_NO_CRONSIM: Final = (
    'a schedule needs cronsim, install it with\n    pip install "arvo-event-handler[schedule]"'
)
_FIELDS: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of the month": "1 to 31, L for the last one, LW for the last weekday",
    "month": "1 to 12, JAN to DEC",
    "day of the week": "0 to 7, SUN to SAT, 5L for the last Friday, 5#2 for the second one",
}
"""The fields of a cron expression, each with the values that it takes."""
_ANY_DAY: Final = datetime(2024, 1, 1, tzinfo=UTC)
_FIRST_WINDOW: Final = timedelta(minutes=1)


class Timetable:
    """The times that a cron expression names in a time zone.

    When clocks change, a fixed time that is skipped is due at the change, and one that comes twice
    is due the first time. Minutes or hours that begin with a star follow the hours that there are.

    Args:
        cron: Five fields: minute, hour, day of the month, month, day of the week.
        zone: The name of a time zone, such as Europe/Vienna.

    Raises:
        ModuleNotFoundError: cronsim is not installed.
        TypeError: An argument is not a string.
        ValueError: A field of `cron` is wrong, no day has such a date, or the zone is not known.

    Example:
        >>> table = Timetable("0 6 * * MON-FRI", "Europe/Vienna")
        >>> table.after(datetime(2026, 11, 27, 12, tzinfo=UTC)).isoformat()
        '2026-11-30T05:00:00+00:00'
    """

    def __init__(self, cron: str, zone: str) -> None:
        self._parse = _parser()
        self._zone = _zone(zone)
        self._cron = self._checked(cron)
        if self.after(_ANY_DAY) is None:
            raise ValueError(f"cron {cron!r} is never due: no day of the next 50 years fits it")

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment, in UTC; None when there is none for 50 years."""
        return next(self.times_after(moment), None)

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after a moment in order, in UTC; they end when none comes for 50 years."""
        for local in self._parse(self._cron, moment.astimezone(self._zone)):
            time = local.astimezone(UTC)
            # Begun in an hour that comes twice, it may name a time of the first one.
            if time > moment:
                yield time

    def latest(self, *, since: datetime, until: datetime) -> datetime:
        """Return the last time from `since`, which is one itself, until a moment, in UTC."""
        window = _FIRST_WINDOW
        while until - window > since:
            times = self.times_after(until - window)
            found = [*takewhile(lambda time: time <= until, times)]
            if found:
                return found[-1]
            window *= 4
        return max(takewhile(lambda time: time <= until, self.times_after(since)), default=since)

    def local(self, time: datetime) -> datetime:
        """Return a time in the zone."""
        return time.astimezone(self._zone)

    def _checked(self, cron: object) -> str:
        if not isinstance(cron, str):
            raise TypeError(f"cron must be a str, got {cron!r}")
        parts = cron.split()
        if len(parts) != len(_FIELDS):
            raise ValueError(
                f"cron must have {len(_FIELDS)} fields ({', '.join(_FIELDS)}), got {len(parts)}: "
                f"{cron!r:.200}"
            )
        for position, (field, takes) in enumerate(_FIELDS.items()):
            alone = ["*"] * len(_FIELDS)
            alone[position] = parts[position]
            if not self._is_right(alone):
                raise ValueError(
                    f"cron {cron!r:.200}: the {field} is wrong, {parts[position]!r:.100}; "
                    f"it takes {takes}"
                )
        if not self._is_right(parts):
            raise ValueError(
                f"cron {cron!r:.200} is never due: month {parts[3]!r:.100} has no day "
                f"{parts[2]!r:.100}"
            )
        return " ".join(parts)

    def _is_right(self, parts: list[str]) -> bool:
        try:
            self._parse(" ".join(parts), _ANY_DAY)
        except Exception:  # CronSimError, and ValueError of a number with thousands of digits
            return False
        return True


@lru_cache(maxsize=64)
def timetable(cron: str, zone: str) -> Timetable:
    """Return a timetable, perhaps one that was made before; raises as `Timetable`."""
    return Timetable(cron, zone)


def _parser() -> "type[CronSim]":
    try:
        from cronsim import CronSim
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_NO_CRONSIM, name="cronsim") from error
    return CronSim


def _zone(name: Any) -> ZoneInfo:
    if not isinstance(name, str):
        raise TypeError(f"zone must be the name of a time zone, got {name!r}")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: it is a folder of them
        known = available_timezones()
        close = get_close_matches(name, sorted(known), n=1)
        if not known:
            remedy = "this machine has no time zones; install them with `pip install tzdata`"
        else:
            remedy = f"did you mean {close[0]!r}?" if close else "write one such as 'Europe/Vienna'"
        raise ValueError(f"zone {name!r:.100} is not a known time zone; {remedy}") from error
