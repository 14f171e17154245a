"""The interface to what carries commands to the server."""

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, Protocol, TypeAlias, runtime_checkable

Word: TypeAlias = str | bytes | int
"""One argument of a command; a string is sent as UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A Lua script that is given one key.

    On a single server it may compute the names of other keys. A Cluster has them elsewhere.

    It may run twice with the same arguments, which happens when a reply was lost. The second run must
    return what the first one did and change nothing.
    """

    name: str
    """The name in spans and errors."""
    source: str = field(repr=False)
    """The source in Lua 5.1."""

    compares: bool = False
    """Whether it returns 0 if the stored data is not what its caller loaded."""
    writes: bool = True
    """Whether it may change anything; a `Server` that was opened read-only refuses it then."""
    while_closing: bool = False
    """Whether a client that is closing still runs it, for scripts that end what has begun."""

    sha: str = field(init=False)
    """SHA-1 digest, for EVALSHA."""

    def __post_init__(self) -> None:
        digest = sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


@runtime_checkable
class Transport(Protocol):
    """Carries commands and scripts that are given one key each. Replies are bytes, never strings.

    It repeats nothing by itself: only the caller knows whether a call may be made again. Failures
    are raised as redis-py's exceptions.
    """

    @property
    def attributes(self) -> dict[str, str | int]:
        """OpenTelemetry attributes that say where the server is, without the password."""
        ...

    @property
    def ordered(self) -> bool:
        """Whether calls take effect in the order they were made, including cancelled ones.

        This holds as long as the connection lasts: calls on a lost connection may take effect later.
        """
        ...

    @property
    def clustered(self) -> bool:
        """Whether it serves a Cluster, where a script finds the key that it is given alone."""
        ...

    def run(self, script: Script, key: str, *arguments: Word) -> Awaitable[Any]:
        """Run a script, and send its source if the server does not know it yet."""
        ...

    def send(self, command: str, *words: Word) -> Awaitable[Any]:
        """Send one command."""
        ...

    def keys(self, pattern: str) -> AsyncIterator[bytes]:
        """Yield all keys that match a pattern, on all masters; a key may come twice."""
        ...

    def pubsub(self) -> Any:
        """Return a `PubSub` of redis-py that is not connected yet, with a connection of its own."""
        ...
