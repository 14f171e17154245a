"""Snapshots as JSON objects, in the format of XState."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from arvo_statechart._call import Context
from arvo_statechart._definition.chart import Chart
from arvo_statechart._definition.states import HISTORY, UNSET, StateNode
from arvo_statechart._errors import InvalidSnapshotError
from arvo_statechart._messages import short_repr
from arvo_statechart._state_value import Status, copy_value

from .completion import Completion
from .configuration import Nowhere
from .entry_and_exit import History
from .plan import Planner
from .snapshot import Snapshot, new_snapshot

_STATUSES: dict[str, Status] = {status: status for status in get_args(Status)}


def persist(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as a JSON object; see `Machine.persist`."""
    configuration = snapshot._configuration
    persisted: dict[str, Any] = {"status": snapshot.status}
    if not isinstance(configuration, Nowhere):
        persisted["value"] = copy_value(configuration.value)
        persisted["context"] = snapshot.context
    persisted["historyValue"] = {
        keeper.id: [{"id": node.id} for node in recorded] for keeper, recorded in snapshot._history
    }
    # XState reads its keys and fails without it.
    persisted["children"] = {}
    if snapshot._output is not UNSET:
        persisted["output"] = snapshot._output
    if snapshot._error is not UNSET:
        persisted["error"] = _storable(snapshot._error)
    return persisted


def _storable(error: object) -> object:
    if isinstance(error, BaseException):
        return {"name": type(error).__name__, "message": str(error)}
    return error


def _status(stored: object) -> Status | None:
    return _STATUSES.get(stored) if isinstance(stored, str) else None


def _word(stored: object) -> str:
    return short_repr(stored) if isinstance(stored, str) else type(stored).__name__


def restore(planner: Planner, persisted: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot that was stored; see `Machine.restore`."""
    if not isinstance(persisted, Mapping):
        raise InvalidSnapshotError(
            f"a stored snapshot must be a mapping, got {type(persisted).__name__}"
        )
    status = _status(persisted.get("status"))
    if status is None:
        raise InvalidSnapshotError(
            f"status of a stored snapshot: expected one of {', '.join(_STATUSES)}, "
            f"got {_word(persisted.get('status'))}"
        )
    context = persisted.get("context", {})
    if not isinstance(context, dict):
        raise InvalidSnapshotError(
            f"context of a stored snapshot: expected a mapping, got {type(context).__name__}"
        )
    if "value" in persisted:
        configuration = planner.configuration_of_value(persisted["value"])
    elif status == "error":
        configuration = Nowhere(planner.chart)
    else:
        raise InvalidSnapshotError(f"a stored snapshot of status {status!r} must have a 'value'")
    return new_snapshot(
        configuration,
        status,
        context,
        _history(planner.chart, persisted.get("historyValue")),
        persisted.get("output", UNSET),
        persisted.get("error", UNSET),
    )


def resolve(planner: Planner, value: object, context: Context) -> Snapshot:
    """Return the snapshot of a machine that is in some state; see `Machine.resolve`."""
    configuration = planner.configuration_of_value(value)
    root = planner.chart.root
    done = Completion(root, configuration.nodes).is_final(root)
    return new_snapshot(configuration, "done" if done else "active", context, ())


def _history(chart: Chart, stored: object) -> History:
    if not stored:
        return ()
    if not isinstance(stored, Mapping):
        raise InvalidSnapshotError(
            f"historyValue of a stored snapshot: expected a mapping, got {type(stored).__name__}"
        )
    found: dict[StateNode, tuple[StateNode, ...]] = {}
    for history_id, references in stored.items():
        # The machine may have changed since: states that it no longer has are dropped.
        keeper = chart.by_id.get(history_id)
        if keeper and keeper.type is HISTORY and isinstance(references, list):
            nodes = tuple(_below(keeper.ancestors[0], references, chart))
            if nodes:
                found[keeper] = nodes
    return tuple(found.items())


def _below(parent: StateNode, references: list[Any], chart: Chart) -> Iterator[StateNode]:
    for reference in references:
        node_id = reference.get("id") if isinstance(reference, Mapping) else None
        node = chart.by_id.get(node_id) if isinstance(node_id, str) else None
        if node is not None and node.is_below(parent):
            yield node
