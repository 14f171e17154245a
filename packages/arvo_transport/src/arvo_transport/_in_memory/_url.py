"""The transport behind `memory:`."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final
from urllib.parse import parse_qsl

from ._engine import InMemoryEngine
from ._transport import InMemoryTransport

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9-]+")


def connect_url(url: str) -> AbstractAsyncContextManager[InMemoryTransport]:
    """Return a context manager of the transport behind `memory:`.

    Each has an engine of its own, whose events are gone at the end.

    Args:
        url: `memory:`; after a `?` may follow `partitions`, a number above zero, and, as for every
            transport, `namespace`, which has no effect here.

    Raises:
        ValueError: The URL has more than scheme and options, or an option is unknown or invalid.
    """
    address, _, query = url.partition("?")
    if address.partition(":")[2]:
        raise ValueError("`memory:` takes only options, no name; write `memory:?partitions=8`")
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    namespace = options.pop("namespace", "arvo")
    partitions = options.pop("partitions", "64")
    if options:
        raise ValueError(
            f"unknown option {next(iter(options))!r} of `memory:`; known are namespace and partitions"
        )
    if _NAMESPACE.fullmatch(namespace) is None:
        raise ValueError(f"namespace must be letters, digits and `-`, got {namespace!r}")
    if not partitions.isascii() or not partitions.isdigit():
        raise ValueError(f"partitions must be a number above zero, got {partitions!r}")
    return _opened(InMemoryEngine(partitions=int(partitions)))


@asynccontextmanager
async def _opened(engine: InMemoryEngine) -> AsyncIterator[InMemoryTransport]:
    transport = InMemoryTransport(engine)
    try:
        yield transport
    finally:
        await transport.aclose()
