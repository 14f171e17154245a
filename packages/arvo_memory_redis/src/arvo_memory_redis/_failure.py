"""What the client raises, in the terms of a machine memory.

Nothing that a server says ends a workflow: a step is not stored then, and the question is only whether
the next delivery may go on by itself.
"""

from typing import Final

from arvo_event_handler import MachineMemoryError, UnreadableRecordError
from arvo_event_handler.memory import machine_memory_error
from arvo_redis import RedisBackendError
from arvo_time import BackendError, ClosedError

_WRONG_TYPE: Final = "WRONGTYPE"


def memory_error(error: BackendError) -> MachineMemoryError:
    """Return what a memory raises for a failure of its client."""
    if isinstance(error, RedisBackendError) and _is_no_hash(error):
        return UnreadableRecordError(
            f"Redis could not {error.doing}: the key is no hash: {error.__cause__}"
        )
    if isinstance(error, ClosedError):
        return machine_memory_error(
            error, message="the Redis machine memory was closed; connect again"
        )
    return machine_memory_error(error)


def _is_no_hash(error: RedisBackendError) -> bool:
    return error.code == _WRONG_TYPE and error.outcome == "failed"
