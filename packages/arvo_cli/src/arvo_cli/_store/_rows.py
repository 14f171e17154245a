"""How targets, parked events, lags and streams of an event store are shown in listings."""

from dataclasses import asdict
from datetime import datetime
from typing import Final

from arvo_cli._errors import one_line
from arvo_cli._terminal._listing import Column, age, until
from arvo_event_store import ArchivedStream, ParkedEvent, ReactionLag, StreamCut, TargetState

TARGET_COLUMNS: Final = (
    Column("reaction", whole=True),
    Column("key", whole=True),
    Column("state", whole=True),
    Column("done to", justify="right"),
    Column("work to", justify="right"),
    Column("failed", justify="right"),
)
BLOCKED_COLUMNS: Final = (
    Column("reaction", whole=True),
    Column("key", whole=True),
    Column("event", justify="right"),
    Column("failed", justify="right"),
    Column("since", justify="right"),
    Column("error", whole=True),
)
PARKED_COLUMNS: Final = BLOCKED_COLUMNS
LAG_COLUMNS: Final = (
    Column("reaction", whole=True),
    Column("unscanned", justify="right"),
    Column("pending", justify="right"),
    Column("asleep", justify="right"),
    Column("blocked", justify="right"),
    Column("parked", justify="right"),
    Column("oldest", justify="right"),
)
CUT_COLUMNS: Final = (
    Column("stream", whole=True),
    Column("first", justify="right"),
    Column("wanted", justify="right"),
    Column("kept", justify="right"),
    Column("error", whole=True),
)
ARCHIVED_COLUMNS: Final = (
    Column("stream", whole=True),
    Column("first", justify="right"),
    Column("last", justify="right"),
)


def target_json(target: TargetState) -> dict[str, object]:
    """Return a target as `--json` shows it."""
    return asdict(target)


def target_row(target: TargetState, *, now: datetime) -> tuple[str, ...]:
    """Return the cells of a target in a table of `TARGET_COLUMNS`."""
    return (
        target.reaction,
        target.key,
        _state_of(target, now=now),
        str(target.at),
        str(target.mark),
        str(target.failed),
    )


def blocked_row(target: TargetState, *, now: datetime) -> tuple[str, ...]:
    """Return the cells of a blocked target in a table of `BLOCKED_COLUMNS`."""
    return (
        target.reaction,
        target.key,
        "-" if target.error_position is None else str(target.error_position),
        str(target.failed),
        "-" if target.blocked_at is None else age(now - target.blocked_at),
        target.error or "-",
    )


def parked_json(parked: ParkedEvent) -> dict[str, object]:
    """Return a parked event as `--json` shows it."""
    return asdict(parked)


def parked_row(parked: ParkedEvent, *, now: datetime) -> tuple[str, ...]:
    """Return the cells of a parked event in a table of `PARKED_COLUMNS`."""
    return (
        parked.reaction,
        parked.key,
        str(parked.position),
        str(parked.attempts),
        age(now - parked.parked_at),
        parked.error,
    )


def lag_json(lag: ReactionLag) -> dict[str, object]:
    """Return how far a reaction is behind as `--json` shows it."""
    return asdict(lag)


def lag_row(lag: ReactionLag, *, now: datetime) -> tuple[str, ...]:
    """Return the cells of a reaction in a table of `LAG_COLUMNS`."""
    return (
        lag.reaction,
        *map(str, (lag.unscanned, lag.pending, lag.asleep, lag.blocked, lag.parked)),
        "-" if lag.oldest is None else age(now - lag.oldest),
    )


def cut_json(cut: StreamCut) -> dict[str, object]:
    """Return what was done about a stream as `--json` shows it."""
    return {
        "stream": cut.stream,
        "first_version": cut.first_version,
        "wanted": cut.wanted,
        "kept": cut.kept,
        "error": None if cut.error is None else one_line(cut.error),
    }


def cut_row(cut: StreamCut) -> tuple[str, ...]:
    """Return the cells of a stream in a table of `CUT_COLUMNS`."""
    return (
        cut.stream,
        *map(str, (cut.first_version, cut.wanted, cut.kept)),
        "-" if cut.error is None else one_line(cut.error),
    )


def archived_json(archived: ArchivedStream) -> dict[str, object]:
    """Return an archived stream as `--json` shows it."""
    return asdict(archived)


def archived_row(archived: ArchivedStream) -> tuple[str, ...]:
    """Return the cells of an archived stream in a table of `ARCHIVED_COLUMNS`."""
    return (archived.stream, str(archived.first), str(archived.last))


def _state_of(target: TargetState, *, now: datetime) -> str:
    if target.blocked_at is not None:
        return "blocked"
    if target.leased_until is not None and target.leased_until > now:
        return "in hand"
    if target.due is not None:
        return f"asleep, due {until(target.due, now=now)}"
    return "pending" if target.mark > target.at else "idle"
