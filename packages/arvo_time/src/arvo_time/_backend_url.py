"""URLs of backends: their addresses and options."""

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from types import UnionType
from typing import Any, Final, Literal, Self, Union, get_args, get_origin, get_type_hints
from urllib.parse import unquote_plus, urlsplit

_HOST: Final = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]*))?")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_DURATION: Final = re.compile(r"(?P<amount>[0-9]{1,9}(?:\.[0-9]{1,6})?)(?P<unit>ms|s|m|h|d)?")
_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_ESCAPES: Final = "in a name or password write @ / ? # : as %40 %2F %3F %23 %3A"
_LONGEST_NAME: Final = 40
_MAX_OPTIONS: Final = 100
_MIN_LIKENESS: Final = 0.8

_Reader = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendUrl:
    """The URL of a backend, parsed: where it is, and how to use it.

    The options after `?` are the keyword arguments of a `connect`, so every argument that a string can
    express is an option of the URL:

    * `str`, `int` and `Literal` as they are; `bool` is `true` or `false`;
    * `timedelta` with its unit: `250ms`, `5s`, `2m`, `1h`, `7d`;
    * `int | None` and `timedelta | None` as these, or `none`.

    No error message shows any part of the URL that may be a password.

    Example:
        >>> async def connect(url: str, *, size: int = 10) -> None:
        ...     print(url, size)
        >>> found = BackendUrl.parse("my://host?size=4&tls=on", connect=connect, driver={"tls"})
        >>> asyncio.run(connect(found.address, **found.options))
        my://host?tls=on 4
    """

    address: str = field(repr=False)
    """The URL with only the options of its driver. It may contain a password."""
    options: Mapping[str, Any]
    """The keyword arguments of `connect` that the URL names."""

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        connect: Callable[..., object],
        driver: Collection[str] = (),
        passes_on: bool = False,
        seconds: Collection[str] = (),
    ) -> Self:
        """Parse and check a URL.

        Args:
            url: The URL as the user wrote it.
            connect: The function or class that will be called with `options`. The annotations of
                its keyword-only arguments are the types of the options; an argument of a type that
                is not listed above is not an option.
            driver: Options that the driver reads itself. They stay in `address`.
            passes_on: Whether the driver accepts options of any name, such as PostgreSQL's
                settings. A name that is almost a known one is refused anyway.
            seconds: Durations that the driver writes as plain numbers of seconds, which are
                accepted here too.

        Raises:
            ValueError: The host or the port is invalid, or an option is unknown, repeated, empty
                or has a wrong value. The message is one line.
        """
        where, _, query = url.partition("?")
        _check_place(where, query)
        if "#" in url:
            raise ValueError(f"the URL must not contain #; {_ESCAPES}")
        by_fields = cls.by_fields()
        readers = dict(_readers(connect, seconds=seconds, by_fields=by_fields))
        known = {*readers, *driver}
        values: dict[str, object] = {}
        left: list[str] = []
        seen: set[str] = set()
        pairs = query.split("&") if query else []
        if len(pairs) > _MAX_OPTIONS:
            raise ValueError(f"the URL has more than {_MAX_OPTIONS} options")
        for pair in pairs:
            raw_name, _, raw_value = pair.partition("=")
            name = unquote_plus(raw_name)
            if name in seen:
                raise ValueError(f"the option {_shown(name)} is given twice")
            if not raw_value:
                raise ValueError(f"the option {_shown(name)} has no value; write name=value")
            seen.add(name)
            if name in readers:
                values[name] = _read(name, raw_value, readers[name])
            elif name in driver or (passes_on and not _alike(name, known)):
                left.append(pair)
            else:
                raise ValueError(_unknown(name, known))
        address = f"{where}?{'&'.join(left)}" if left else where
        return cls(address=address, options=_arguments(values, connect, by_fields=by_fields))

    @classmethod
    def by_fields(cls) -> Mapping[str, type]:
        """Return the arguments of `connect` whose fields, all durations, are options of the URL.

        Returns:
            The dataclass of each argument, by the argument's name; none here.
        """
        return {}


