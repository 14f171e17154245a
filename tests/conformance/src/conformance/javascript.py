"""The few conversions of JavaScript that the two languages are defined by."""

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Final

_WHITE_SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_RADIX = re.compile(r"0(?:[xX](?P<hex>[\da-fA-F]+)|[oO](?P<oct>[0-7]+)|[bB](?P<bin>[01]+))")
_LARGEST_POSITIONAL = 21
_SMALLEST_POSITIONAL = -6


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "undefined"


MISSING: Final = Missing.MISSING
"""An absent value: JavaScript's `undefined`, which is not `null`."""


def is_number(value: object) -> bool:
    """Return whether `value` is a number; `True` is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def truth(value: object) -> bool:
    """Return `Boolean(value)`: empty lists and objects are true."""
    if isinstance(value, Mapping | list | tuple):
        return True
    if isinstance(value, float) and math.isnan(value):
        return False
    return value is not MISSING and bool(value)


def text(value: object) -> str:
    """Return `String(value)`."""
    match value:
        case Missing():
            return "undefined"
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return _number_text(float(value))
        case str():
            return value
        case list() | tuple():
            return ",".join("" if item is None or item is MISSING else text(item) for item in value)
        case _:
            return "[object Object]"


def number(value: object) -> float:
    """Return `Number(value)`; NaN where there is none."""
    match value:
        case None:
            return 0.0
        case bool() | int() | float():
            return float(value)
        case str():
            return _number_of_text(value)
        case list() | tuple():
            return _number_of_text(text(value))
        case _:
            return math.nan


def add(left: object, right: object) -> object:
    """Return `left + right`: a string when one of them is a string, a number otherwise."""
    if any(isinstance(side, str | Mapping | list) for side in (left, right)):
        return text(left) + text(right)
    return whole(number(left) + number(right))


def less(left: object, right: object) -> bool:
    """Return `left < right`: by code units for two strings, by number otherwise."""
    if isinstance(left, str) and isinstance(right, str):
        return code_units(left) < code_units(right)
    return number(left) < number(right)


def code_units(value: str) -> bytes:
    """Return the UTF-16 code units of `value`, in an order that compares as JavaScript does."""
    return value.encode("utf-16-be", "surrogatepass")


def length(value: object) -> int:
    """Return `value.length`, 0 for what has none."""
    if isinstance(value, str):
        return len(code_units(value)) // 2
    return len(value) if isinstance(value, Sequence) else 0


def whole(value: float) -> int | float:
    """Return a float without fraction as an int, so that it prints as JavaScript prints it."""
    return int(value) if value.is_integer() else value


def _number_of_text(value: str) -> float:
    trimmed = value.strip(_WHITE_SPACE)
    if not trimmed:
        return 0.0
    if trimmed in ("Infinity", "+Infinity", "-Infinity"):
        return float(trimmed.replace("Infinity", "inf"))
    if radix := _RADIX.fullmatch(trimmed):
        return float(int(radix.group(0), 0))
    return float(trimmed) if _DECIMAL.fullmatch(trimmed) else math.nan


def _number_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    _, digit_tuple, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    digits = "".join(map(str, digit_tuple))
    point = len(digits) + int(exponent)
    if len(digits) <= point <= _LARGEST_POSITIONAL:
        return sign + digits.ljust(point, "0")
    if 0 < point <= _LARGEST_POSITIONAL:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _SMALLEST_POSITIONAL < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{point - 1:+d}"
