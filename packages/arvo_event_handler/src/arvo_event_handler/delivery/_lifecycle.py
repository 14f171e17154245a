"""How a broker begins and ends."""

from collections.abc import Awaitable
from datetime import timedelta
from enum import Enum, auto
from typing import Final, Protocol

from arvo_time import Clock

from ._errors import BrokerClosedError, endless_wait
from ._seats import runs_within
from ._stats import HasStats
from ._telemetry import observed

DEFAULT_GRACE: Final = timedelta(seconds=5)
"""How long what runs may take, when a broker closes, before it is cancelled."""
_CLEAN_UP: Final = timedelta(seconds=1)


class BrokerState(Enum):
    """Where in its life a broker is. It lives once."""

    NEW = auto()
    """It takes nothing yet."""
    OPEN = auto()
    """It takes events."""
    CLOSING = auto()
    """It takes nothing more, and ends what it has."""
    CLOSED = auto()
    """Nothing of it is left."""


class Endable(HasStats, Protocol):
    """What of a broker must end, step by step."""

    def stop_accepting(self) -> None:
        """Refuse callers that wait for a place, and all later ones."""
        ...

    async def wait_idle(self) -> None:
        """Wait until every event that was taken is done, and the listeners know."""
        ...

    def give_up_queued(self) -> None:
        """Give up what waits and sleeps, and what comes of events that still run."""
        ...

    async def wait_handlers(self) -> None:
        """Wait until no handler runs, after `give_up_queued`."""
        ...

    async def stop_handlers(self, *, patience: timedelta) -> None:
        """Cancel what still runs, and wait for it as long as `patience`; then give it up."""
        ...

    async def stop_listeners(self, *, patience: timedelta) -> None:
        """Cancel the reports under way, as `stop_handlers`, and log those that were not made."""
        ...


class Lifecycle:
    """The life of one broker: new, open, closing, closed.

    Args:
        broker: What must end.
        clock: For all that is waited for at the end.
        identity: What identifies the broker in `Seats`.
    """

    def __init__(self, broker: Endable, *, clock: Clock, identity: object) -> None:
        self._broker = broker
        self._clock = clock
        self._identity = identity
        self.state: BrokerState = BrokerState.NEW
        """Where in its life the broker is."""

    def open(self) -> None:
        """Begin to take events.

        Raises:
            BrokerClosedError: It was opened before.
        """
        if self.state is not BrokerState.NEW:
            raise BrokerClosedError
        self.state = BrokerState.OPEN
        observed.add(self._broker)

    def check_open(self) -> None:
        """Check that the broker accepts events.

        Raises:
            BrokerClosedError: They are not.
        """
        if self.state is not BrokerState.OPEN:
            raise BrokerClosedError

    def check_not_ending(self) -> None:
        """Check that the broker may still change.

        Raises:
            BrokerClosedError: It is closing or closed.
        """
        if self.state in {BrokerState.CLOSING, BrokerState.CLOSED}:
            raise BrokerClosedError

    def check_outside(self, name: str) -> None:
        """Check that a call that waits for everything is not part of what it waits for.

        Args:
            name: What the call is named.

        Raises:
            ConfigViolation: A handler or listener of the broker awaits it.
        """
        if runs_within(self._identity):
            raise endless_wait(name)

    async def wait_idle(self, *, timeout: timedelta | None) -> None:  # noqa: ASYNC109
        """Wait until every event that was taken is done.

        Args:
            timeout: How long to wait at most; None as long as it takes.

        Raises:
            ConfigViolation: A handler or listener of the broker awaits it.
            TimeoutError: There was still something to do.
        """
        self.check_outside("wait_idle")
        if timeout is None:
            return await self._broker.wait_idle()
        async with self._clock.timeout(timeout):
            return await self._broker.wait_idle()

    async def drain(self) -> None:
        """Take nothing more, finish everything, and close. Idempotent.

        Raises:
            ConfigViolation: A handler or listener of the broker awaits it.
        """
        if self.state is BrokerState.CLOSED:
            return
        self.check_outside("drain")
        self._stop_accepting()
        await self._broker.wait_idle()
        await self._end(patience=DEFAULT_GRACE)

    async def aclose(self, *, grace: timedelta) -> None:
        """Take nothing more, let what runs finish, give up the rest, and close. Idempotent.

        Args:
            grace: How long what runs may take before it is cancelled. The listeners get as long
                again, but at least `DEFAULT_GRACE`.
        """
        if self.state is BrokerState.CLOSED:
            return
        self._stop_accepting()
        self._broker.give_up_queued()
        try:
            await self._within(grace, self._broker.wait_handlers())
        finally:
            await self._end(patience=max(grace, DEFAULT_GRACE))

    def _stop_accepting(self) -> None:
        self.state = BrokerState.CLOSING
        self._broker.stop_accepting()

    async def _end(self, *, patience: timedelta) -> None:
        """Cancel what runs, and wait as long as `patience` for the reports of it."""
        try:
            await self._broker.stop_handlers(patience=_CLEAN_UP)
            await self._within(patience, self._broker.wait_idle())
        finally:
            try:
                await self._broker.stop_listeners(patience=_CLEAN_UP)
            finally:
                self.state = BrokerState.CLOSED
                observed.discard(self._broker)

    async def _within(self, limit: timedelta, wait: Awaitable[None]) -> None:
        """Await something, but not longer than `limit`."""
        try:
            async with self._clock.timeout(limit):
                await wait
        except TimeoutError:
            pass
