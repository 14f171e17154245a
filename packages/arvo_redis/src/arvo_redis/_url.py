"""What a URL may contain."""

from typing import Final
from urllib.parse import unquote, urlsplit

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
URL_OPTIONS: Final = {"unix": _COMMON, "redis": _TCP, "rediss": _TLS}
"""The options that redis-py reads from a URL and that make sense there, by scheme."""


def check_place(url: str) -> None:
    """Check that a URL names a socket or a database, where it needs one.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with or without options.

    Raises:
        ValueError: It names no socket, or its path is not the number of a database.
    """
    path = unquote(urlsplit(url).path)
    is_socket = url.partition(":")[0].lower() == "unix"
    if is_socket and not path:
        raise ValueError("the URL names no socket; write unix:///run/redis.sock")
    # redis-py would take the first database for any other path.
    if not is_socket and not path.removeprefix("/").isdecimal() and path not in {"", "/"}:
        # Not shown: behind a slash in a password, the rest of the password counts as the path.
        raise ValueError("the path must be the number of a database, as in redis://host:6379/0")
