"""What a test of a transport needs of its author."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeAlias

from arvo_time import SYSTEM_CLOCK, Clock
from arvo_transport import IEventTransport


class ConnectTransport(Protocol):
    """Opens a client of an engine, as another process would; closes it at the end."""

    def __call__(self, *, patience: timedelta) -> AbstractAsyncContextManager[IEventTransport]:
        """Return the client.

        Args:
            patience: How long an event stays in hand without a word from its client, as
                `IEventInbox.patience` says it. Ignore it if the time is that of a `FakeClock`.
        """
        ...


KillTransport: TypeAlias = Callable[[Any], Awaitable[object]]
"""Ends a client that `ConnectTransport` opened as the end of its process would: it says nothing to
the engine, neither now nor when its context is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineUnderTest:
    """An engine with an empty namespace, for one test."""

    connect: ConnectTransport
    """Opens a client. All are of the same namespace."""
    kill: KillTransport
    """Ends one of these clients without a word to the engine."""
    clock: Clock = SYSTEM_CLOCK
    """By what the engine counts the time: a `FakeClock` is moved, any other really waited for."""
