"""The rules for the attributes of an event, and the messages about broken ones.

The rules are regular expressions and bounds that pydantic's core checks without calling Python.
Only a value that failed is examined here again, to report each problem of the first failing stage.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from ._errors import FieldProblem, InvalidEventError, InvalidUriError
from ._json import MAX_DEPTH, JsonFloat, JsonInteger
from ._problems import LONE_SURROGATE, find_json_problems, has_lone_surrogate
from ._shorten import shorten
from ._uri import LONGEST_URI, URI_PATTERN, ensure_uri

ARVO_CONTENT_TYPE = "application/cloudevents+json;charset=UTF-8;profile=arvo"
"""The `datacontenttype` of every event that Arvo makes."""

TYPE_PATTERN = r"^[a-z0-9]+(?:\.[a-z0-9]+){2,}$"
"""Reverse-DNS names: at least three segments of a-z and 0-9."""
DOMAIN_PATTERN = r"^[a-z0-9.]+$"
_CONTENT_TYPE_PATTERN = r"^[^\r\n\x00]*application/(?:cloudevents\+)?json[^\r\n\x00]*$"

# RFC 3339, 5.6 and 5.7, with optional seconds and days that exist in the calendar.
_LEAP_YEAR = (
    "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"  # 0000 is one
)
_DAY = (
    "(?:[0-9]{4}-(?:"
    "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8])"
    f")|{_LEAP_YEAR}-02-29)"
)
_HOUR_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_OFFSET = "(?:[01][0-9]|2[0-3]):?[0-5][0-9]"
_FRACTION = r"(?:\.[0-9]+)?"
_USUAL_TIME = rf"{_HOUR_MINUTE}(?::[0-5][0-9]{_FRACTION})?(?:[Zz]|[+-]{_OFFSET})"
# In UTC, a leap second ends the day; with another offset it may end any minute.
_LEAP_SECOND = rf"(?:23:59:60{_FRACTION}[Zz]|{_HOUR_MINUTE}:60{_FRACTION}[+-]{_OFFSET})"
_READ_TIME_PATTERN = rf"^{_DAY}[Tt](?:{_USUAL_TIME}|{_LEAP_SECOND})$"
"""Times that are accepted when an event is read."""
_MADE_TIME_PATTERN = rf"^{_DAY}T{_HOUR_MINUTE}(?::[0-5][0-9]{_FRACTION})?(?:Z|[+-]{_OFFSET})$"
"""Times that are accepted when an event is made: TypeScript Arvo reads no others."""
_READ_TIME = re.compile(_READ_TIME_PATTERN)
_MADE_TIME = re.compile(_MADE_TIME_PATTERN)

# Characters that end a header's value (RFC 9110, 5.5); attributes become headers (CloudEvents, HTTP
# binding). CloudEvents forbids other control characters too, but TypeScript Arvo writes them.
_HEADER_BREAK = re.compile(r"[\r\n\x00]")
_HEADER_BREAKS = {"\r": "a carriage return", "\n": "a line feed", "\x00": "a NUL"}

Text = Annotated[str, Strict(), Field(pattern=r"^[^\r\n\x00]+$", max_length=LONGEST_URI)]
Uri = Annotated[str, Strict(), Field(pattern=URI_PATTERN, max_length=LONGEST_URI)]
SpecVersion = Literal["1.0"]
EventType = Annotated[str, Strict(), Field(pattern=TYPE_PATTERN, max_length=LONGEST_URI)]
ContentType = Annotated[str, Strict(), Field(pattern=_CONTENT_TYPE_PATTERN, max_length=LONGEST_URI)]
Time = Annotated[str, Strict(), Field(pattern=_READ_TIME_PATTERN, max_length=LONGEST_URI)]
Domain = Annotated[str, Strict(), Field(pattern=DOMAIN_PATTERN, max_length=LONGEST_URI)]
Number = JsonInteger | JsonFloat
_ExtensionText = Annotated[str, Strict(), Field(pattern=r"^[^\r\n\x00]*$", max_length=LONGEST_URI)]
ExtensionValue = _ExtensionText | Annotated[bool, Strict()] | Number | None

URI_ATTRIBUTES = ("source", "subject", "dataschema", "to", "redirectto")

# Problems are reported stage by stage, in this order: those of the first stage that has any.
_STAGES: tuple[frozenset[str], ...] = (
    frozenset(
        ("id", "source", "specversion", "type", "subject", "datacontenttype", "dataschema", "time")
    ),
    frozenset(("data",)),
    frozenset(("to", "accesscontrol", "redirectto", "executionunits", "parentid", "domain")),
    frozenset(("traceparent", "tracestate")),
)
ATTRIBUTES = frozenset[str]().union(*_STAGES)

_TIME_RULE = "must be an RFC 3339 time with an offset, as in 2026-01-31T09:30:00.000+00:00"
_URI_RULE = "must be a non-empty, percent-encoded URI or URI reference"
_STRING_RULE = "must be a non-empty string"
_RULES: dict[str, str] = {
    "id": _STRING_RULE,
    "source": _URI_RULE,
    "specversion": 'must be "1.0"',
    "type": "must be three or more segments of a-z and 0-9 joined by dots, as in com.example.thing",
    "subject": _URI_RULE,
    "datacontenttype": "must contain application/cloudevents+json or application/json",
    "dataschema": _URI_RULE,
    "time": _TIME_RULE,
    "to": _URI_RULE,
    "accesscontrol": _STRING_RULE,
    "redirectto": _URI_RULE,
    "executionunits": "must be a finite number of at most 1.8e308",
    "parentid": _STRING_RULE,
    "domain": "must consist of a-z, 0-9 and dots",
    "traceparent": _STRING_RULE,
    "tracestate": _STRING_RULE,
}


def attribute_problems(
    values: Mapping[object, object],
    failed: Iterable[object],
    shadowing: Iterable[str] = (),
    *,
    max_depth: int = MAX_DEPTH,
) -> Iterator[FieldProblem]:
    """Find what is wrong with an event's raw values, stopping after the first failing stage.

    Args:
        values: Attributes and extensions by name, as given.
        failed: Names of attributes that validation refused.
        shadowing: Extensions named like an attribute, and therefore not in `values`.
        max_depth: How many levels below the data a value may be nested.

    Returns:
        Nothing if no rule of Arvo's is broken, but one of a subclass.
    """
    names = set(failed)
    found = False
    for stage in _STAGES:
        for name in sorted(stage & names):
            for problem in _attribute_problems(name, values, max_depth):
                found = True
                yield problem
        if found:
            return
    for name in shadowing:
        yield FieldProblem(path=(name,), message="an extension may not be named like an attribute")
        found = True
    for key, value in values.items():
        if key not in ATTRIBUTES:
            for problem in _extension_problems(key, value):
                found = True
                yield problem
    # Each value is valid by itself, so the rule about two of them may be broken.
    tied = values.get("to") is None and values.get("datacontenttype") == ARVO_CONTENT_TYPE
    if not found and tied:
        yield FieldProblem(path=("to",), message="is required with Arvo's datacontenttype")


def with_encoded_uris(values: dict[str, object]) -> dict[str, object] | None:
    """Percent-encode the URI attributes that need it; return None if none does.

    Raises:
        InvalidUriError: A URI holds a lone surrogate, or is too long, encoded or not.
    """
    given = {name: value for name in URI_ATTRIBUTES if isinstance(value := values[name], str)}
    broken = [name for name, uri in given.items() if has_lone_surrogate(uri)]
    if broken:
        raise InvalidUriError(
            f"cannot encode the URIs of {event_name(values)}",
            problems=[FieldProblem(path=(name,), message=LONE_SURROGATE) for name in broken],
        )
    encoded = dict(given)
    too_long = []
    for name, uri in given.items():
        try:
            encoded[name] = ensure_uri(uri)
        except InvalidUriError:
            too_long.append(name)
    if too_long:
        raise InvalidUriError(
            f"cannot encode the URIs of {event_name(values)}",
            problems=[
                FieldProblem(path=(name,), message=f"takes more than {LONGEST_URI} characters")
                for name in too_long
            ],
        )
    return None if encoded == given else {**values, **encoded}


def time_text(time: object) -> object:
    """Return the time of a new event: now for None, a string for a datetime, all else unchanged.

    Raises:
        InvalidEventError: The datetime is naive, or the string is a time that Arvo reads but does
            not write.
    """
    if time is None:
        return _now_text()
    if isinstance(time, str) and _READ_TIME.fullmatch(time) and not _MADE_TIME.fullmatch(time):
        raise _refused_time(
            "write T and Z in upper case, and no leap second (60); some readers accept nothing else"
        )
    if not isinstance(time, datetime):
        return time
    if time.tzinfo is None:
        raise _refused_time("the datetime is naive; give it a tzinfo, such as UTC")
    return time.isoformat(timespec="milliseconds")


def event_name(values: Mapping[Any, object]) -> str:
    """Name an event by its id and type, for a message, whether they are valid or not."""
    named = (
        f"{name}={shorten(value) if isinstance(value, str | None) else type(value).__name__}"
        for name in ("id", "type")
        for value in (values.get(name),)
    )
    return f"event ({', '.join(named)})"


def is_extension_name(name: object) -> bool:
    """Return whether `name` consists of a-z and 0-9 and is not empty (CloudEvents 1.0.2, 3.1)."""
    return isinstance(name, str) and name.isascii() and name.isalnum() and name == name.lower()


def _attribute_problems(
    name: str, values: Mapping[object, object], max_depth: int
) -> Iterator[FieldProblem]:
    if name not in values:
        yield FieldProblem(path=(name,), message="is required")
        return
    value = values[name]
    if name == "data":
        yield from find_json_problems(value, path=("data",), max_depth=max_depth)
    else:
        rule = _RULES[name]
        broken = _string_problem(value) if isinstance(value, str) else None
        if broken is None and rule is _STRING_RULE and isinstance(value, str):
            broken = _header_problem(value)
        yield FieldProblem(path=(name,), message=broken or rule)


def _extension_problems(name: object, value: object) -> Iterator[FieldProblem]:
    path = (str(name),)
    if not is_extension_name(name):
        yield FieldProblem(path=path, message="an extension's name must consist of a-z and 0-9")
    if isinstance(value, str):
        if broken := _string_problem(value) or _header_problem(value):
            yield FieldProblem(path=path, message=broken)
    elif value is None or isinstance(value, int | float):
        for problem in find_json_problems({"": value}):
            yield FieldProblem(path=path, message=problem.message)
    else:
        yield FieldProblem(path=path, message="must be a string, a number, true, false or null")


def _string_problem(value: str) -> str | None:
    """Return what makes a string invalid as any attribute, or None."""
    if len(value) > LONGEST_URI:
        return f"takes {len(value)} characters; at most {LONGEST_URI} are allowed"
    if has_lone_surrogate(value):
        return LONE_SURROGATE
    return None


def _header_problem(value: str) -> str | None:
    """Return why a string cannot be sent as a header, or None."""
    if found := _HEADER_BREAK.search(value):
        what = _HEADER_BREAKS[found.group()]
        return f"holds {what} at position {found.start()}, which would end a header; remove it"
    return None


def _refused_time(why: str) -> InvalidEventError:
    problem = FieldProblem(path=("time",), message=why)
    return InvalidEventError("cannot make an event", problems=[problem])


def _now_text() -> str:
    # All but the milliseconds is cached: `isoformat` takes a tenth of the time to make an event.
    second, millisecond = divmod(time_ns() // 1_000_000, 1000)
    return f"{_second_text(second)}.{millisecond:03}+00:00"


@lru_cache(maxsize=1)
def _second_text(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
