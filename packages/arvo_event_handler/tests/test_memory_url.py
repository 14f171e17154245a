"""URLs of machine memories: their options are the arguments of `connect`."""

from datetime import timedelta
from typing import Any, Literal, Optional

import pytest

from arvo_event_handler.memory import LockPolicy, MemoryUrl
from arvo_time import SYSTEM_CLOCK, Clock


async def connect(
    url: str,
    *,
    schema: str = "arvo",
    mode: Literal["fast", "safe"] = "safe",
    size: int = 10,
    limit: int | None = None,
    other_limit: Optional[int] = None,  # noqa: UP045 - as older code has it
    flag: bool = False,
    pause: timedelta = timedelta(0),
    keep: timedelta | None = None,
    policy: LockPolicy | None = None,
    clock: Clock = SYSTEM_CLOCK,
    either: int | str = 0,
) -> None: ...


def parse(url: str, **options: Any) -> MemoryUrl:
    return MemoryUrl.parse(url, connect=connect, **options)


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("schema=shop", {"schema": "shop"}),
        ("schema=a%20%3D%26%C3%A9+b", {"schema": "a =&é b"}),
        ("sch%65ma=shop", {"schema": "shop"}),
        ("schema=a=b", {"schema": "a=b"}),
        ("mode=fast", {"mode": "fast"}),
        ("size=0", {"size": 0}),
        ("size=-7", {"size": -7}),
        ("limit=none&other_limit=3", {"limit": None, "other_limit": 3}),
        ("flag=true", {"flag": True}),
        ("flag=false", {"flag": False}),
        ("limit=17", {"limit": 17}),
        ("pause=250ms", {"pause": timedelta(milliseconds=250)}),
        ("pause=1.5s", {"pause": timedelta(seconds=1.5)}),
        ("pause=0s", {"pause": timedelta(0)}),
        ("pause=2m", {"pause": timedelta(minutes=2)}),
        ("pause=1h", {"pause": timedelta(hours=1)}),
        ("pause=7d", {"pause": timedelta(days=7)}),
        ("keep=7d", {"keep": timedelta(days=7)}),
        ("keep=none", {"keep": None}),
        ("ttl=10s&max_wait=1s", {
            "policy": LockPolicy(ttl=timedelta(seconds=10), max_wait=timedelta(seconds=1)),
        }),
        ("", {}),
    ],
)  # fmt: skip
def test_an_option_holds_what_the_argument_takes(query: str, options: dict[str, object]) -> None:
    found = parse(f"my://host?{query}")
    assert found.options == options
    assert found.address == "my://host"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("scema=x", "there is no option 'scema'; did you mean schema?"),
        ("zzz=x", "there is no option 'zzz'; there are flag, initial_delay, "),
        ("clock=x", "there is no option 'clock'; there are"),
        ("either=1", "there is no option 'either'; there are"),
        ("url=x", "there is no option 'url'; there are"),
        ("policy=x", "there is no option 'policy'; there are"),
        ("=x", "there is no option ''; there are"),
        ("size=1&size=1", "the option 'size' is given twice"),
        ("size=1&siz%65=1", "the option 'size' is given twice"),
        ("zzz=1&zzz=1", "there is no option 'zzz'; there are"),
        ("schema", "the option 'schema' has no value; write name=value"),
        ("schema=", "the option 'schema' has no value; write name=value"),
        ("size=1&", "the option '' has no value; write name=value"),
        ("&".join(f"a{count}=1" for count in range(101)), "the URL has more than 100 options"),
        ("schema=%FF", "the option schema must be percent-encoded UTF-8"),
        ("mode=risky", "the option mode must be fast or safe"),
        ("size=ten", "the option size must be an integer"),
        ("flag=yes", "the option flag must be true or false"),
        ("size=1_0", "the option size must be an integer"),
        ("size=\u0661", "the option size must be an integer"),
        (f"size={'7' * 5000}", "the option size must be an integer"),
        ("limit=nil", "the option limit must be an integer, or none"),
        (
            "pause=5",
            "the option pause must be a number with its unit, such as 250ms, 5s, 2m, 1h or 7d",
        ),
        ("pause=5w", "the option pause must be a number with its unit"),
        ("pause=-5s", "the option pause must be a number with its unit"),
        ("pause=9999999999h", "the option pause must be a number with its unit"),
        ("ttl=0s", "ttl must be longer than zero"),
        ("ttl=1h&max_hold=1s", "max_hold (0:00:01) must be at least ttl (1:00:00)"),
    ],
)
def test_an_invalid_option_is_refused_in_one_line(query: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at
        parse(f"my://host?{query}")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "place",
    [
        "my://host:1/x",
        "my://host:65535",
        "my://u:p%40%2F%3A@host:5432/x",
        "my://u:a:b@host/x",
        "my://u@/x",
        "my://[::1]:5432/x",
        "my://one:1,two:2,[::1]:3/x",
        "my://%2Fvar%2Frun/x",
        "my:///a@b/c",
        "my:",
        "my:relative@here",
        "my://host:/",
    ],
)
def test_a_place_stays_as_it_is_written(place: str) -> None:
    assert parse(f"{place}?size=3").address == place


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("my://u:geheim@[::1/x", "expected a host after //; "),
        ("my://u:geheim@::1/x", "an IPv6 address in [ ]"),
        ("my://u:geheim@[::1]x", "expected "),
        ("my://u:geheim@host:99999/x", "the port must be between 1 and 65535"),
        ("my://u:geheim@host:0", "the port must be between 1 and 65535"),
        (f"my://u:geheim@host:{'1' * 5000}", "the port must be between 1 and 65535"),
        ("my://u:geheim@one:1,two:70000", "the port must be between 1 and 65535"),
        ("my://u:ge@heim@host", "the URL has an @ too many; in a name or password write @ "),
        ("my://u:1/geheim@host", "the URL has an @ too many; in a name or password write @ "),
        ("my://u:geheim/x@host", "the URL has an @ too many"),
        ("my://u:1?geheim@host", "the URL has an @ too many"),
        ("my://u:1?x=geheim@host", "the URL has an @ too many"),
        ("my://u:geheim#x@host", "expected host or host:port after //"),
        ("my://host/x#geheim", "the URL must not contain #; "),
        ("my://host:geheim", "expected host or host:port after //"),
    ],
)
def test_an_invalid_place_is_refused_without_the_password(place: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at
        parse(place)
    assert message in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_the_driver_reads_stays_as_it_is_written() -> None:
    found = parse("my://host?db=%31&size=3&tls=a+b", driver={"db", "tls"})
    assert found.address == "my://host?db=%31&tls=a+b"
    assert found.options == {"size": 3}


def test_an_argument_wins_over_the_option_of_a_driver() -> None:
    assert parse("my://host?size=3", driver={"size"}).options == {"size": 3}


def test_settings_under_any_name_are_passed_on_unless_they_look_misspelt() -> None:
    assert parse("my://host?work_mem=3", passes_on=True).address == "my://host?work_mem=3"
    with pytest.raises(ValueError, match="did you mean schema"):
        parse("my://host?shema=3", passes_on=True)


@pytest.mark.parametrize("value", ["5", "5s", "0.5", "500ms"])
def test_a_driver_may_have_seconds_without_a_unit(value: str) -> None:
    seconds = parse(f"my://host?pause={value}", seconds={"pause"}).options["pause"]
    assert seconds in {timedelta(seconds=5), timedelta(seconds=0.5)}


def test_the_repr_of_a_url_shows_no_password() -> None:
    assert "geheim" not in repr(parse("my://u:geheim@host?db=1", driver={"db"}))
