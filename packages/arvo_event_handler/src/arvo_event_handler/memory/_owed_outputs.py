"""The outputs of a workflow that may not have arrived."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from ._kept_event import KeptEvent

OWED_BYTES = 64 * 1024
"""How much JSON the owed outputs may take; the newest step's are kept whatever their size."""
REDELIVERY_WINDOW = 64
"""How many steps' outputs are kept at most, where nobody chose."""
ARRIVED_AFTER = 32
"""Outputs that nobody answers have arrived once so many later events have come."""


class OwedStep:
    """Outputs of one step that may not have arrived.

    Args:
        event: The hash of the event that brought them.
        outputs: In the order in which they were emitted.
        at: When the step was stored, in milliseconds since 1970; None when it is not known.
    """

    __slots__ = ("_size", "at", "event", "outputs")

    def __init__(self, event: str, outputs: Iterable[KeptEvent], *, at: int | None = None) -> None:
        self.event: str = event
        self.at: int | None = at
        self.outputs: dict[str, KeptEvent] = {output.id: output for output in outputs}
        """By their ids."""
        self._size: int | None = None

    @property
    def size(self) -> int:
        """How many bytes the JSON of the outputs has as stored."""
        if self._size is None:
            self._size = sum(output.size for output in self.outputs.values())
        return self._size

    def drop(self, output: str) -> KeptEvent | None:
        """Drop an output, given by its id, and return it; None when it is not among them."""
        dropped = self.outputs.pop(output, None)
        if dropped is not None and self._size is not None:
            self._size -= dropped.size
        return dropped

    def keep(self, wanted: Callable[[KeptEvent], bool]) -> list[KeptEvent]:
        """Drop the outputs that are not wanted, and return them."""
        unwanted = [output for output in self.outputs.values() if not wanted(output)]
        for output in unwanted:
            self.drop(output.id)
        return unwanted


class OwedOutputs:
    """Outputs that may not have arrived, by step, oldest first.

    A crash may fall between the commit and the publishing. So an output is kept until it is known
    to have arrived: by its answer, or by so many later events that it must have.

    Args:
        steps: What was owed before.
    """

    __slots__ = ("_asked", "_steps")

    def __init__(self, steps: Iterable[OwedStep] = ()) -> None:
        self._steps = list(steps)
        self._asked: dict[str, int] = {}
        for step in self._steps:
            self._count(step.outputs.values(), 1)

    def __iter__(self) -> Iterator[OwedStep]:
        return iter(self._steps)

    @property
    def size(self) -> int:
        """How many bytes their JSON has as stored."""
        return sum(step.size for step in self._steps)

    @property
    def asked(self) -> Iterable[str]:
        """The types of those that await an answer, in the order in which they were first asked."""
        return self._asked.keys()

    @property
    def asked_since(self) -> int | None:
        """When the oldest that awaits an answer was stored, in milliseconds since 1970.

        None when none does, or it is not known.
        """
        for step in self._steps:
            for output in step.outputs.values():
                if output.asks:
                    return step.at
        return None

    def by(self, event: str) -> Iterator[KeptEvent]:
        """Return the outputs owed for one event, given by its hash."""
        return (out for step in self._steps if step.event == event for out in step.outputs.values())

    def all(self) -> Iterator[KeptEvent]:
        """Return all of them, oldest first."""
        return (output for step in self._steps for output in step.outputs.values())

    def newest(self) -> Iterator[KeptEvent]:
        """Return those of the newest step that owes any."""
        return (output for step in self._steps[-1:] for output in step.outputs.values())

    def answer(self, request: str) -> None:
        """Drop an output, as its answer has come; under an id used again, all of them."""
        for step in self._steps:
            output = step.drop(request)
            if output is not None:
                self._dropped((output,))

    def add(self, event: str, outputs: Sequence[KeptEvent], *, at: int | None = None) -> None:
        """Keep what an event, given by its hash, has brought; see `OwedStep`."""
        if outputs:
            step = OwedStep(event, outputs, at=at)
            self._steps.append(step)
            self._count(step.outputs.values(), 1)

    def arrived(self, event: str, *, awaited: Callable[[KeptEvent], bool]) -> None:
        """Drop what one event has brought, except for requests that still wait for an answer.

        Args:
            event: The event, given by its hash.
            awaited: Whether an output is such a request.
        """
        for step in self._steps:
            if step.event == event:
                self._dropped(step.keep(awaited))

    def forget_arrived(
        self, latest: Container[str], *, awaited: Callable[[KeptEvent], bool]
    ) -> None:
        """Drop what earlier steps emitted, except for requests that still wait for an answer.

        Args:
            latest: The events, given by their hashes, whose outputs may still be on their way.
            awaited: Whether an output is such a request.
        """
        for step in self._steps:
            if step.event not in latest:
                self._dropped(step.keep(awaited))

    def fit(self, window: int) -> bool:
        """Drop the oldest steps' outputs beyond what is kept; the newest step's always are.

        Those of a collection are the newest step's until another one begins.

        Args:
            window: How many steps' outputs are kept at most.

        Returns:
            Whether outputs were dropped that may not have arrived.
        """
        steps = self._steps
        if len(steps) < 2:
            return False
        begin = max(0, len(steps) - window)
        if len(steps) - begin > 1:
            size = sum(step.size for step in steps[begin:])
            while size > OWED_BYTES and begin < len(steps) - 1:
                size -= steps[begin].size
                begin += 1
        for step in steps[:begin]:
            self._count(step.outputs.values(), -1)
        del steps[:begin]
        return begin > 0

    def _dropped(self, outputs: Iterable[KeptEvent]) -> None:
        self._count(outputs, -1)
        if not all(step.outputs for step in self._steps):
            # A new list: the one before may be gone through just now.
            self._steps = [step for step in self._steps if step.outputs]

    def _count(self, outputs: Iterable[KeptEvent], change: int) -> None:
        for output in outputs:
            if output.asks:
                count = self._asked.get(output.type, 0) + change
                if count:
                    self._asked[output.type] = count
                else:
                    del self._asked[output.type]
