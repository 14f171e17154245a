"""The transport: delivers at least once, in no order, from a process that is never killed."""

from dataclasses import dataclass, field
from random import Random

from arvo_core import ArvoEvent


@dataclass(slots=True)
class EventQueue:
    """Every event that is published and not yet acknowledged.

    An event goes to a worker and comes back when that worker is killed. Some are delivered twice
    for no reason, as brokers do.
    """

    random: Random
    redelivered: int = 0
    """How often an event came back, or was delivered again for no reason."""
    _ready: list[ArvoEvent] = field(default_factory=list)
    _taken: dict[int, tuple[int, ArvoEvent]] = field(default_factory=dict)
    _waiting: int = 0
    _deliveries: int = 0

    @property
    def empty(self) -> bool:
        """Whether every event is acknowledged."""
        return not (self._ready or self._taken or self._waiting)

    def load_of(self, worker: int) -> int:
        """Return how many events a worker has."""
        return sum(holder == worker for holder, _ in self._taken.values())

    def put(self, event: ArvoEvent) -> None:
        """Publish an event."""
        self._ready.append(event)

    def take(self, worker: int) -> tuple[int, ArvoEvent] | None:
        """Give any event to a worker, with its delivery number; None when no event waits."""
        if not self._ready:
            return None
        index = self.random.randrange(len(self._ready))
        self._ready[index], self._ready[-1] = self._ready[-1], self._ready[index]
        event = self._ready.pop()
        self._deliveries += 1
        self._taken[self._deliveries] = worker, event
        return self._deliveries, event

    def acknowledge(self, delivery: int) -> ArvoEvent | None:
        """Forget an event and return it; None if its worker was given up, so that it comes again."""
        _, event = self._taken.pop(delivery, (0, None))
        if event is not None and self.random.random() < 0.02:
            self.redelivered += 1
            self._ready.append(event)
        return event

    def set_aside(self, delivery: int) -> ArvoEvent | None:
        """Take an event from its worker, to be tried later; None when that happened before."""
        _, event = self._taken.pop(delivery, (0, None))
        self._waiting += event is not None
        return event

    def put_back(self, event: ArvoEvent) -> None:
        """Publish an event that was set aside."""
        self._waiting -= 1
        self._ready.append(event)

    def give_up(self, worker: int) -> None:
        """Take back what a worker has not acknowledged."""
        for delivery, (holder, event) in list(self._taken.items()):
            if holder == worker:
                del self._taken[delivery]
                self.redelivered += 1
                self._ready.append(event)
