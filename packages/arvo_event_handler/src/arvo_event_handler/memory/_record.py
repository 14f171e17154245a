"""A workflow's record, in two shapes, and the names of its members.

The TypeScript version's has everything in it. `redelivery` is a member of ours, which the other
version leaves alone: the hashes of events seen, the outputs owed by step, and the open requests. A
record without it was written there; what was seen and is owed is then read off its other members.
Beside a journal, the record has only what is rewritten at each step, and names the last entry.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, Final

from pydantic import JsonValue
from typing_extensions import TypeIs

from arvo_event_handler._errors import UnreadableRecordError

from ._collection import Collection
from ._kept_event import KeptEvent, WireEvent, event_hash
from ._memory import Record
from ._open_requests import OpenRequests
from ._owed_outputs import OwedOutputs, OwedStep
from ._pending_timers import NO_TIMERS, TIMERS, read_timers, write_timers
from ._record_codec import decode_record, encode_record
from ._seen_events import SeenEvents
from ._state import RetriedStep, StepFailure, WorkflowEntry, WorkflowState

CONTEXT: Final = "state$$"
"""The member that holds a resumable's context."""
MACHINE_STATE: Final = "state"
"""The member that holds where a machine is, as XState stores it."""
MACHINE_VALUE: Final = "value"
"""The member that holds the state value of a machine, for people who look at records."""
MACHINE_DEFINITION: Final = "machineDefinition"
"""The member that holds the machine's chart."""
JOURNAL: Final = "journal"
"""The member that names the last entry, where the entries stand in a journal."""
_FAILURE: Final = "failure"
_ATTEMPT: Final = "attempt"
_REDELIVERY: Final = "redelivery"

_SHARED: Final = frozenset(
    (
        "executionStatus",
        "status",
        "initEventId",
        "parentSubject",
        "subject",
        "error",
        "events",
        _FAILURE,
        _ATTEMPT,
        JOURNAL,
        TIMERS,
        _REDELIVERY,
    )
)


def read_state(record: Record, subject: str, *, services: Container[str] = ()) -> WorkflowState:
    """Return the state that a record in the TypeScript shape says; it shares what is in the record.

    Args:
        record: As stored.
        subject: The workflow's.
        services: The types of the events that the workflow's services accept and answer: an output
            of such a type awaits an answer.

    Raises:
        UnreadableRecordError: It is not the record of a workflow.
    """
    state = read_head(record, subject)
    events = _events(record)
    state.latest = _latest(events, services)
    state.collection = _collection(events.get("expected"))
    state.seen, state.owed, state.open = _redelivery(record, events, state.latest, services)
    return state


def read_head(record: Record, subject: str) -> WorkflowState:
    """Return what a record says beside what follows from entries; it shares what is in the record.

    Raises:
        UnreadableRecordError: It is not the record of a workflow.
    """
    state = WorkflowState(subject=subject, init_event_id="", parent_subject=None)
    apply_head(state, record)
    return state


def apply_head(state: WorkflowState, record: Record) -> None:
    """Give a state, which says what follows from entries, what `read_head` reads of a record.

    Raises:
        UnreadableRecordError: It is not the record of a workflow.
    """
    failed = record.get("executionStatus") == "failure"
    status = record.get("status", "active" if failed else None)
    if not (failed or record.get("executionStatus") == "normal") or not isinstance(status, str):
        raise UnreadableRecordError("its executionStatus or status is missing or unknown")
    init_event_id = record.get("initEventId", "" if failed else None)
    if not isinstance(init_event_id, str):
        raise UnreadableRecordError("its initEventId is not a string")
    parent_subject = record.get("parentSubject")
    if not isinstance(parent_subject, str | None):
        raise UnreadableRecordError("its parentSubject is not a string")
    state.init_event_id = init_event_id
    state.parent_subject = parent_subject
    state.status = status
    state.failed = failed
    state.error = record.get("error")
    state.failure = _read_failure(record.get(_FAILURE))
    state.retried = _read_retried(record.get(_ATTEMPT))
    timers = record.get(TIMERS)
    state.timers = state.stored_timers = NO_TIMERS if timers is None else read_timers(timers)
    state.members = {name: value for name, value in record.items() if name not in _SHARED}


