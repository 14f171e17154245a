"""Opens transports by URL; packages register their schemes as entry points."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points
from typing import Final

from ._errors import UnknownTransportError
from ._transport import IEventTransport

_GROUP: Final = "arvo.event_transport"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40}):")
_PACKAGES: Final = {
    "redis": "arvo-transport-redis",
    "rediss": "arvo-transport-redis",
    "unix": "arvo-transport-redis",
    "nats": "arvo-transport-nats",
    "tls": "arvo-transport-nats",
}


def connect_transport(url: str) -> AbstractAsyncContextManager[IEventTransport]:
    """Return a context manager that opens the transport of a URL, and closes it at the end.

    A package offers a transport by an entry point in the group `arvo.event_transport`: its name is
    the scheme of the URL in lower case, and it names a function that takes the whole URL and returns
    an async context manager of an `IEventTransport`.

    Args:
        url: Where the engine is, and how to use it, such as `redis://localhost?namespace=shop`.

    Raises:
        UnknownTransportError: It is not a URL, or no installed package knows its scheme.
        ValueError: The package that knows the scheme refuses the URL.
        ImportError: That package cannot be imported.
        AttributeError: It lacks the function that its entry point names.

    Example:
        >>> connect_transport("nowhere://host/7")
        Traceback (most recent call last):
        ...
        arvo_transport._errors.UnknownTransportError: no installed package has ...
    """
    found = _SCHEME.match(url)
    scheme = None if found is None else found[1].lower()
    installed = {entry.name: entry for entry in entry_points(group=_GROUP)}
    if scheme not in installed:
        package = None if scheme is None else _PACKAGES.get(scheme)
        raise UnknownTransportError(scheme=scheme, installed=installed, package=package)
    connect: Callable[[str], AbstractAsyncContextManager[IEventTransport]]
    connect = installed[scheme].load()
    return connect(url)
