"""Opens machine memories by URL, with the storm's lease policy."""

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from arvo_event_handler import IMachineMemory
from arvo_event_handler.memory import LockPolicy

from ._file_memory import FileMachineMemory

# Scheme: module and class. The entry points of `arvo run --memory` take no policy.
_BACKENDS: Final = {
    "sqlite": ("arvo_memory_sqlite", "SqliteMachineMemory"),
    "redis": ("arvo_memory_redis", "RedisMachineMemory"),
    "rediss": ("arvo_memory_redis", "RedisMachineMemory"),
    "unix": ("arvo_memory_redis", "RedisMachineMemory"),
    "postgresql": ("arvo_memory_postgres", "PostgresMachineMemory"),
}


def open_memory(
    url: str, *, policy: LockPolicy, chunk_bytes: int | None = None
) -> AbstractAsyncContextManager[IMachineMemory]:
    """Return the context manager of the machine memory that a URL names.

    Args:
        url: `sqlite:///relative.db` or `sqlite:////absolute.db`, both with `?synchronous=normal` if
            wanted; `redis://...`, also with `?transport=redis-py`; `postgresql://...`;
            or `file:///folder`, see `FileMachineMemory`.
        policy: How leases are granted.
        chunk_bytes: Length from which a workflow's tail is closed; None for the memory's default.
            A file has no chunks.

    Raises:
        ValueError: The scheme is not known.
    """
    check_scheme(url)
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FileMachineMemory.open(url, policy=policy)
    module, name = _BACKENDS[parts.scheme]
    connect: Any = getattr(import_module(module), name).connect
    memory: AbstractAsyncContextManager[IMachineMemory]
    settings: dict[str, Any] = {"policy": policy}
    if chunk_bytes is not None:
        settings["chunk_bytes"] = chunk_bytes
    if parts.scheme == "postgresql":  # asyncpg parses the URL itself
        memory = connect(url, **settings)
        return memory
    place = Path(unquote(parts.path[1:])) if parts.scheme == "sqlite" else url.partition("?")[0]
    memory = connect(place, **settings, **dict(parse_qsl(parts.query)))
    return memory


def module_of(url: str) -> str:
    """Return the module of the memory that a URL names, for processes to import in advance.

    Raises:
        ValueError: The scheme is not known.
    """
    check_scheme(url)
    return _BACKENDS.get(urlsplit(url).scheme, (__name__, ""))[0]


def check_scheme(url: str) -> None:
    """Check that there is a memory for a URL.

    Raises:
        ValueError: The scheme is not known.
    """
    scheme = url.partition(":")[0]
    if scheme not in {"file", *_BACKENDS}:
        known = ", ".join(f"{name}:" for name in ("file", *_BACKENDS))
        raise ValueError(f"no machine memory for {scheme}:; choose one of {known}")