def write_state(state: WorkflowState) -> Record:
    """Return the record in the TypeScript shape that says a state; it shares what is in the state.

    Raises:
        UnreadableRecordError: An event of an earlier step is damaged.
    """
    record = _head(state)
    record.update(state.members)
    if state.latest is not None:
        record["events"] = _written_events(state.latest, state.collection)
    record[_REDELIVERY] = _written_redelivery(state)
    return record


def write_tombstone(state: WorkflowState) -> Record:
    """Return what is kept of a workflow that has completed.

    That is enough to recognise late events and to repeat the workflow's end.

    Raises:
        UnreadableRecordError: An event of an earlier step is damaged.
    """
    record = _head(state)
    record[_REDELIVERY] = _written_redelivery(state)
    return record


def write_head(state: WorkflowState) -> Record:
    """Return a state's record without what follows from entries, for a journal to add its member.

    A machine's chart is not among it: it is the same at each step, and the code has it.
    """
    record = _head(state)
    record.update(state.members)
    record.pop(MACHINE_DEFINITION, None)
    # A program that knows no journal refuses this, instead of going on with nothing owed.
    record[_REDELIVERY] = {}
    return record


def _head(state: WorkflowState) -> Record:
    record: Record = {"executionStatus": "failure" if state.failed else "normal"}
    if state.init_event_id:  # the TypeScript version stores none of these of a failure
        record["status"] = state.status
        record["initEventId"] = state.init_event_id
        record["parentSubject"] = state.parent_subject
    record["subject"] = state.subject
    if state.failed:
        record["error"] = state.error
    if state.failure is not None:
        failure: dict[str, Any] = {
            "in": state.failure.consumed.wire(),
            "out": _wires(state.failure.outputs),
            "attempt": state.failure.attempt,
        }
        if state.failure.timers:
            failure[TIMERS] = write_timers(state.failure.timers)
        record[_FAILURE] = failure
    if state.retried is not None:
        record[_ATTEMPT] = [state.retried.attempt, state.retried.event]
    if state.timers:
        record[TIMERS] = write_timers(state.timers)
    return record


def shown_to_users(record: Record) -> Record:
    """Return a copy of a record without the user's context and what is Arvo's own.

    Raises:
        MachineMemoryError: The record is not JSON.
    """
    hidden = {_REDELIVERY, JOURNAL, CONTEXT}
    shown = {name: value for name, value in record.items() if name not in hidden}
    return decode_record(encode_record(shown))


def _events(record: Record) -> dict[str, JsonValue]:
    events = record.get("events")
    if events is None:
        return {}
    if not isinstance(events, dict):
        raise UnreadableRecordError("its events is not an object")
    return events


def _latest(events: Mapping[str, JsonValue], services: Container[str]) -> WorkflowEntry | None:
    consumed = events.get("consumed")
    if consumed is None:
        return None
    produced = events.get("produced") or []
    if not _is_event(consumed) or not isinstance(produced, list):
        raise UnreadableRecordError("its events.consumed or events.produced is damaged")
    request = consumed.get("parentid")
    return WorkflowEntry(
        consumed=KeptEvent.of(consumed),
        request=request if isinstance(request, str) else None,
        outputs=_outputs(produced, services),
        collects="expected" in events,
    )


def _read_failure(stored: JsonValue) -> StepFailure | None:
    if stored is None:
        return None
    if isinstance(stored, dict):
        consumed, outputs, attempt = map(stored.get, ("in", "out", "attempt"))
        if _is_event(consumed) and isinstance(outputs, list) and _is_count(attempt):
            return StepFailure(
                consumed=KeptEvent.of(consumed),
                outputs=_outputs(outputs, ()),
                attempt=attempt,
                timers=read_timers(stored[TIMERS]) if TIMERS in stored else NO_TIMERS,
            )
    raise UnreadableRecordError("its failure is damaged")


def _read_retried(stored: JsonValue) -> RetriedStep | None:
    if stored is None:
        return None
    if isinstance(stored, list) and len(stored) == 2:
        attempt, event = stored
        if _is_count(attempt) and isinstance(event, str):
            return RetriedStep(attempt=attempt, event=event)
    raise UnreadableRecordError("its attempt is damaged")


def _collection(stored: JsonValue) -> Collection | None:
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise UnreadableRecordError("its events.expected is not an object")
    return Collection({request: _collected(answers) for request, answers in stored.items()})


