"""URLs of files."""

from typing import Final
from urllib.parse import unquote, urlsplit

from ._database import IN_MEMORY

_FORMS: Final = "write sqlite:///state.db for a relative path or sqlite:////var/lib/state.db for an absolute one"


def path_of(url: str) -> str:
    """Return the path that a URL names.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`; percent escapes are decoded.
            What follows after `?` is not looked at.

    Raises:
        ValueError: It names no file. `:memory:` is refused, as `memory:` is the clear way to keep
            nothing.
    """
    parts = urlsplit(url)
    if IN_MEMORY in unquote(url):
        raise ValueError("a database without a file keeps nothing; for that, write memory:")
    if parts.netloc:
        raise ValueError(f"a file has no host, but two slashes begin one; {_FORMS}")
    path = unquote(parts.path).removeprefix("/")
    if not path or path.endswith("/") or not parts.path.startswith("/"):
        raise ValueError(f"the URL names no file; {_FORMS}")
    return path
