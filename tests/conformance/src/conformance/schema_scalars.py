"""Payload types of strings, numbers, literals and coercions."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .javascript import is_number, number, text, truth

Annotation = Any
"""A type, as pydantic takes it. No static type describes what is built at run time."""

STRING: Annotation = Annotated[str, Strict()]
NUMBER: Annotation = Annotated[float, Strict(), Field(allow_inf_nan=False)]
BOOLEAN: Annotation = Annotated[bool, Strict()]

_DAY = (
    r"(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29"
    r"|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|02-(?:0[1-9]|1\d|2[0-8])))"
)
_DATETIME = re.compile(_DAY + r"T(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?Z", re.ASCII)
_EMAIL = re.compile(
    r"(?!\.)(?!.*\.\.)([A-Z0-9_'+\-.]*)[A-Z0-9_+-]@([A-Z0-9][A-Z0-9\-]*\.)+[A-Z]{2,}",
    re.ASCII | re.IGNORECASE,
)
_UUID = re.compile(r"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}", re.I | re.ASCII)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z\d+.-]*):(?P<rest>.*)", re.ASCII | re.DOTALL)
_HOST = re.compile(r"[/\\]*(?:[^/\\?#@]*@)?(?P<host>\[[\da-fA-F:.]+\]|[^/\\?#:@\[\]]+)(?::\d*)?")
_FORBIDDEN_IN_HOST = re.compile(r"[\x00-\x20<>^|%\x7f]")
_SCHEMES_WITH_HOST = {"http", "https", "ws", "wss", "ftp"}


def string(options: Mapping[str, Any]) -> Annotation:
    """Build the type of a string with rules; an unknown rule is an error."""
    rules = dict(options)
    built: Annotation = Annotated[
        STRING,
        StringConstraints(min_length=rules.pop("min", None), max_length=rules.pop("max", None)),
    ]
    for name, rule in rules.items():
        check, keywords = _string_rule(name, rule)
        if rule is not False:
            built = Annotated[built, AfterValidator(check), Field(json_schema_extra=keywords)]
    return built


def number_with(options: Mapping[str, Any]) -> Annotation:
    """Build the type of a number with bounds; `int` also takes 5.0."""
    rules = dict(options)
    is_integer = rules.pop("int", False)
    bounds: dict[str, Any] = {
        ours: int(rules.pop(theirs)) if is_integer else rules.pop(theirs)
        for theirs, ours in (
            ("min", "ge"),
            ("max", "le"),
            ("gt", "gt"),
            ("lt", "lt"),
            ("multipleOf", "multiple_of"),
        )
        if theirs in rules
    }
    if rules:
        raise ValueError(f"unknown rules for a number: {sorted(rules)}")
    if is_integer:
        return Annotated[int, Strict(), Field(**bounds), BeforeValidator(_without_fraction)]
    return Annotated[NUMBER, Field(**bounds)]


def coerced(kind: str) -> Annotation:
    """Build the type that takes anything which JavaScript converts to `kind`."""
    match kind:
        case "number":
            return Annotated[NUMBER, BeforeValidator(number)]
        case "string":
            return Annotated[STRING, BeforeValidator(text)]
        case "boolean":
            return Annotated[BOOLEAN, BeforeValidator(truth)]
        case _:
            raise ValueError(f"unknown coercion: {kind!r}")


def one_of(values: Iterable[object]) -> Annotation:
    """Build the type of exactly these values; True is not 1, 1.0 is."""
    return Annotated[Any, _OneOf(values=tuple(values))]


def identical(left: object, right: object) -> bool:
    """Return whether two scalars are equal by JavaScript's `===`."""
    if is_number(left) and is_number(right):
        return left == right
    return type(left) is type(right) and left == right


# Equal by identity: `typing` would take the type of 1 for the type of True.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _OneOf:
    values: tuple[object, ...]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._find)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"enum": list(self.values)}

    def _find(self, value: object) -> object:
        for allowed in self.values:
            if identical(value, allowed):
                return allowed
        raise PydanticCustomError("literal", "expected one of the listed values")


def _without_fraction(value: object) -> object:
    if isinstance(value, float) and math.isfinite(value):
        if not value.is_integer():
            raise PydanticCustomError("format", "expected an integer")
        return int(value)
    return value


def _string_rule(name: str, rule: Any) -> tuple[Callable[[str], str], dict[str, Any]]:
    match name:
        case "email":
            return partial(_matching, _EMAIL), {"format": "email"}
        case "uuid":
            return partial(_matching, _UUID), {"format": "uuid"}
        case "datetime":
            return partial(_matching, _DATETIME), {"format": "date-time"}
        case "url":
            return _url, {"format": "uri"}
        case "regex":
            return partial(_searched, _python_pattern(rule)), {"pattern": rule}
        case _:
            raise ValueError(f"unknown rule for a text: {name!r}")


def _matching(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise PydanticCustomError("format", "has the wrong format")
    return value


def _searched(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.search(value):
        raise PydanticCustomError("format", "does not match the pattern")
    return value


def _url(value: str) -> str:
    parts = _SCHEME.fullmatch(value.strip("".join(map(chr, range(0x21)))))
    if parts and parts["scheme"].lower() in _SCHEMES_WITH_HOST:
        host = _HOST.match(parts["rest"])
        valid = bool(host) and not _FORBIDDEN_IN_HOST.search(host["host"] if host else "")
    else:
        valid = bool(parts)
    if not valid:
        raise PydanticCustomError("format", "is not a URL")
    return value


def _python_pattern(source: str) -> re.Pattern[str]:
    """Translate a JavaScript pattern: `$` is the very end, groups are named with `P`."""
    translated = re.sub(
        r"\\.|\[(?:\\.|[^\]\\])*\]|\$|\(\?<(?![=!])",
        lambda found: {"$": r"\Z", "(?<": "(?P<"}.get(found.group(), found.group()),
        source,
        flags=re.DOTALL,
    )
    return re.compile(translated, re.ASCII)