def _check_place(where: str, query: str) -> None:
    """Check that a driver will read what comes before the options as it is meant.

    Raises:
        ValueError: It will not.
    """
    # By hand, as later versions of Python refuse several hosts with an IPv6 address among them.
    place = where.partition("//")[2]
    end = min((place + mark).index(mark) for mark in "/#")
    user, at, hosts = place[:end].rpartition("@")
    cut_short = end and not at and "@" in place[end:].partition("#")[0] + query
    if "@" in user or cut_short:  # or a part of a password would be taken for something else
        raise ValueError(f"the URL has an @ too many; {_ESCAPES}")
    for host in hosts.split(","):
        if not _can_be_split(f"//{user}{at}{host}"):
            raise ValueError(f"expected a host after //; {_ESCAPES}")
        found = _HOST.fullmatch(host)
        if found is None:
            raise ValueError(
                f"expected host or host:port after //; write an IPv6 address in [ ]; {_ESCAPES}"
            )
        port = found["port"]
        if port and not (len(port) <= len("65535") and 0 < int(port) <= 65535):
            raise ValueError("the port must be between 1 and 65535")


def _can_be_split(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def _readers(
    connect: Callable[..., object], *, seconds: Collection[str], by_fields: Mapping[str, type]
) -> Iterator[tuple[str, _Reader]]:
    """Yield the names of a function's options, each with what reads its value."""
    annotated: Any = connect.__init__ if isinstance(connect, type) else connect  # type: ignore[misc]
    hints = get_type_hints(annotated)
    for name, parameter in inspect.signature(connect).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        kinds, may_be_none = _kinds(hints[name])
        if name in by_fields:
            yield from ((each.name, _duration) for each in _fields(by_fields[name]))
        elif kinds == (timedelta,):
            reader = _seconds if name in seconds else _duration
            yield name, _or_none(reader) if may_be_none else reader
        elif kinds == (bool,):
            yield name, _flag
        elif kinds == (int,):
            yield name, _integer_or_none if may_be_none else _integer
        elif kinds == (str,):
            yield name, str
        elif get_origin(kinds[0]) is Literal:
            yield name, _one_of(get_args(kinds[0]))


def _kinds(hint: Any) -> tuple[tuple[Any, ...], bool]:
    """Return the types that an annotation allows besides None, and whether it allows None."""
    if get_origin(hint) not in {Union, UnionType}:
        return (hint,), False
    kinds = get_args(hint)
    return tuple(kind for kind in kinds if kind is not type(None)), type(None) in kinds


def _arguments(
    values: dict[str, object], connect: Callable[..., object], *, by_fields: Mapping[str, type]
) -> dict[str, Any]:
    """Combine the values of fields into the arguments that they belong to.

    Raises:
        ValueError: The fields do not make a valid argument.
    """
    parameters = inspect.signature(connect).parameters
    arguments: dict[str, Any] = {
        name: value for name, value in values.items() if name in parameters
    }
    for argument, kind in by_fields.items():
        names = {each.name for each in _fields(kind)} - parameters.keys()
        given = {name: value for name, value in values.items() if name in names}
        if given:
            arguments[argument] = kind(**given)
    return arguments


def _fields(kind: Any) -> "tuple[Field[Any], ...]":
    return fields(kind)


def _read(name: str, raw: str, reader: _Reader) -> object:
    try:
        return reader(unquote_plus(raw, errors="strict"))
    except UnicodeDecodeError:
        raise ValueError(f"the option {name} must be percent-encoded UTF-8") from None
    except ValueError as error:
        raise ValueError(f"the option {name} {error}") from None


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text == "true"


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("must be an integer")
    return int(text)


def _integer_or_none(text: str) -> int | None:
    if text != "none" and not _INTEGER.fullmatch(text):
        raise ValueError("must be an integer, or none")
    return None if text == "none" else int(text)


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None or found["unit"] is None:
        raise ValueError("must be a number with its unit, such as 250ms, 5s, 2m, 1h or 7d")
    return float(found["amount"]) * _UNITS[found["unit"]]


def _seconds(text: str) -> timedelta:
    return _duration(f"{text}s" if text[-1:].isdecimal() else text)


def _or_none(reader: _Reader) -> _Reader:
    def read(text: str) -> object:
        return None if text == "none" else reader(text)

    return read


def _one_of(choices: tuple[str, ...]) -> _Reader:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return text

    return read


def _alike(name: str, known: Collection[str]) -> list[str]:
    # Known names are short: a long one cannot be like them, and comparing it would be slow.
    return get_close_matches(name[: 2 * _LONGEST_NAME], known, n=1, cutoff=_MIN_LIKENESS)


def _unknown(name: str, known: Collection[str]) -> str:
    alike = _alike(name, known)
    remedy = f"did you mean {alike[0]}?" if alike else f"there are {', '.join(sorted(known))}"
    return f"there is no option {_shown(name)}; {remedy}"


def _shown(name: str) -> str:
    return repr(name[:_LONGEST_NAME])
