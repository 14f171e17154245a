"""What the execution of a workflow works with between two events.

A workflow consumes an event and emits others, again and again; one such step is an *entry*. What
must be known of earlier steps follows from their entries: which events were seen, which answers
have come to the latest requests, and which outputs may still have to be sent. `WorkflowState` holds
just that beside the members that are rewritten at each step. How it is stored is the business of a
codec, such as `_record`.
"""

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import TypeAlias

from pydantic import JsonValue
from pydantic_core import to_json

from arvo_core import ArvoEvent

from ._memory import Record

WireEvent: TypeAlias = dict[str, JsonValue]
"""An event as on the wire."""

SEEN_LIMIT = 1024
"""How many consumed events are remembered; the init event always is."""
OWED_BYTES = 64 * 1024
"""How much JSON the owed outputs may take; the newest step's are kept whatever their size."""
ARRIVED_AFTER = 32
"""Outputs that nobody answers have arrived once so many later events have come."""


# An event is hashed to be looked up, and again to be noted.
@lru_cache(maxsize=256)
def event_hash(source: str, event_id: str) -> str:
    """Return the short hash by which an event is remembered."""
    return blake2b(to_json([source, event_id]), digest_size=8).hexdigest()


class KeptEvent:
    """An event of an earlier step: what it is known by, and the rest when it is looked at.

    Args:
        id: The event's id.
        source: The event's source; "" for an output where a codec does not say it, as it is the
            workflow's.
        type: The event's type; "" for an output that asks nothing where a codec does not say it.
        read: Returns the event as on the wire.
        asks: Whether it is an output that awaits an answer.
        size: How many bytes its JSON has as stored; None has it measured when it is asked for.
    """

    __slots__ = ("_read", "_size", "asks", "id", "source", "type")

    def __init__(
        self,
        *,
        id: str,
        source: str,
        type: str,
        read: Callable[[], WireEvent],
        asks: bool = False,
        size: int | None = None,
    ) -> None:
        self.id: str = id
        self.source: str = source
        self.type: str = type
        self.asks: bool = asks
        self._read = read
        self._size = size

    @classmethod
    def of(cls, wire: WireEvent, *, asks: bool = False, size: int | None = None) -> "KeptEvent":
        """Return an event that is at hand as on the wire."""
        return cls(
            id=str(wire["id"]),
            source=str(wire.get("source")),
            type=str(wire.get("type")),
            read=lambda: wire,
            asks=asks,
            size=size,
        )

    @property
    def hash(self) -> str:
        """The short hash by which it is remembered."""
        return event_hash(self.source, self.id)

    @property
    def size(self) -> int:
        """How many bytes its JSON has as stored."""
        if self._size is None:
            self._size = len(to_json(self.wire()))
        return self._size

    def wire(self) -> WireEvent:
        """Return it as on the wire; do not change it.

        Raises:
            UnreadableRecordError: What is stored is damaged.
        """
        return self._read()


@dataclass(slots=True, kw_only=True)
class WorkflowEntry:
    """One step: the event that was consumed and what it made the workflow emit."""

    consumed: KeptEvent
    request: str | None
    """The id of the request that the consumed event answers; None if it answers none."""
    outputs: Sequence[KeptEvent] = ()
    """In the order in which they were emitted."""
    collects: bool
    """Whether outputs begin a new collection of answers, as those of a resumable do."""


class SeenEvents:
    """The hashes of consumed events, oldest first: the init event's and the latest 1,023.

    Args:
        hashes: What was seen before.
    """

    __slots__ = ("_hashes", "_known")

    def __init__(self, hashes: Iterable[str] = ()) -> None:
        self._hashes = deque(hashes)
        self._known = set(self._hashes)

    def __contains__(self, event: object) -> bool:
        return event in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._hashes)

    @property
    def init(self) -> str | None:
        """The init event's hash; None before it was consumed."""
        return self._hashes[0] if self._hashes else None

    def add(self, event: str) -> None:
        """Remember an event; one that is known keeps its place."""
        if event in self._known:
            return
        self._hashes.append(event)
        self._known.add(event)
        if len(self._hashes) > SEEN_LIMIT:
            oldest = self._hashes[1]
            del self._hashes[1]
            self._known.discard(oldest)

    def latest(self, count: int) -> set[str] | None:
        """Return the hashes of the latest events; None while there are no more than `count`."""
        if len(self._hashes) <= count:
            return None
        return set(islice(reversed(self._hashes), count))


@dataclass(slots=True)
class OwedStep:
    """Outputs of one step that may not have arrived."""

    event: str
    """The hash of the event that brought them."""
    outputs: dict[str, KeptEvent]
    """By their ids, in the order in which they were emitted."""


