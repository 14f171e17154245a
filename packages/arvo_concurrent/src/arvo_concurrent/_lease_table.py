"""Who holds which workflow, until when, and who waits for it."""

import asyncio
from collections import deque
from datetime import timedelta
from functools import partial

from arvo_event_handler.memory import LockPolicy
from arvo_time import Clock, ClockTimer


class _Waiter:
    __slots__ = ("handed", "owner")

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.handed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Held:
    """A workflow that has a holder, or had one until the lease expired."""

    __slots__ = ("owner", "read_as", "read_from", "timer", "until", "waiters")

    def __init__(self, owner: str, until: float) -> None:
        self.owner = owner
        self.until = until
        self.waiters: deque[_Waiter] | None = None
        self.timer: ClockTimer | None = None
        # What was stored at the last bare read, and the object that was returned for it.
        self.read_from: object = None
        self.read_as: object = None


class LeaseTable:
    """Leases of one process, handed from holder to waiter in the order in which they asked.

    A workflow without a holder has no entry. One whose lease expired keeps its entry, as its holder
    may still renew; the entry is removed when `max_hold` has passed too.
    """

    def __init__(self, *, policy: LockPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._ttl = policy.ttl.total_seconds()
        self._held: dict[str, Held] = {}
        self._next_sweep = clock.monotonic() + policy.max_hold.total_seconds()

    def take(self, machine_id: str, owner: str) -> bool:
        """Take a workflow that is free and has no waiters."""
        now = self._clock.monotonic()
        if now >= self._next_sweep:
            self._sweep(now)
        held = self._held.get(machine_id)
        if held is None:
            self._held[machine_id] = Held(owner, now + self._ttl)
            return True
        if held.until > now:
            return False
        if held.waiters:
            self._pass_on(machine_id, held)
            return self._held.get(machine_id) is None and self.take(machine_id, owner)
        held.owner = owner
        held.until = now + self._ttl
        return True

    async def wait(self, machine_id: str, owner: str) -> bool:
        """Wait until a workflow that has a holder is handed over; False after `max_wait`."""
        held = self._held[machine_id]
        if not self._policy.max_wait:
            return False
        waiter = _Waiter(owner)
        if held.waiters is None:
            held.waiters = deque()
        held.waiters.append(waiter)
        if held.timer is None:
            self._watch(machine_id, held)
        timer = self._clock.call_later(self._policy.max_wait, partial(_give_up, waiter))
        try:
            return await waiter.handed
        except asyncio.CancelledError:
            # Handed over and cancelled in the same iteration: only this call can release it.
            if not waiter.handed.cancelled() and waiter.handed.result():
                self.drop(machine_id, owner)
            raise
        finally:
            timer.cancel()
            if held.waiters and waiter in held.waiters:
                held.waiters.remove(waiter)
            if not held.waiters:
                self._unwatch(held)

    def get(self, machine_id: str) -> Held | None:
        """Return what is known of a workflow's holder."""
        return self._held.get(machine_id)

    def renew(self, machine_id: str, owner: str) -> bool:
        """Hold a workflow for a ttl from now; False when this owner has lost it."""
        held = self._held.get(machine_id)
        if held is None or held.owner != owner:
            return False
        held.until = self._clock.monotonic() + self._ttl
        return True

    def drop(self, machine_id: str, owner: str) -> None:
        """Release a workflow to the next waiter; do nothing if this owner has lost it."""
        held = self._held.get(machine_id)
        if held is not None and held.owner == owner:
            self.free(machine_id)

    def free(self, machine_id: str) -> None:
        """Pass a workflow to the next waiter, regardless of its holder."""
        held = self._held.get(machine_id)
        if held is None:
            return
        if held.waiters:
            self._pass_on(machine_id, held)
        else:
            del self._held[machine_id]

    def held(self) -> frozenset[str]:
        """Return what is held at this moment."""
        now = self._clock.monotonic()
        return frozenset(key for key, held in self._held.items() if held.until > now)

    def waiting(self) -> int:
        """Return how many wait."""
        return sum(len(held.waiters) for held in self._held.values() if held.waiters)

    def clear(self) -> None:
        """Drop every lease."""
        for machine_id in list(self._held):
            self.free(machine_id)

    def _pass_on(self, machine_id: str, held: Held) -> None:
        while held.waiters:
            waiter = held.waiters.popleft()
            if not waiter.handed.done():
                held.owner = waiter.owner
                held.until = self._clock.monotonic() + self._ttl
                waiter.handed.set_result(True)
                self._unwatch(held)
                if held.waiters:
                    self._watch(machine_id, held)
                return
        self._unwatch(held)
        del self._held[machine_id]

    def _watch(self, machine_id: str, held: Held) -> None:
        """Wake the next waiter when the lease runs out."""
        left = timedelta(seconds=max(0.0, held.until - self._clock.monotonic()))
        # Never early by a rounding: a timer that finds the lease alive would ask again immediately.
        held.timer = self._clock.call_later(
            left + timedelta.resolution, partial(self._run_out, machine_id, held)
        )

    def _unwatch(self, held: Held) -> None:
        if held.timer is not None:
            held.timer.cancel()
            held.timer = None

    def _run_out(self, machine_id: str, held: Held) -> None:
        held.timer = None
        if not held.waiters:
            return
        if held.until > self._clock.monotonic():
            self._watch(machine_id, held)
        else:
            self._pass_on(machine_id, held)

    def _sweep(self, now: float) -> None:
        """Drop what holders left behind that ended without a word."""
        hold = self._policy.max_hold.total_seconds()
        self._next_sweep = now + hold
        for machine_id, held in list(self._held.items()):
            if held.until + hold <= now and not held.waiters:
                del self._held[machine_id]


def _give_up(waiter: _Waiter) -> None:
    if not waiter.handed.done():
        waiter.handed.set_result(False)
