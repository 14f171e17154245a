"""The keys of targets that hand out a parked event once more."""

from typing import Final

from arvo_event_store._errors import InvalidEventError
from arvo_event_store._target import TargetKind

_PREFIX: Final = "replayed:"


def replay_key(*, reads: TargetKind, key: str, position: int) -> str:
    """Return the key of the target that hands out a parked event once more.

    Args:
        reads: What the targets of the reaction read.
        key: The key under which it was parked.
        position: The event.
    """
    own = f"{_PREFIX}{position}:"
    return key if reads is TargetKind.EVENT or key.startswith(own) else own + key


def check_target_key(key: str, *, path: str) -> str:
    """Return the key of a target that is a stream's or a user's own.

    Args:
        key: The key, which is a name.
        path: The argument, for errors.

    Raises:
        InvalidEventError: It begins as those of replayed events do, which would then be taken for it.
    """
    if key.startswith(_PREFIX):
        raise InvalidEventError(
            f"must not begin with {_PREFIX!r}, as the targets of replayed events do; rename it, or "
            "leave it out with the `stream_prefix` of the reaction",
            stream=None,
            event=None,
            path=path,
        )
    return key
