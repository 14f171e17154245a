"""What the execution of a workflow works with between two events.

A workflow consumes an event and emits others, again and again; one such step is an *entry*. What
must be known of earlier steps follows from their entries: which events were seen, which answers
have come to the latest requests, and which outputs may still have to be sent. `WorkflowState` holds
just that beside the members that are rewritten at each step. How it is stored is the business of a
codec: `_record` or `_journal`.
"""

from collections.abc import Collection as AnyCollection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from arvo_core import ArvoEvent

from ._collection import Collection
from ._kept_event import KeptEvent, event_hash
from ._memory import Record
from ._open_requests import OpenRequests
from ._owed_outputs import ARRIVED_AFTER, OwedOutputs
from ._pending_timers import NO_TIMERS, TIMER_DUE, PendingTimer
from ._seen_events import SeenEvents


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
    at: int | None = None
    """When it was stored, in milliseconds since 1970; None when it is not known."""
    delayed: Sequence[str] = ()
    """The ids of requests that leave later; an output is one that leaves now."""
    dropped: Sequence[str] = ()
    """The ids of earlier such requests that were cancelled before they left."""


@dataclass(slots=True, kw_only=True)
class StepFailure:
    """A step that failed, and so ended its workflow. It is no entry: its event can come again."""

    consumed: KeptEvent
    """The event at which user code raised; its `data` is null where it was too large to be stored."""
    outputs: Sequence[KeptEvent]
    """The system errors that were emitted."""
    attempt: int
    """How often the workflow has failed so far, this time included."""
    timers: Mapping[str, PendingTimer] = field(default_factory=lambda: NO_TIMERS)
    """Those that were pending. They fire no more, unless the step is run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriedStep:
    """The latest failure that was taken back, so that its step could be run again."""

    attempt: int
    """How often the workflow had failed by then. It enters the ids of all later outputs."""
    event: str
    """The hash of the event at which user code had raised."""


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
    error: JsonValue = None
    """What user code raised, by name, message and stack; None while the workflow has not failed."""
    failed: bool = False
    """Whether user code has raised, which ended the workflow."""
    failure: StepFailure | None = None
    """The step that raised; None while none has, or where it was not stored."""
    retried: RetriedStep | None = None
    """The latest failure that was taken back; None while none was."""
    members: Record = field(default_factory=dict)
    """What is rewritten at each step beside all that: a context, a machine's state."""
    timers: Mapping[str, PendingTimer] = field(default_factory=lambda: NO_TIMERS)
    """The pending timers by key, in the order of setting; replaced, never changed."""
    stored_timers: Mapping[str, PendingTimer] = field(default_factory=lambda: NO_TIMERS)
    """Those of the record that was loaded: its memory has the earliest in its index."""
    collection: Collection | None = None
    """The latest requests with their answers. None when nothing was asked yet, or the workflow does
    not collect answers."""
    latest: WorkflowEntry | None = None
    """The latest step; None when it is not known, as of a workflow that has ended."""
    seen: SeenEvents = field(default_factory=SeenEvents)
    owed: OwedOutputs = field(default_factory=OwedOutputs)
    open: OpenRequests | None = None
    """The requests that wait for an answer, where only such answers are taken; None where any is."""
    arrived_known: bool = False
    """Whether no output is owed that must have arrived by now; not known of what was stored."""

    @property
    def unanswered(self) -> AnyCollection[str]:
        """The ids of the latest requests that have no answer."""
        return () if self.collection is None else self.collection.unanswered

    @property
    def ended(self) -> bool:
        """Whether it has completed or failed."""
        return self.failed or self.status == "done"

    @property
    def failures(self) -> int:
        """How often it has failed so far, as far as that was stored."""
        if self.failure is not None:
            return self.failure.attempt
        return 0 if self.retried is None else self.retried.attempt

    def has_seen(self, event: ArvoEvent, *, is_init: bool) -> bool:
        """Return whether the event was consumed before.

        Args:
            event: The event.
            is_init: Whether it is of the workflow's init type.
        """
        hashed = event_hash(event.source, event.id)
        if hashed in self.seen or (
            self.failure is not None and hashed == self.failure.consumed.hash
        ):
            return True
        # The TypeScript version does not store the source of the init event.
        return is_init and self.seen.init == event_hash("", event.id)

    def owed_for(self, event: ArvoEvent, *, is_init: bool) -> Iterator[KeptEvent]:
        """Return what to send again for an event seen before, oldest first.

        For the init event that is everything, so that delivering it again resumes the workflow; see
        `all_owed`.
        """
        if is_init:
            return self.all_owed()
        hashed = event_hash(event.source, event.id)
        if self.failure is not None and hashed == self.failure.consumed.hash:
            return iter(self.failure.outputs)
        return self.owed.by(hashed)

    def all_owed(self) -> Iterator[KeptEvent]:
        """Return all that may have to be sent again, oldest first.

        Of a workflow that has ended, that is what its end emitted: nobody waits for the rest.
        """
        if self.failure is not None:
            return iter(self.failure.outputs)
        return self.owed.newest() if self.ended else self.owed.all()

    def awaited(self) -> Iterator[KeptEvent]:
        """Return the requests that still wait for an answer, oldest first."""
        return (output for output in self.owed.all() if not self.ended and self._is_awaited(output))

    def fail(
        self, error: JsonValue, *, consumed: KeptEvent, outputs: Sequence[KeptEvent]
    ) -> StepFailure:
        """End the workflow, as a step has failed, and return what is kept of that.

        Args:
            error: What was raised, by name, message and stack.
            consumed: The event at which it was raised.
            outputs: The system errors that are emitted.
        """
        failure = StepFailure(
            consumed=consumed, outputs=outputs, attempt=self.failures + 1, timers=self.timers
        )
        self.failure = failure
        self.timers = NO_TIMERS
        self.failed = True
        self.error = error
        return failure

    def reopen(self) -> None:
        """Take the failure back, so that its step can be run again.

        Raises:
            ValueError: The workflow has not failed, or the failure was not stored.
        """
        if self.failure is None:
            raise ValueError("no failure is stored")
        self.retried = RetriedStep(attempt=self.failure.attempt, event=self.failure.consumed.hash)
        self.timers = self.failure.timers
        self.failure = None
        self.failed = False
        self.error = None

    def keep_entries_only(self) -> None:
        """Drop what its record says, which may be large; see `apply_head` of `_record`."""
        self.members = {}
        self.error = self.failure = self.retried = None
        self.timers = self.stored_timers = NO_TIMERS

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
            if self.collection is not None:
                self.collection.add(request, entry.consumed)
            if self.open is not None:
                self.open.answer(request)
        if entry.dropped and self.collection is not None:
            # First, as one that is cancelled may be sent anew with its id.
            self.collection.drop(entry.dropped)
        asked = entry.collects and bool(entry.outputs or entry.delayed)
        # What a timer makes a workflow ask is one more: the answers so far stay collected.
        replaced = asked and entry.consumed.type != TIMER_DUE
        if replaced:
            self.collection = Collection.of(entry.outputs, delayed=entry.delayed)
        elif asked:
            self.collection = self.collection or Collection({})
            self.collection.extend([*(output.id for output in entry.outputs), *entry.delayed])
        if self.open is not None:
            self.open.add(entry.outputs)
        event = entry.consumed.hash
        self.seen.add(event)
        self._forget_arrived(entry, all_steps=replaced or not self.arrived_known)
        self.owed.add(event, entry.outputs, at=entry.at)
        self.latest = entry
        return self.owed.fit(window)

    def _forget_arrived(self, entry: WorkflowEntry, *, all_steps: bool) -> None:
        """Drop outputs that must have arrived by now.

        Of the steps looked at before, only the one that has just come of age can owe any, unless
        its requests are no longer waited for.
        """
        if all_steps:
            latest = self.seen.latest(ARRIVED_AFTER)
            if latest is not None:
                self.owed.forget_arrived(latest, awaited=self._is_awaited)
            self.arrived_known = True
        elif (event := self.seen.before_latest(ARRIVED_AFTER)) is not None:
            self.owed.arrived(event, awaited=self._is_awaited)

    def _is_awaited(self, output: KeptEvent) -> bool:
        return output.asks and (self.collection is None or output.id in self.collection)
