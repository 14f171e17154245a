"""Arguments of reads, which every store checks alike, at the call."""

from arvo_event_store._names import check_name
from arvo_event_store._query import Query
from arvo_time.settings import check_count, check_instance

from ._read_range import MAX_POSITION, ReadRange, read_range


def stream_range(
    stream: str, *, after: int, upto: int | None, backward: bool, limit: int | None
) -> ReadRange:
    """Check the arguments of `IStreamAccess.read`, and return the range of versions.

    Args:
        stream: The stream.
        after: See `IStreamAccess.read`, as the others.
        upto: The last version; None for all.
        backward: Whether to begin at the end.
        limit: How many at most; None for all.

    Raises:
        TypeError: One is of another type.
        ValueError: A number is out of its bounds.
        InvalidEventError: The name breaks the rules for names.
    """
    check_name(stream, path="stream")
    return read_range(after=after, upto=upto, backward=backward, limit=limit, least=-1)


def log_range(
    where: Query | None, *, after: int, upto: int | None, backward: bool, limit: int | None
) -> ReadRange:
    """Check the arguments of `IEventLog.read_all`, and return the range of positions.

    Args:
        where: Which events; None for all.
        after: See `IEventLog.read_all`, as the others.
        upto: The last position; None for all.
        backward: Whether to begin at the end.
        limit: How many at most; None for all.

    Raises:
        TypeError: One is of another type.
        ValueError: A number is out of its bounds.
    """
    if where is not None:
        check_instance(where, kind=Query, name="where")
    return read_range(after=after, upto=upto, backward=backward, limit=limit, least=0)


def check_snapshot_of(stream: str, *, kind: str, upto: int | None) -> None:
    """Check the arguments of `IStreamAccess.latest_snapshot`.

    Args:
        stream: The stream.
        kind: The kind of its snapshots.
        upto: The last version that the snapshot may have; None for any.

    Raises:
        TypeError: One is of another type.
        ValueError: `upto` is out of its bounds.
        InvalidEventError: A name breaks the rules for names.
    """
    check_name(stream, path="stream")
    check_name(kind, path="kind", stream=stream)
    if upto is not None:
        check_count(upto, name="upto", most=MAX_POSITION)
