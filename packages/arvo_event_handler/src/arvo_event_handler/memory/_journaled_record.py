"""The record of a workflow that has a journal: beside it, or standing alone with it inside.

Beside its journal a record names the last entry. For those who know the four calls only, a memory
puts both together: the newest base and the entries after it become members of the record. Such a
record, and one in the TypeScript shape, is taken apart again at its next step.
"""

from collections.abc import Collection as AnyCollection, Iterable, Mapping
from typing import Any

from pydantic import JsonValue

from arvo_event_handler._errors import TransactionViolation, UnreadableRecordError

from ._journal import (
    lacks_beginning,
    named_segments,
    open_segment,
    read_lines,
    read_segments,
    replay,
    write_base,
)
from ._journal_entry import (
    START,
    Mark,
    read_mark,
    whole_event,
    write_entry,
)
from ._kept_state import kept_state_again
from ._memory import Record
from ._open_requests import OpenRequests
from ._owed_outputs import REDELIVERY_WINDOW
from ._record import (
    CONTEXT,
    JOURNAL,
    MACHINE_DEFINITION,
    MACHINE_STATE,
    read_head,
    read_state,
    write_head,
    write_state,
)
from ._record_codec import encode_record
from ._state import WorkflowState

_UNKNOWN_TIME = 0


def beside_journal(state: WorkflowState, *, last: Mark) -> Record:
    """Return the record that says, beside a journal that ends with `last`, a state."""
    record = write_head(state)
    record[JOURNAL] = {"last": [*last]}
    return record


def has_journal(record: Record) -> bool:
    """Return whether a record's entries stand in a journal, beside it or inside."""
    return JOURNAL in record


def last_entry(record: Record) -> Mark:
    """Return the name of the last entry of a record that has a journal.

    Raises:
        UnreadableRecordError: The record does not say it.
    """
    try:
        return read_mark(_member(record)["last"])
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableRecordError(
            f"its {JOURNAL} does not name the last entry; the record is damaged, or of a newer "
            "form than this version knows",
            newer=isinstance(record.get(JOURNAL), dict),
        ) from error


def whole(record: Record, *, tail: bytes, chunks: Iterable[tuple[int, bytes]]) -> Record:
    """Return a record that stands alone: as stored, with what its journal says inside.

    For `IMachineMemory.read` of a memory that keeps tails and chunks. What is returned may be given
    to `write`, which then stores no tail and frees all chunks.

    Args:
        record: As stored.
        tail: The tail that was stored with it.
        chunks: The chunks that are not freed, as (number, bytes), in order of their numbers.

    Raises:
        UnreadableRecordError: A chunk or the tail is damaged.

    Example:
        >>> whole({"status": "active"}, tail=b"", chunks=[])
        {'status': 'active'}
    """
    if stands_alone(record):
        return record
    base: JsonValue = None
    after: JsonValue = [*START]
    entries: list[JsonValue] = []
    for where, data in named_segments(chunks, tail):
        begun, based, written = read_lines(data, where=where)
        if not entries:
            after = [*begun]
        base = base if based is None else {**based, "last": [*based["last"]]}
        entries += written
    journal: JsonValue = {
        "last": [*last_entry(record)],
        "after": after,
        "base": base,
        "entries": entries,
    }
    return {**record, JOURNAL: journal}


def check_previous(previous: Record | None, *, stored: Record | None, machine_id: str) -> None:
    """Check that a record to be replaced is the stored one, as `IMachineMemory.write` must.

    Both are compared as JSON, for which True is not 1.

    Args:
        previous: What the caller of `write` had read; None for nothing.
        stored: What `read` would return now, which is what `whole` returns; None for nothing.
        machine_id: The workflow.

    Raises:
        TransactionViolation: They differ; cause `VERSION_MOVED`.
        UnwritableRecordError: `previous` is not JSON.

    Example:
        >>> check_previous({"count": 1}, stored={"count": 1}, machine_id="order-7")
    """
    if previous is None or stored is None:
        same = previous is stored
    else:
        same = encode_record(previous) == encode_record(stored)
    if not same:
        raise TransactionViolation.version_moved(machine_id)


