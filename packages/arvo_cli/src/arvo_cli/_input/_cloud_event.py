"""Checks of JSON objects against CloudEvents 1.0.2, and of what Arvo requires in addition."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_ARVO_NEEDS: Final = ("subject", "datacontenttype", "time", "data")
"""Attributes that CloudEvents leave optional and Arvo requires."""
_NAME: Final = re.compile(r"[a-z0-9]+")
_URI_REFERENCE: Final = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_INTEGERS: Final = range(-(2**31), 2**31)


def is_cloud_event(values: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is an event in the JSON format of CloudEvents.

    Args:
        values: Its members. A member that is null counts as absent.
    """
    given = {name: value for name, value in values.items() if value is not None}
    binary = given.pop("data_base64", None)
    if binary is not None and ("data" in given or not isinstance(binary, str)):
        return False
    given.pop("data", None)
    return _REQUIRED.keys() <= given.keys() and all(
        _RULES.get(name, _is_extension)(value) and _NAME.fullmatch(name)
        for name, value in given.items()
    )


def missing_attributes(values: Mapping[str, Any]) -> list[str]:
    """Return the attributes that Arvo requires and a CloudEvent lacks."""
    return [name for name in _ARVO_NEEDS if values.get(name) is None]


def _is_nonempty_string(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_uri(value: Any) -> bool:
    return isinstance(value, str) and _URI_REFERENCE.fullmatch(value) is not None


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _is_extension(value: Any) -> bool:
    return isinstance(value, str | bool) or (isinstance(value, int) and value in _INTEGERS)


_REQUIRED: Final[Mapping[str, Callable[[Any], bool]]] = {
    "id": _is_nonempty_string,
    "source": _is_uri,
    "specversion": lambda value: value == "1.0",
    "type": _is_nonempty_string,
}
_RULES: Final[Mapping[str, Callable[[Any], bool]]] = {
    **_REQUIRED,
    "subject": _is_nonempty_string,
    "datacontenttype": _is_nonempty_string,
    "dataschema": _is_uri,
    "time": _is_time,
}