class OwedOutputs:
    """Outputs that may not have arrived, by step, oldest first.

    A crash may fall between the commit and the publishing. So an output is kept until it is known
    to have arrived: by its answer, or by so many later events that it must have.

    Args:
        steps: What was owed before.
    """

    __slots__ = ("_steps",)

    def __init__(self, steps: Iterable[OwedStep] = ()) -> None:
        self._steps = list(steps)

    def __iter__(self) -> Iterator[OwedStep]:
        return iter(self._steps)

    def by(self, event: str) -> Iterator[KeptEvent]:
        """Return the outputs owed for one event, given by its hash."""
        return (out for step in self._steps if step.event == event for out in step.outputs.values())

    def all(self) -> Iterator[KeptEvent]:
        """Return all of them, oldest first."""
        return (output for step in self._steps for output in step.outputs.values())

    def answer(self, request: str) -> None:
        """Drop an output, as its answer has come; under an id used again, all of them."""
        for step in self._steps:
            step.outputs.pop(request, None)
        self._steps = [step for step in self._steps if step.outputs]

    def add(self, event: str, outputs: Sequence[KeptEvent]) -> None:
        """Keep what an event, given by its hash, has brought."""
        if outputs:
            self._steps.append(OwedStep(event, {output.id: output for output in outputs}))

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
                step.outputs = {
                    name: output for name, output in step.outputs.items() if awaited(output)
                }
        self._steps = [step for step in self._steps if step.outputs]

    def fit(self, window: int) -> bool:
        """Drop the oldest steps' outputs beyond what is kept; the newest step's always are.

        Those of a collection are the newest step's until another one begins.

        Args:
            window: How many steps' outputs are kept at most.

        Returns:
            Whether outputs were dropped that may not have arrived.
        """
        kept = self._steps[-window:]
        if len(kept) > 1:
            sizes = [sum(output.size for output in step.outputs.values()) for step in kept]
            while len(kept) > 1 and sum(sizes) > OWED_BYTES:
                del kept[0], sizes[0]
        dropped = len(kept) < len(self._steps)
        self._steps = kept
        return dropped


@dataclass(slots=True, kw_only=True)
class WorkflowState:
    """One workflow between two events."""

    subject: str
    init_event_id: str
    """The id of the event that started it; "" where the TypeScript version has not stored it, as of
    a workflow that failed."""
    parent_subject: str | None
    """The parent workflow's subject; None at the root."""
    status: str = "active"
    """`active`, or `done` once it has completed; a failure leaves it as it was."""
    failed: bool = False
    """Whether user code has raised, which ended the workflow."""
    error: JsonValue = None
    """What it raised, by name, message and stack; None while it has not failed."""
    members: Record = field(default_factory=dict)
    """What is rewritten at each step beside all that: a context, a machine's state."""
    answers: dict[str, list[KeptEvent]] | None = None
    """The ids of the latest requests, in their order, with the answers so far. None when nothing
    was asked yet, or the workflow does not collect answers."""
    latest: WorkflowEntry | None = None
    """The latest step; None when it is not known, as of a workflow that has ended."""
    seen: SeenEvents = field(default_factory=SeenEvents)
    owed: OwedOutputs = field(default_factory=OwedOutputs)
    open: JsonValue = None
    """The requests that wait for an answer, where only such answers are taken; None where any is."""

    def unanswered(self, *, but: str | None) -> list[str]:
        """Return the ids of the latest requests that have no answer, except for `but`."""
        answers = self.answers or {}
        return [name for name, collected in answers.items() if not collected and name != but]

    @property
    def ended(self) -> bool:
        """Whether it has completed or failed."""
        return self.failed or self.status == "done"

    def has_seen(self, event: ArvoEvent, *, is_init: bool) -> bool:
        """Return whether the event was consumed before.

        Args:
            event: The event.
            is_init: Whether it is of the workflow's init type.
        """
        if event_hash(event.source, event.id) in self.seen:
            return True
        # The TypeScript version does not store the source of the init event.
        return is_init and self.seen.init == event_hash("", event.id)

    def owed_for(self, event: ArvoEvent, *, is_init: bool) -> Iterator[KeptEvent]:
        """Return what to send again for an event seen before, oldest first.

        For the init event that is everything, so that starting a workflow again resumes it.
        """
        return self.owed.all() if is_init else self.owed.by(event_hash(event.source, event.id))

    def post(self, entry: WorkflowEntry, *, window: int) -> bool:
        """Account for one more step.

        Args:
            entry: The step.
            window: How many steps' outputs are kept at most; see `OwedOutputs.fit`.

        Returns:
            Whether outputs had to be dropped that may not have arrived.
        """
        request = entry.request
        if request is not None:
            self.owed.answer(request)
            if self.answers is not None and request in self.answers:
                self.answers[request].append(entry.consumed)
        if entry.collects and entry.outputs:
            self.answers = {output.id: [] for output in entry.outputs}
        collected = self.answers if entry.collects else None

        def is_awaited(output: KeptEvent) -> bool:
            return output.asks and (collected is None or output.id in collected)

        event = entry.consumed.hash
        self.seen.add(event)
        latest = self.seen.latest(ARRIVED_AFTER)
        if latest is not None:
            self.owed.forget_arrived(latest, awaited=is_awaited)
        self.owed.add(event, entry.outputs)
        self.latest = entry
        return self.owed.fit(window)