def taken_apart(
    record: Record,
    subject: str,
    *,
    answering: AnyCollection[str],
    version: int,
) -> tuple[Record, bytes]:
    """Return the record beside a journal, and the tail, that say what one standing alone does.

    Args:
        record: One that stands alone, with a journal inside or in the TypeScript shape; of a
            workflow that has not completed.
        subject: The workflow's.
        answering: The types of requests that services answer, not only by failing.
        version: The version of the record.

    Raises:
        UnreadableRecordError: It is not the record of a workflow.
    """
    if has_journal(record):
        return _without_entries(record, subject)
    state = read_state(record, subject, services=answering)
    latest = state.latest
    last = START if latest is None else Mark(1, "")
    tail = open_segment(START, base=write_base(state, last))
    if latest is not None:
        _, line = write_entry(
            last,
            version=version,
            at=_UNKNOWN_TIME,
            consumed=latest.consumed.wire(),
            outputs=[output.wire() for output in latest.outputs],
            asks=[position for position, each in enumerate(latest.outputs) if each.asks],
            collects=latest.collects,
        )
        tail += line
    return beside_journal(state, last=last), tail


def stands_alone(record: Record) -> bool:
    """Return whether a record has all in it, so that no tail or chunk belongs to it."""
    return not has_journal(record) or "entries" in _member(record)


def to_typescript(
    record: Record,
    *,
    subject: str,
    answering: AnyCollection[str] = (),
    window: int = REDELIVERY_WINDOW,
    machine_definition: str | None = None,
) -> Record:
    """Return a record in the TypeScript shape.

    Args:
        record: One that stands alone; see `whole`.
        subject: The workflow's.
        answering: The types of requests that services answer, not only by failing.
        window: The `redelivery_window` of the handler's `ExecutionPolicy`.
        machine_definition: The `definition` of the workflow's `ArvoMachine`, which is added to the
            record of a machine that has none stored; None adds nothing.

    Raises:
        UnreadableRecordError: It is not the record of a workflow.

    Example:
        >>> record = {"executionStatus": "normal", "status": "done", "subject": "order-7"}
        >>> to_typescript({**record, "initEventId": "1"}, subject="order-7")["status"]
        'done'
    """
    if has_journal(record):
        state = _replayed(record, subject, answering=answering, window=window)
    else:
        state = read_state(record, subject, services=answering)
    if machine_definition is not None and lacks_machine_definition(state.members):
        state.members[MACHINE_DEFINITION] = machine_definition
    return write_state(state)


def lacks_machine_definition(record: Record) -> bool:
    """Return whether a record is that of a machine, and does not have the machine's chart.

    A journaled record never has it. The TypeScript version stores it at each step.

    Example:
        >>> lacks_machine_definition({"value": "paid", "state": {}, "status": "active"})
        True
    """
    return MACHINE_STATE in record and MACHINE_DEFINITION not in record


def _replayed(
    record: Record, subject: str, *, answering: AnyCollection[str], window: int
) -> WorkflowState:
    head, tail = _without_entries(record, subject)
    state = read_head(head, subject)
    state.open = OpenRequests()
    segments = read_segments((), tail, subject=subject, collects=CONTEXT in head)
    last = last_entry(head)
    if not replay(state, segments, last=last, window=window, answering=answering):
        raise lacks_beginning(last)
    return state


def _without_entries(record: Record, subject: str) -> tuple[Record, bytes]:
    journal = _member(record)
    head = {**record, JOURNAL: {"last": journal.get("last")}}
    entries, base = journal.get("entries"), journal.get("base")
    try:
        tail = open_segment(read_mark(journal["after"]), base=base)
        for entry in entries or ():
            _, line = write_entry(
                read_mark([entry["n"], entry["by"]]),
                version=entry["v"],
                at=entry["at"],
                consumed=whole_event(entry["in"], subject),
                outputs=[whole_event(output, subject) for output in entry["out"]],
                asks=entry["ask"],
                notifies=entry["notify"],
                collects=False,
                extra=kept_state_again(entry),
                delayed=entry.get("delayed", ()),
                dropped=entry.get("dropped", ()),
            )
            tail += line
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableRecordError(f"its {JOURNAL} is damaged: {error}") from error
    return head, tail


def _member(record: Record) -> Mapping[str, Any]:
    journal = record[JOURNAL]
    if not isinstance(journal, dict):
        raise UnreadableRecordError(f"its {JOURNAL} is not an object")
    return journal
