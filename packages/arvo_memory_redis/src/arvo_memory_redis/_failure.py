"""Translates errors of the client into those of a machine memory.

No error of a server ends a workflow: the step is not stored, and the question is only whether the event
may be delivered again automatically.
"""

from typing import Final

from arvo_event_handler import MachineMemoryError, UnreadableRecordError
from arvo_event_handler.memory import machine_memory_error
from arvo_redis import RedisBackendError
from arvo_time import BackendError, ClosedError

_WRONG_TYPE: Final = "WRONGTYPE"


def memory_error(error: BackendError) -> MachineMemoryError:
    """Return what a memory raises for a failure of its client."""
    if isinstance(error, RedisBackendError) and _is_wrong_type(error):
        return UnreadableRecordError(
            f"Redis could not {error.doing}: the key does not hold a hash: {error.__cause__}"
        )
    if isinstance(error, ClosedError):
        return machine_memory_error(
            error, message="the Redis machine memory was closed; connect again"
        )
    return machine_memory_error(error)


def _is_wrong_type(error: RedisBackendError) -> bool:
    return error.code == _WRONG_TYPE and error.outcome == "failed"