def _collected(stored: JsonValue) -> list[KeptEvent]:
    items = stored if isinstance(stored, list) else [stored]
    answers = [KeptEvent.of(each) for each in items if _is_event(each)]
    if not isinstance(stored, list) or len(answers) < len(items):
        raise UnreadableRecordError("a member of its events.expected is not a list of events")
    return answers


def _redelivery(
    record: Record,
    events: Mapping[str, JsonValue],
    latest: WorkflowEntry | None,
    services: Container[str],
) -> tuple[SeenEvents, OwedOutputs, OpenRequests | None]:
    member = record.get(_REDELIVERY)
    if not isinstance(member, dict):
        return *_typescript_redelivery(record, events, latest), None
    hashes, steps = member.get("seen"), member.get("out")
    if not isinstance(hashes, list) or not isinstance(steps, list):
        raise UnreadableRecordError("its redelivery.seen or redelivery.out is not a list")
    seen = [each for each in hashes if isinstance(each, str)]
    if len(seen) < len(hashes):
        raise UnreadableRecordError("a member of its redelivery.seen is not a string")
    owed = OwedOutputs(_owed_step(step, services) for step in steps)
    return SeenEvents(seen), owed, _open(member.get("open"), services)


def _open(stored: JsonValue, services: Container[str]) -> OpenRequests | None:
    try:
        return None if stored is None else OpenRequests.of(stored, answering=services)
    except (TypeError, ValueError) as error:
        raise UnreadableRecordError(f"its open requests: {error}") from error


def _typescript_redelivery(
    record: Record, events: Mapping[str, JsonValue], latest: WorkflowEntry | None
) -> tuple[SeenEvents, OwedOutputs]:
    # The init event's source is not stored, so it is known by its id alone.
    seen = SeenEvents([event_hash("", str(record.get("initEventId")))])
    collection = _collection(events.get("expected"))
    for _, answers in () if collection is None else collection.items():
        for answer in answers:
            seen.add(answer.hash)
    owed = OwedOutputs()
    if latest is not None:
        seen.add(latest.consumed.hash)
        owed.add(latest.consumed.hash, latest.outputs)
    return seen, owed


def _owed_step(stored: JsonValue, services: Container[str]) -> OwedStep:
    if not isinstance(stored, list) or len(stored) != 3:
        raise UnreadableRecordError("a member of its redelivery.out is not a list of three")
    event, outputs, _ = stored
    if not isinstance(event, str) or not isinstance(outputs, list):
        raise UnreadableRecordError("a member of its redelivery.out is damaged")
    return OwedStep(event, _outputs(outputs, services))


def _outputs(stored: Iterable[JsonValue], services: Container[str]) -> list[KeptEvent]:
    outputs: list[KeptEvent] = []
    for output in stored:
        if not isinstance(output, dict) or "id" not in output:
            raise UnreadableRecordError(
                f"it keeps a {type(output).__name__} as an event, or one without id"
            )
        kind = output.get("type")
        outputs.append(KeptEvent.of(output, asks=isinstance(kind, str) and kind in services))
    return outputs


def _written_events(latest: WorkflowEntry, collection: Collection | None) -> dict[str, Any]:
    events: dict[str, Any] = {}
    if latest.collects:
        events["expected"] = written_answers(collection, lambda answer: answer.wire())
    events["consumed"] = latest.consumed.wire()
    events["produced"] = _wires(latest.outputs)
    return events


def written_answers(
    collection: Collection | None, write: Callable[[KeptEvent], WireEvent]
) -> dict[str, list[WireEvent]] | None:
    """Return the answers by request, each as `write` has it; None without a collection."""
    if collection is None:
        return None
    return {request: [write(each) for each in answers] for request, answers in collection.items()}


def _written_redelivery(state: WorkflowState) -> dict[str, Any]:
    redelivery: dict[str, Any] = {
        "seen": list(state.seen),
        # The third said which event had answered last; the version before expects three.
        "out": [[step.event, _wires(step.outputs.values()), None] for step in state.owed],
    }
    if state.open is not None:
        redelivery["open"] = state.open.member()
    return redelivery


def _wires(events: Iterable[KeptEvent]) -> list[WireEvent]:
    return [event.wire() for event in events]


def _is_count(value: object) -> TypeIs[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_event(answer: object) -> TypeIs[WireEvent]:
    return isinstance(answer, dict) and all(
        isinstance(answer.get(name), str) for name in ("id", "source", "type")
    )
