"""The transport by URL."""

from contextlib import AbstractAsyncContextManager

from arvo_event_handler.memory import MemoryUrl
from arvo_redis import URL_OPTIONS, check_place

from ._transport import RedisTransport


def connect_url(url: str) -> AbstractAsyncContextManager[RedisTransport]:
    """Open the transport that a URL names.

    Args:
        url: A `redis://`, `rediss://` or `unix://` URL. Arguments of `RedisTransport.connect` and
            options of redis-py may follow after `?`, as in `?namespace=shop&lease=30s`.
            `socket_timeout` may lack its unit: it is then in seconds, as in redis-py.

    Raises:
        ValueError: The URL is not valid, or an option is unknown or has a wrong value.
    """
    found = MemoryUrl.parse(
        url,
        connect=RedisTransport.connect,
        driver=URL_OPTIONS[url.partition(":")[0].lower()],
        seconds={"socket_timeout"},
    )
    check_place(found.address)
    return RedisTransport.connect(found.address, **found.options)
