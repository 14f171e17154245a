"""The memory by URL, for `arvo run --memory sqlite:...`."""

from contextlib import AbstractAsyncContextManager
from urllib.parse import unquote, urlsplit

from arvo_event_handler.memory import MemoryUrl
from arvo_sqlite import IN_MEMORY

from ._memory import SqliteMachineMemory

_FORMS = "write sqlite:///state.db for a relative path or sqlite:////var/lib/state.db for an absolute one"


def connect_url(url: str) -> AbstractAsyncContextManager[SqliteMachineMemory]:
    """Open the memory that a URL names.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`; percent escapes are
            decoded. Arguments of `SqliteMachineMemory.connect` may follow after `?`.

    Raises:
        ValueError: The URL names no file, or an option is unknown or has a wrong value.
            `:memory:` is refused, as `--memory memory:` is the clear way to keep nothing.
    """
    found = MemoryUrl.parse(url, connect=SqliteMachineMemory.connect)
    parts = urlsplit(found.address)
    if IN_MEMORY in unquote(url):
        raise ValueError("a database without a file keeps nothing; for that, write memory:")
    if parts.netloc:
        raise ValueError(f"a file has no host, but two slashes begin one; {_FORMS}")
    path = unquote(parts.path).removeprefix("/")
    if not path or path.endswith("/") or not parts.path.startswith("/"):
        raise ValueError(f"the URL names no file; {_FORMS}")
    return SqliteMachineMemory.connect(path, **found.options)
