"""How commands reach the server, whatever carries them."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol, TypeAlias

from ._scripts import Script

Word: TypeAlias = str | bytes | int
"""One argument of a command; text goes as UTF-8."""


class Transport(Protocol):
    """Carries commands and scripts that concern one key each. Replies are bytes, never text.

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
