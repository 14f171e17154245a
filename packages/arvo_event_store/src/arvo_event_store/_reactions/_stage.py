"""What a try of an event collects, to be stored with its acknowledgement."""

from collections.abc import Sequence
from dataclasses import replace

from arvo_event_store._append import Append
from arvo_event_store._errors import NotSupportedError
from arvo_event_store._event import Event, NewEvent
from arvo_event_store._expect import Expect
from arvo_event_store._lease import Work
from arvo_event_store._names import check_name
from arvo_event_store._telemetry import TRACEPARENT, with_trace
from arvo_time.telemetry import current_traceparent


class Stage:
    """What a try collects. Nothing of it is stored until the try is over.

    Args:
        cause: The event that is handled, from which new events follow.
    """

    def __init__(self, cause: Event) -> None:
        self._cause = cause
        self._appends: dict[str, Append] = {}
        self._work: list[Work] = []
        self._closed = False

    @property
    def appends(self) -> Sequence[Append]:
        """What to append, each stream once."""
        return [*self._appends.values()]

    @property
    def work(self) -> Sequence[Work]:
        """What to do before it is appended."""
        return self._work

    @property
    def expects(self) -> bool:
        """Whether an append depends on what its stream is like."""
        return any(each.expect is not Expect.ANY for each in self._appends.values())

    def close(self) -> None:
        """Take nothing more: the try is over. Idempotent."""
        self._closed = True

    def append(self, append: Append) -> None:
        """Stage an append.

        Raises:
            TypeError: The stream is not a string, or an event is not a `NewEvent`.
            InvalidEventError: The stream breaks the rules for names.
            NotSupportedError: It has an expectation, and events for the stream are staged already.
            RuntimeError: The try is over.
        """
        self._check_open()
        stream = check_name(append.stream, path="stream")
        if not all(isinstance(each, NewEvent) for each in append.events):
            raise TypeError(f"events must be a list of NewEvent, got {append.events!r}")
        if not append.events:
            return
        caused = [self._caused(each) for each in append.events]
        before = self._appends.get(stream)
        if before is None:
            self._appends[stream] = replace(append, events=caused)
            return
        if append.expect is not Expect.ANY:
            raise NotSupportedError(
                f"this call has staged events for stream {stream!r} already, which its reads do not "
                "see; decide all of them in one `act`"
            )
        self._appends[stream] = replace(before, events=[*before.events, *caused])

    def do(self, work: Work) -> None:
        """Stage a statement or a function.

        Raises:
            RuntimeError: The try is over.
        """
        self._check_open()
        self._work.append(work)

    def _caused(self, event: NewEvent) -> NewEvent:
        """Return an event with what it follows from."""
        cause = self._cause
        correlation, causation = event.correlation, event.causation
        return replace(
            event,
            correlation=cause.correlation if correlation is None else correlation,
            causation=cause.id if causation is None else causation,
            meta=with_trace(event.meta, current_traceparent() or cause.meta.get(TRACEPARENT)),
        )

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this call is over; what it stages now would never be stored")


def merged_appends(stages: Sequence[Stage]) -> Sequence[Append]:
    """Return the appends of several tries, each stream once, in their order."""
    if len(stages) == 1:
        return stages[0].appends
    merged: dict[str, Append] = {}
    for stage in stages:
        for append in stage.appends:
            before = merged.get(append.stream)
            if before is not None:
                append = replace(before, events=[*before.events, *append.events])
            merged[append.stream] = append
    return [*merged.values()]
