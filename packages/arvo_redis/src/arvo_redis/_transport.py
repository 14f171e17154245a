"""How commands reach the server, whatever carries them."""

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, Protocol, TypeAlias, runtime_checkable

Word: TypeAlias = str | bytes | int
"""One argument of a command; a string goes as UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A Lua script of one key.

    It may run twice with the same arguments, as happens when a reply was lost. The second run must
    answer as the first did and change nothing.
    """

    name: str
    """What spans and errors call it."""
    source: str = field(repr=False)
    """Lua 5.1."""

    compares: bool = False
    """Whether it answers 0 because something else is stored than what its caller loaded."""
    while_closing: bool = False
    """Whether a client that closes still runs it, as what gives back something taken before."""

    sha: str = field(init=False)
    """SHA-1 digest, for EVALSHA."""

    def __post_init__(self) -> None:
        digest = sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


@runtime_checkable
class Transport(Protocol):
    """Carries commands and scripts that concern one key each. Replies are bytes, never strings.

    It repeats nothing by itself: whether a call may be made again is the caller's to know. What
    goes wrong is raised as redis-py's exceptions.
    """

    @property
    def attributes(self) -> dict[str, str | int]:
        """Where the server is, as OpenTelemetry names it; no password."""
        ...

    @property
    def ordered(self) -> bool:
        """Whether calls take effect in the order they were made, also cancelled ones.

        As long as the connection lasts: what a lost one still carries may come later.
        """
        ...

    def run(self, script: Script, key: str, *arguments: Word) -> Awaitable[Any]:
        """Run a script, which the server may or may not know yet."""
        ...

    def send(self, command: str, *words: Word) -> Awaitable[Any]:
        """Send one command."""
        ...

    def keys(self, pattern: str) -> AsyncIterator[bytes]:
        """Go through all keys of a pattern, on all masters; a key may come twice."""
        ...
