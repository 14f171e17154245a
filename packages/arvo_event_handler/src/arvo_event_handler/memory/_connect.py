"""Opens machine memories by URL; packages register their schemes as entry points."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from arvo_event_handler._errors import UnknownMemoryError

from ._memory import IMachineMemory

_GROUP: Final = "arvo.machine_memory"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40}):")


def connect_memory(url: str) -> AbstractAsyncContextManager[IMachineMemory]:
    """Return a context manager that opens the machine memory of a URL, and closes it at the end.

    A package offers a memory by an entry point in the group `arvo.machine_memory`: its name is the
    scheme of the URL in lower case, and it names a function that takes the whole URL and returns an
    async context manager of an `IMachineMemory`.

    Args:
        url: Where the memory is, and how to use it, such as `sqlite:///state.db?ttl=10s`.

    Raises:
        UnknownMemoryError: It is not a URL, or no installed package knows its scheme.
        ValueError: The package that knows the scheme refuses the URL.
        ImportError: That package cannot be imported.
        AttributeError: It lacks the function that its entry point names.

    Example:
        >>> connect_memory("nowhere://host/7")
        Traceback (most recent call last):
        ...
        arvo_event_handler._errors.UnknownMemoryError: no installed package has ...
    """
    connect: Callable[[str], AbstractAsyncContextManager[IMachineMemory]]
    connect = registered(url).load()
    return connect(url)


def registered(url: str) -> EntryPoint:
    """Return the entry point that is named like the scheme of a memory's URL.

    Raises:
        UnknownMemoryError: It is not a URL, or no installed package knows its scheme.
    """
    found = _SCHEME.match(url)
    scheme = None if found is None else found[1].lower()
    installed = {entry.name: entry for entry in entry_points(group=_GROUP)}
    if scheme not in installed:
        raise UnknownMemoryError(scheme=scheme, installed=installed)
    return installed[scheme]
