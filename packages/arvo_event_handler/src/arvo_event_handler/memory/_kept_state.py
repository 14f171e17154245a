"""What an entry says for people alone: how long its step took, and where the workflow stood after it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from pydantic import JsonValue

from ._memory import Record
from ._record import CONTEXT, MACHINE_STATE, MACHINE_VALUE
from ._record_codec import encode_json

_MOST_BYTES: Final = 16 * 1024
"""How long the JSON of a state may be; of a longer one its length is kept."""
_MICROSECOND: Final = timedelta(microseconds=1)
_NAMES: Final = ("took", "state", "size")


class KeptState(NamedTuple):
    """What an entry says beside its events."""

    took: timedelta | None
    shown: Mapping[str, JsonValue] | None
    """The context, and a machine's value; None if it is not kept."""
    size: int | None
    """How many bytes these had where that was too much; otherwise None."""


def shown_state(members: Record) -> dict[str, JsonValue]:
    """Return the context that a record's members say, and the value of a machine; empty if neither."""
    if CONTEXT in members:
        return {"context": members[CONTEXT]}
    state = members.get(MACHINE_STATE)
    if isinstance(state, dict):
        return {"value": members.get(MACHINE_VALUE), "context": state.get("context")}
    return {}


def write_kept_state(members: Record, *, took: timedelta | None) -> bytes:
    """Return what a new entry says beside its events, as members of its JSON.

    Args:
        members: Those of the record after the step.
        took: How long it took; None if that was not measured.

    Raises:
        UnwritableRecordError: The state is not JSON.
    """
    said: dict[str, Any] = {} if took is None else {"took": took // _MICROSECOND}
    state = encode_json(shown_state(members), what="the state")
    if len(state) > _MOST_BYTES:
        return _members({**said, "size": len(state)})
    return b'%b,"state":%b' % (_members(said), state)


def kept_state_again(entry: Mapping[str, Any]) -> bytes:
    """Return what `write_kept_state` did, from an entry as one JSON object."""
    return _members({name: entry[name] for name in _NAMES if name in entry})


def read_kept_state(entry: Mapping[str, Any]) -> KeptState:
    """Return what an entry, as one JSON object, says beside its events.

    Raises:
        TypeError: It is damaged.
    """
    took, shown, size = map(entry.get, _NAMES)
    if not isinstance(shown, dict | None) or not isinstance(size, int | None):
        raise TypeError("the state of an entry is not an object")
    return KeptState(None if took is None else took * _MICROSECOND, shown, size)


def _members(said: Mapping[str, Any]) -> bytes:
    """Return members that follow others of an object."""
    return b",%b" % encode_json(said, what="the state")[1:-1] if said else b""
