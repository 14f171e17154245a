"""The memory by URL, for `arvo run --memory`."""

from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import unquote, urlsplit

from arvo_event_handler.memory import MemoryUrl

from ._memory import RedisMachineMemory

_COMMON: Final = frozenset(
    {
        *("db", "username", "password", "client_name", "protocol"),
        *("socket_connect_timeout", "socket_read_size", "health_check_interval"),
        *("encoding", "encoding_errors", "decode_responses"),
    }
)
_TCP: Final = _COMMON | {"socket_keepalive"}
_TLS: Final = _TCP | {
    *("ssl_keyfile", "ssl_certfile", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname"),
    *("ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_min_version", "ssl_ciphers"),
    *("ssl_include_verify_flags", "ssl_exclude_verify_flags"),
}
REDIS_PY: Final = {"unix": _COMMON, "redis": _TCP, "rediss": _TLS}
"""What redis-py reads from a URL of each scheme, of what makes sense in one."""


def connect_url(url: str) -> AbstractAsyncContextManager[RedisMachineMemory]:
    """Return what connects to `redis://`, `rediss://` or `unix://` and closes at the end.

    Args:
        url: Behind `?` may stand the arguments of `RedisMachineMemory.connect` and what redis-py
            reads. `socket_timeout` may lack its unit, as redis-py has it in seconds.

    Raises:
        ValueError: The URL is none, or an option is unknown or has no such value.
    """
    scheme = url.partition(":")[0].lower()
    found = MemoryUrl.parse(
        url,
        connect=RedisMachineMemory.connect,
        driver=REDIS_PY[scheme],
        seconds={"socket_timeout"},
    )
    path = unquote(urlsplit(found.address).path)
    if scheme == "unix" and not path:
        raise ValueError("the URL names no socket; write unix:///run/redis.sock")
    # redis-py would take the first database for any other path.
    if scheme != "unix" and not path.removeprefix("/").isdecimal() and path not in {"", "/"}:
        raise ValueError("the path is the number of a database, as in redis://host:6379/0")
    return RedisMachineMemory.connect(found.address, **found.options)
