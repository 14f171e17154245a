"""URLs of machine memories: their addresses and options."""

from collections.abc import Mapping

from typing_extensions import override

from arvo_time.urls import BackendUrl

from ._lock import LockPolicy


class MemoryUrl(BackendUrl):
    """The URL of a machine memory, parsed: where the memory is, and how to use it.

    For packages that offer a memory to `arvo run --memory`. The options after `?` are the keyword
    arguments of the memory's own `connect`, so every argument that a string can express is an
    option of the URL:

    * `str`, `int` and `Literal` as they are; `bool` is `true` or `false`;
    * `timedelta` with its unit: `250ms`, `5s`, `2m`, `1h`, `7d`;
    * `int | None` and `timedelta | None` as these, or `none`;
    * a `policy: LockPolicy` by its fields: `ttl`, `max_wait` and so on.

    No error message shows any part of the URL that may be a password.

    Example:
        >>> async def connect(url: str, *, size: int = 10, policy: LockPolicy | None = None) -> None:
        ...     print(url, size, policy.ttl)
        >>> found = MemoryUrl.parse(
        ...     "my://host?size=4&tls=on&ttl=10s", connect=connect, driver={"tls"}
        ... )
        >>> asyncio.run(connect(found.address, **found.options))
        my://host?tls=on 4 0:00:10
    """

    __slots__ = ()

    @classmethod
    @override
    def by_fields(cls) -> Mapping[str, type]:
        """Return the argument that is given by its fields: the policy of locks."""
        return {"policy": LockPolicy}
