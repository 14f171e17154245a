"""The transport by URL, for `connect_transport`."""

from contextlib import AbstractAsyncContextManager

from arvo_event_handler.memory import MemoryUrl

from ._transport import NatsTransport


def connect_url(url: str) -> AbstractAsyncContextManager[NatsTransport]:
    """Open the transport that a URL names.

    Args:
        url: A `nats://` or `tls://` URL. Arguments of `NatsTransport.connect` may follow after `?`.

    Raises:
        ValueError: The URL is not valid, or an option is unknown or has a wrong value.
    """
    found = MemoryUrl.parse(url, connect=NatsTransport.connect)
    return NatsTransport.connect(found.address, **found.options)
