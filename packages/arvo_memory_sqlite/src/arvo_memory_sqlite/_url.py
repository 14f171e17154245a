"""What `--memory sqlite:...` means."""

from contextlib import AbstractAsyncContextManager
from urllib.parse import unquote, urlsplit

from arvo_event_handler.memory import MemoryUrl

from ._database import IN_MEMORY
from ._memory import SqliteMachineMemory

_FORMS = (
    "write sqlite:///state.db for a relative path or sqlite:////var/lib/state.db for a full one"
)


def open_url(url: str) -> AbstractAsyncContextManager[SqliteMachineMemory]:
    """Open the memory that a URL names.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////full/path.db`; percent escapes are
            decoded. Behind `?` may stand the arguments of `SqliteMachineMemory.open`.

    Raises:
        ValueError: The URL names no file, or an option is unknown or has no such value.
            `:memory:` is refused: a run that ends forgets it, which `memory:` says better.
    """
    found = MemoryUrl.parse(url, connect=SqliteMachineMemory.open)
    parts = urlsplit(found.address)
    if IN_MEMORY in unquote(url):
        raise ValueError("a database without a file forgets everything; for that, write memory:")
    if parts.netloc:
        raise ValueError(f"a file has no host, and two slashes begin one; {_FORMS}")
    path = unquote(parts.path).removeprefix("/")
    if not path or path.endswith("/") or not parts.path.startswith("/"):
        raise ValueError(f"the URL names no file; {_FORMS}")
    return SqliteMachineMemory.open(path, **found.options)
