"""`arvo store`: options and help of the commands that look at an event store."""

from typing import Annotated

import typer

from arvo_cli._options._shared import (
    GroupArgument,
    JsonOption,
    LimitOption,
    ReactionOption,
    StoreArgument,
)
from arvo_cli._terminal._interruptible import interruptible

from ._change_command import archive, migrate, replay, reset, retention, skip, unblock
from ._package import needing_event_store

store_app = typer.Typer(
    help="Look after an event store: its reactions, its streams and their archives.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_LOOK = "Look"
_CHANGE = "Change"


@store_app.command("lag", rich_help_panel=_LOOK)
def _lag(store: StoreArgument, group: GroupArgument, json: JsonOption = False) -> None:
    """Show how far the reactions of a group are behind.

    *unscanned* counts positions that are not looked at yet; *pending*, *asleep* and *blocked* count targets;
    *oldest* is the age of the oldest event that is not done.

    Exit status: 0 done; 2 wrong usage, or no such group; 4 the store cannot be reached.
    """
    with interruptible(), needing_event_store():
        from ._list import LagJob

        raise typer.Exit(LagJob(store=store, group=group, json=json).run())


@store_app.command("health", rich_help_panel=_LOOK)
def _health(
    store: StoreArgument,
    group: GroupArgument,
    max_blocked: Annotated[
        int,
        typer.Option(
            "--max-blocked",
            metavar="N",
            min=0,
            help="How many targets of a reaction may be blocked.",
        ),
    ] = 0,
    max_parked: Annotated[
        int | None,
        typer.Option(
            "--max-parked",
            metavar="N",
            min=0,
            show_default=False,
            help="How many of its events may be parked. Without it, any number.",
        ),
    ] = None,
    max_pending: Annotated[
        int | None,
        typer.Option(
            "--max-pending",
            metavar="N",
            min=0,
            show_default=False,
            help="How many of its targets may have work. Without it, any number.",
        ),
    ] = None,
    max_unscanned: Annotated[
        int | None,
        typer.Option(
            "--max-unscanned",
            metavar="N",
            min=0,
            show_default=False,
            help="How many positions may be unscanned: allow 1000, as progress is stored after as many. "
            "Without it, any number.",
        ),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="DURATION",
            show_default=False,
            help="How old the oldest event may be that is not done: 30s, 5m. One that is postponed "
            "counts. Without it, any age.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say whether the reactions of a group keep up: for people, and for probes by the exit status.

    Each limit is for each reaction. `--json` prints one object with the status, the problems and the figures.

    Exit status: 0 all are within the limits; 1 one is not; 2 wrong usage, or no such group; 4 the store
    cannot be reached.

    Example: `arvo store health sqlite:///bank.db bank --max-age 5m`
    """
    with interruptible(), needing_event_store():
        from arvo_cli._options._duration import duration

        from ._health import HealthJob

        job = HealthJob(
            store=store,
            group=group,
            max_blocked=max_blocked,
            max_parked=max_parked,
            max_pending=max_pending,
            max_unscanned=max_unscanned,
            max_age=None if max_age is None else duration(max_age, option="--max-age"),
            json=json,
        )
        raise typer.Exit(job.run())


@store_app.command("targets", rich_help_panel=_LOOK)
def _targets(
    store: StoreArgument,
    group: GroupArgument,
    reaction: ReactionOption = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List what the reactions of a group work for, and how far each is.

    A target is a stream, an event or a key. It has work where *work to* is above *done to*, both positions.

    Exit status: 0 done; 2 wrong usage, or no such group or reaction; 4 the store cannot be reached.
    """
    with interruptible(), needing_event_store():
        from ._list import TargetsJob

        job = TargetsJob(
            store=store, group=group, reaction=reaction, blocked=False, limit=limit, json=json
        )
        raise typer.Exit(job.run())


@store_app.command("blocked", rich_help_panel=_LOOK)
def _blocked(
    store: StoreArgument,
    group: GroupArgument,
    reaction: ReactionOption = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the targets that wait for you, with the event and the error each is blocked at.

    Remove the cause, then `unblock`; or give the event up by `skip`.

    Exit status: 0 done; 2 wrong usage, or no such group or reaction; 4 the store cannot be reached.
    """
    with interruptible(), needing_event_store():
        from ._list import TargetsJob

        job = TargetsJob(
            store=store, group=group, reaction=reaction, blocked=True, limit=limit, json=json
        )
        raise typer.Exit(job.run())


@store_app.command("parked", rich_help_panel=_LOOK)
def _parked(
    store: StoreArgument,
    group: GroupArgument,
    reaction: ReactionOption = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the events that were put aside after their last try. `replay` hands them out once more.

    Exit status: 0 done; 2 wrong usage, or no such group or reaction; 4 the store cannot be reached.
    """
    with interruptible(), needing_event_store():
        from ._list import ParkedJob

        job = ParkedJob(store=store, group=group, reaction=reaction, limit=limit, json=json)
        raise typer.Exit(job.run())


@store_app.command("verify", rich_help_panel=_LOOK)
def _verify(
    store: StoreArgument,
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix", metavar="TEXT", show_default=False, help="Only streams that begin so."
        ),
    ] = "",
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            metavar="FOLDER",
            show_default=False,
            help="Verify all that is in this archive too, whatever the store has recorded.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read all streams, and check that no version is missing and their positions are in order.

    Archives that are recorded with streams are read too: they must be whole, and have what was cut off.
    Workers may run.

    Exit status: 0 nothing is wrong; 1 something is; 2 wrong usage; 4 the store cannot be reached.
    """
    with interruptible(), needing_event_store():
        from ._verify import VerifyJob

        job = VerifyJob(store=store, prefix=prefix, archive=archive, json=json)
        raise typer.Exit(job.run())


store_app.command("unblock", rich_help_panel=_CHANGE)(unblock)
store_app.command("skip", rich_help_panel=_CHANGE)(skip)
store_app.command("replay", rich_help_panel=_CHANGE)(replay)
store_app.command("reset", rich_help_panel=_CHANGE)(reset)
store_app.command("archive", rich_help_panel=_CHANGE)(archive)
store_app.command("retention", rich_help_panel=_CHANGE)(retention)
store_app.command("migrate", rich_help_panel=_CHANGE)(migrate)
