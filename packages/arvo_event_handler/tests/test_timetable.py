"""When a schedule is due, against tables written by hand."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from arvo_event_handler._schedule._timetable import Timetable

VIENNA = "Europe/Vienna"
# In Vienna the 29th of March 2026 has no time from 2:00 to 3:00, and the 25th of October has it twice.
TABLE = {
    "a fixed time that is skipped": (
        *("30 2 * * *", VIENNA, "2026-03-28T00:00+01:00"),
        ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
    ),
    "two fixed times that are skipped": (
        *("0,30 2 * * *", VIENNA, "2026-03-28T12:00+01:00"),
        ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T02:30+02:00"],
    ),
    "one that is skipped and the one at the change": (
        *("0 2,3 * * *", VIENNA, "2026-03-28T12:00+01:00"),
        ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T03:00+02:00"],
    ),
    "every half hour when an hour is skipped": (
        *("*/30 * * * *", VIENNA, "2026-03-29T00:45+01:00"),
        [
            "2026-03-29T01:00+01:00",
            "2026-03-29T01:30+01:00",
            "2026-03-29T03:00+02:00",
            "2026-03-29T03:30+02:00",
        ],
    ),
    "every hour when one is skipped": (
        *("15 * * * *", VIENNA, "2026-03-29T00:45+01:00"),
        ["2026-03-29T01:15+01:00", "2026-03-29T03:15+02:00"],
    ),
    "a fixed time that comes twice": (
        *("30 2 * * *", VIENNA, "2026-10-24T12:00+02:00"),
        ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
    ),
    "a fixed time that comes twice, from between the two": (
        *("45 2 * * *", VIENNA, "2026-10-25T02:15+01:00"),
        ["2026-10-26T02:45+01:00"],
    ),
    "every half hour when an hour comes twice": (
        *("*/30 * * * *", VIENNA, "2026-10-25T01:45+02:00"),
        [
            "2026-10-25T02:00+02:00",
            "2026-10-25T02:30+02:00",
            "2026-10-25T02:00+01:00",
            "2026-10-25T02:30+01:00",
            "2026-10-25T03:00+01:00",
        ],
    ),
    "every hour when one comes twice": (
        *("15 * * * *", VIENNA, "2026-10-25T01:45+02:00"),
        ["2026-10-25T02:15+02:00", "2026-10-25T02:15+01:00", "2026-10-25T03:15+01:00"],
    ),
    "a time at noon over a change": (
        *("0 12 * * *", VIENNA, "2026-03-28T00:00+01:00"),
        ["2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00"],
    ),
    "midnight that is skipped": (
        *("0 0 * * *", "America/Havana", "2026-03-07T12:00-05:00"),
        ["2026-03-08T01:00-04:00", "2026-03-09T00:00-04:00"],
    ),
    "a change by half an hour": (
        *("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00+10:30"),
        ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"],
    ),
    "a zone without changes": (
        *("0 6 * * *", "Asia/Kathmandu", "2026-03-28T07:00+05:45"),
        ["2026-03-29T06:00+05:45", "2026-03-30T06:00+05:45"],
    ),
    "29 February": (
        *("0 6 29 2 *", VIENNA, "2026-01-01T00:00+01:00"),
        ["2028-02-29T06:00+01:00", "2032-02-29T06:00+01:00"],
    ),
    "29 February where a century has none": (
        *("0 6 29 2 *", "UTC", "2095-01-01T00:00+00:00"),
        ["2096-02-29T06:00+00:00", "2104-02-29T06:00+00:00"],
    ),
    "the last day of the month": (
        *("0 6 L * *", "UTC", "2028-01-31T07:00+00:00"),
        ["2028-02-29T06:00+00:00", "2028-03-31T06:00+00:00", "2028-04-30T06:00+00:00"],
    ),
    "days of the week by name": (
        *("0 6 * * mon-fri", VIENNA, "2026-11-26T12:00+01:00"),
        ["2026-11-27T06:00+01:00", "2026-11-30T06:00+01:00"],
    ),
    "a day of the month or of the week": (
        *("0 6 13 * FRI", "UTC", "2026-11-07T00:00+00:00"),
        ["2026-11-13T06:00+00:00", "2026-11-20T06:00+00:00", "2026-11-27T06:00+00:00"],
    ),
    "a time is not after itself": (
        *("0 6 * * *", "UTC", "2026-11-07T06:00+00:00"),
        ["2026-11-08T06:00+00:00"],
    ),
    "spaces between fields": (
        *("  0   6 * * *\t", "UTC", "2026-11-07T06:00+00:00"),
        ["2026-11-08T06:00+00:00"],
    ),
}


@pytest.mark.parametrize(("cron", "zone", "after", "expected"), TABLE.values(), ids=TABLE)
def test_times_are_those_of_the_table(
    cron: str, zone: str, after: str, expected: list[str]
) -> None:
    table = Timetable(cron, zone)
    times = islice(table.times_after(datetime.fromisoformat(after)), len(expected))
    assert [table.local(time).isoformat(timespec="minutes") for time in times] == expected


@pytest.mark.parametrize(("cron", "zone", "after", "expected"), TABLE.values(), ids=TABLE)
def test_asking_for_one_time_after_another_gives_the_same(
    cron: str, zone: str, after: str, expected: list[str]
) -> None:
    table = Timetable(cron, zone)
    time: datetime | None = datetime.fromisoformat(after)
    for each in expected:
        assert time is not None
        time = table.after(time)
        assert time == datetime.fromisoformat(each)


@settings(deadline=None)
@given(
    cron=st.sampled_from([row[0] for row in TABLE.values()]),
    zone=st.sampled_from([VIENNA, "America/Havana", "Australia/Lord_Howe", "UTC"]),
    since=st.timedeltas(timedelta(0), timedelta(days=730)),
    length=st.timedeltas(timedelta(0), timedelta(days=9)),
)
def test_the_latest_time_is_the_last_of_all(
    cron: str, zone: str, since: timedelta, length: timedelta
) -> None:
    table = Timetable(cron, zone)
    first = table.after(datetime(2025, 1, 1, tzinfo=UTC) + since)
    assert first is not None
    until = first + length
    every = [first, *takewhile(lambda time: time <= until, table.times_after(first))]
    assert every == sorted(set(every))
    assert table.latest(since=first, until=until) == every[-1]


BAD: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "minute": ("60 6 * * *", VIENNA, ValueError, "the minute is wrong, '60'; it takes 0 to 59"),
    "hour": ("0 6-25 * * *", VIENNA, ValueError, "the hour is wrong, '6-25'; it takes 0 to 23"),
    "day": (
        "0 6 32 * *",
        VIENNA,
        ValueError,
        "the day of the month is wrong, '32'; it takes 1 to 31",
    ),
    "month": ("0 6 1 JUNE *", VIENNA, ValueError, "the month is wrong, 'JUNE'; it takes 1 to 12"),
    "weekday": ("0 6 * * FRX", VIENNA, ValueError, "the day of the week is wrong, 'FRX'"),
    "step": ("*/0 6 * * *", VIENNA, ValueError, r"the minute is wrong, '\*/0'"),
    "step of a last day": ("0 6 1#2/2 * *", VIENNA, ValueError, "the day of the month is wrong"),
    "digits of another script": ("٣ 6 * * *", VIENNA, ValueError, "the minute is wrong, '٣'"),
    "digits without end": (f"{'9' * 5000} 6 * * *", VIENNA, ValueError, "the minute is wrong"),
    "four fields": ("0 6 * *", VIENNA, ValueError, "must have 5 fields .minute, hour, .* got 4"),
    "seconds": ("0 0 6 * * *", VIENNA, ValueError, "must have 5 fields .* got 6"),
    "a word": ("@daily", VIENNA, ValueError, "must have 5 fields .* got 1: '@daily'"),
    "empty": ("", VIENNA, ValueError, "must have 5 fields .* got 0"),
    "no such date": ("0 6 30 2 *", VIENNA, ValueError, "is never due: month '2' has no day '30'"),
    "never": ("0 6 */20 * 1L", VIENNA, ValueError, "is never due: no day of the next 50 years"),
    "cron is bytes": (b"0 6 * * *", VIENNA, TypeError, "cron must be a str, got b'0 6"),
    "misspelt zone": ("0 6 * * *", "Europe/Viena", ValueError, "did you mean 'Europe/Vienna'"),
    "unknown zone": ("0 6 * * *", "Mordor", ValueError, "zone 'Mordor' is not a known time zone"),
    "folder": ("0 6 * * *", "Europe", ValueError, "zone 'Europe' is not a known time zone"),
    "path": ("0 6 * * *", "../etc/passwd", ValueError, "zone '../etc/passwd' is not a known"),
    "empty zone": ("0 6 * * *", "", ValueError, "zone '' is not a known time zone"),
    "zone with a null": ("0 6 * * *", "a\0b", ValueError, "is not a known time zone"),
    "zone is an object": ("0 6 * * *", UTC, TypeError, "zone must be the name of a time zone"),
}


@pytest.mark.parametrize(("cron", "zone", "kind", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named(cron: Any, zone: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Timetable(cron, zone)


def test_without_time_zones_the_package_of_them_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arvo_event_handler._schedule._timetable.available_timezones", set[str])
    with pytest.raises(ValueError, match="no time zones; install them with `pip install tzdata`"):
        Timetable("0 6 * * *", "Mordor")


def test_without_cronsim_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "arvo-event-handler\[schedule\]"'):
        Timetable("0 6 * * *", VIENNA)


def test_cronsim_is_imported_by_the_first_schedule_only() -> None:
    code = "import arvo_event_handler, sys; print('cronsim' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
