"""A workflow's state as the TypeScript version stores it, and the names of a record's members.

`redelivery` is a member of ours, which the other version leaves alone: the hashes of events seen,
the outputs owed by step, and the open requests. A record without it was written there; what was
seen and is owed is then read off its other members.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from pydantic import JsonValue
from typing_extensions import TypeIs

from arvo_event_handler._errors import UnreadableRecordError

from ._memory import Record
from ._record_codec import decode_record, encode_record
from ._state import (
    KeptEvent,
    OwedOutputs,
    OwedStep,
    SeenEvents,
    WireEvent,
    WorkflowEntry,
    WorkflowState,
    event_hash,
)

CONTEXT: Final = "state$$"
"""The member that holds a resumable's context."""
MACHINE_STATE: Final = "state"
"""The member that holds where a machine is, as XState stores it."""
MACHINE_VALUE: Final = "value"
"""The member that holds the state value of a machine, for people who look at records."""
MACHINE_DEFINITION: Final = "machineDefinition"
"""The member that holds the machine's chart."""
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
        _REDELIVERY,
    )
)
# What an ended workflow must still know: enough to recognise late events and repeat its end.
_TOMBSTONE: Final = _SHARED - {"events"}


def read_state(record: Record, subject: str, *, services: Container[str] = ()) -> WorkflowState:
    """Return the state that a record says; it shares what is in the record.

    Args:
        record: As stored.
        subject: The workflow's.
        services: The types of the events that the workflow's services accept and answer: an output
            of such a type awaits an answer.

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
    events = _events(record)
    latest = _latest(events, services)
    seen, owed, open_requests = _redelivery(record, events, latest, services)
    return WorkflowState(
        subject=subject,
        init_event_id=init_event_id,
        parent_subject=parent_subject,
        status=status,
        failed=failed,
        error=record.get("error"),
        members={name: value for name, value in record.items() if name not in _SHARED},
        answers=_answers(events.get("expected")),
        latest=latest,
        seen=seen,
        owed=owed,
        open=open_requests,
    )


def write_state(state: WorkflowState) -> Record:
    """Return the record that says a state; it shares what is in the state."""
    record: Record = {"executionStatus": "failure" if state.failed else "normal"}
    if state.init_event_id:  # the TypeScript version stores none of these of a failure
        record["status"] = state.status
        record["initEventId"] = state.init_event_id
        record["parentSubject"] = state.parent_subject
    record["subject"] = state.subject
    if state.failed:
        record["error"] = state.error
    else:
        record.update(state.members)
        if state.latest is not None:
            record["events"] = _written_events(state.latest, state.answers)
    redelivery: dict[str, Any] = {
        "seen": list(state.seen),
        # The third said which event had answered last; the version before expects three.
        "out": [[step.event, _wires(step.outputs.values()), None] for step in state.owed],
    }
    if state.open is not None:
        redelivery["open"] = state.open
    record[_REDELIVERY] = redelivery
    return record


def tombstone(record: Record) -> Record:
    """Return what a leased memory keeps of a workflow that has ended."""
    return {name: value for name, value in record.items() if name in _TOMBSTONE}


def shown_to_users(record: Record) -> Record:
    """Return a copy of a record without the user's context and what is Arvo's own.

    Raises:
        MachineMemoryError: The record is not JSON.
    """
    shown = {name: value for name, value in record.items() if name not in {_REDELIVERY, CONTEXT}}
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


def _answers(stored: JsonValue) -> dict[str, list[KeptEvent]] | None:
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise UnreadableRecordError("its events.expected is not an object")
    return {request: _collected(answers) for request, answers in stored.items()}


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
) -> tuple[SeenEvents, OwedOutputs, JsonValue]:
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
    return SeenEvents(seen), owed, member.get("open")


def _typescript_redelivery(
    record: Record, events: Mapping[str, JsonValue], latest: WorkflowEntry | None
) -> tuple[SeenEvents, OwedOutputs]:
    # The init event's source is not stored, so it is known by its id alone.
    seen = SeenEvents([event_hash("", str(record.get("initEventId")))])
    for answers in (_answers(events.get("expected")) or {}).values():
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
    return OwedStep(event, {output.id: output for output in _outputs(outputs, services)})


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


def _written_events(
    latest: WorkflowEntry, answers: Mapping[str, list[KeptEvent]] | None
) -> dict[str, Any]:
    events: dict[str, Any] = {}
    if latest.collects:
        events["expected"] = answers and {
            request: _wires(collected) for request, collected in answers.items()
        }
    events["consumed"] = latest.consumed.wire()
    events["produced"] = _wires(latest.outputs)
    return events


def _wires(events: Iterable[KeptEvent]) -> list[WireEvent]:
    return [event.wire() for event in events]


def _is_event(answer: object) -> TypeIs[WireEvent]:
    return isinstance(answer, dict) and all(
        isinstance(answer.get(name), str) for name in ("id", "source", "type")
    )
