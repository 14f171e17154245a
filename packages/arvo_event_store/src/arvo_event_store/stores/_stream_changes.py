"""What is decided about a stream before it is closed, cut off or deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from arvo_event_store._errors import ConflictError, PendingWorkError
from arvo_event_store._expect import Expect
from arvo_event_store._names import check_name
from arvo_time.settings import check_count, check_flag

from ._read_range import MAX_POSITION

PENDING_TARGETS: Final = 10
"""How many targets with work a `PendingWorkError` names at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncation:
    """What to cut off a stream, as it was asked for."""

    stream: str
    """The stream."""
    before: int
    """The first version to keep."""
    snapshot: bool
    """Whether a snapshot must cover what is cut off."""

    def first_kept(
        self,
        *,
        version: int | None,
        first_version: int,
        newest_snapshot: int | None,
        needed: int | None,
    ) -> int:
        """Return the first version to keep; the store asks in the step that deletes.

        Args:
            version: The version of the stream's last event; None if there is no such stream.
            first_version: The first version that is there.
            newest_snapshot: The highest version that a snapshot of the stream has, of any kind; None
                if there is none. Not looked at unless `snapshot`.
            needed: The version of the first event that a target still has to read; None if there is
                none.

        Raises:
            ConflictError: There is no such stream.
            ValueError: The stream ends before `before - 1`, or no snapshot covers it.
        """
        if version is None:
            raise missing_stream(self.stream)
        if self.before > version + 1:
            raise ValueError(
                f"stream {self.stream!r} is at version {version}, so `before` must be at most "
                f"{version + 1}, got {self.before}"
            )
        if self.before <= first_version:
            return first_version
        if self.snapshot and (newest_snapshot is None or newest_snapshot < self.before - 1):
            raise ValueError(
                f"stream {self.stream!r} has no snapshot of version {self.before - 1} or later, so its "
                "state could not be loaded any more; save one, or pass `snapshot=False` if it is not "
                "an aggregate's"
            )
        return self.before if needed is None else max(min(self.before, needed), first_version)


def truncation(stream: str, *, before: int, snapshot: bool) -> Truncation:
    """Check the arguments of `IStreamAdmin.truncate`.

    Raises:
        TypeError: An argument is of another type.
        ValueError: `before` is below 0 or beyond 64 bits.
        InvalidEventError: The name breaks the rules for names.
    """
    return Truncation(
        stream=check_name(stream, path="stream"),
        before=check_count(before, name="before", most=MAX_POSITION),
        snapshot=check_flag(snapshot, name="snapshot"),
    )


def missing_stream(stream: str) -> ConflictError:
    """Return the error for a stream that must exist and does not."""
    return ConflictError(stream, expected=Expect.STREAM_EXISTS, actual=None)


def check_no_work(stream: str, targets: Sequence[tuple[str, str, str]]) -> None:
    """Check that no target has work in a stream; the store asks in the step that closes or deletes.

    Args:
        stream: The stream.
        targets: The group, reaction and key of the targets that have work there, in this order; the
            first `PENDING_TARGETS` are enough.

    Raises:
        PendingWorkError: There is one.
    """
    if targets:
        named = ["/".join(target) for target in targets[:PENDING_TARGETS]]
        raise PendingWorkError(stream, targets=named)
