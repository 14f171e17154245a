"""What `--memory sqlite:...` means."""

from contextlib import AbstractAsyncContextManager
from urllib.parse import parse_qsl, unquote, urlsplit

from ._database import IN_MEMORY, Synchronous
from ._memory import SqliteMachineMemory

_FORMS = (
    "write sqlite:///state.db for a relative path or sqlite:////var/lib/state.db for a full one"
)


def open_url(url: str) -> AbstractAsyncContextManager[SqliteMachineMemory]:
    """Open the memory that a URL names.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////full/path.db`; percent escapes are
            decoded. `?synchronous=normal` chooses as `SqliteMachineMemory.open` does.

    Raises:
        ValueError: The URL names no file, or says something unknown. `:memory:` is refused: a
            run that ends forgets it, which `memory:` says better.
    """
    parts = urlsplit(url)
    if IN_MEMORY in unquote(url):
        raise ValueError("a database without a file forgets everything; for that, write memory:")
    if parts.netloc:
        raise ValueError(f"a file has no host, and two slashes begin one; {_FORMS}")
    if parts.fragment:
        raise ValueError(f"write # in a path as %23; {_FORMS}")
    path = unquote(parts.path).removeprefix("/")
    if not path or path.endswith("/") or not parts.path.startswith("/"):
        raise ValueError(f"the URL names no file; {_FORMS}")
    return SqliteMachineMemory.open(path, synchronous=_synchronous(parts.query))


def _synchronous(query: str) -> Synchronous:
    match parse_qsl(query, keep_blank_values=True):
        case [] if not query:
            return "full"
        case [("synchronous", "full")]:
            return "full"
        case [("synchronous", "normal")]:
            return "normal"
        case _:
            raise ValueError("after ? only synchronous=full or synchronous=normal may stand")
