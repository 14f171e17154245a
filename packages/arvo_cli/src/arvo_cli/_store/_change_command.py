"""`arvo store`: options and help of the commands that change an event store."""

from typing import Annotated, TypeAlias

import typer

from arvo_cli._options._shared import (
    GroupArgument,
    JsonOption,
    ReactionArgument,
    ReactionOption,
    StoreArgument,
    YesOption,
)
from arvo_cli._terminal._interruptible import interruptible

from ._package import needing_event_store

_DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Only show what is meant, and change nothing.")
]


def unblock(
    store: StoreArgument,
    group: GroupArgument,
    reaction: ReactionArgument,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY", show_default=False, help="The target, as `blocked` shows it."
        ),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All blocked targets of the reaction; needed without KEY.")
    ] = False,
    dry_run: _DryRun = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Let blocked targets try the event again that they are blocked at, with all their tries.

    Exit status: 0 done, or --dry-run; 1 refused, as the target is not blocked; 2 wrong usage, or no such
    group or reaction; 4 the store cannot be reached; 130 interrupted.

    Example: `arvo store unblock sqlite:///bank.db bank transfer wallet-ann`
    """
    with interruptible(), needing_event_store():
        from ._targets import UnblockJob

        job = UnblockJob(
            store=store,
            group=group,
            reaction=reaction,
            key=key,
            all=all_,
            dry_run=dry_run,
            yes=yes,
            json=json,
        )
        raise typer.Exit(job.run())


def skip(
    store: StoreArgument,
    group: GroupArgument,
    reaction: ReactionArgument,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", show_default=False, help="The target, as `blocked` shows it."
        ),
    ],
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Give up the event that a target is blocked at, and let it go on with the next.

    The event is not handled any more; it stays in its stream.

    Exit status: 0 done; 1 refused, as the target is not blocked; 2 wrong usage, or no such group or reaction;
    4 the store cannot be reached; 130 interrupted.
    """
    with interruptible(), needing_event_store():
        from ._targets import SkipJob

        job = SkipJob(store=store, group=group, reaction=reaction, key=key, yes=yes, json=json)
        raise typer.Exit(job.run())


def replay(
    store: StoreArgument,
    group: GroupArgument,
    reaction: ReactionOption = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="Only those of this target."),
    ] = None,
    position: Annotated[
        list[int] | None,
        typer.Option(
            "--position",
            metavar="N",
            min=1,
            help="Only the event at this position; may be repeated.",
        ),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All parked events; needed without another choice.")
    ] = False,
    dry_run: _DryRun = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Hand parked events out once more, beside those that came after them.

    Exit status: 0 done, or --dry-run; 1 refused, or some are not there any more; 2 wrong usage, or no such
    group or reaction; 4 the store cannot be reached; 130 interrupted.

    Example: `arvo store replay sqlite:///bank.db bank --reaction transfer`
    """
    with interruptible(), needing_event_store():
        from ._replay import ReplayJob

        job = ReplayJob(
            store=store,
            group=group,
            reaction=reaction,
            key=key,
            positions=frozenset(position or ()),
            all=all_,
            dry_run=dry_run,
            yes=yes,
            json=json,
        )
        raise typer.Exit(job.run())


def reset(
    store: StoreArgument,
    group: GroupArgument,
    reaction: ReactionArgument,
    after: Annotated[
        int,
        typer.Option(
            "--after",
            metavar="POSITION",
            min=0,
            show_default=False,
            help="The position after which events are handled again; 0 is the beginning.",
        ),
    ],
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Let a reaction handle its events again: for a projection whose table you have emptied.

    What it does is done again, also what it emits. Its blocked targets go on; events that are parked stay
    so. Targets that are not at that position yet stay where they are.

    Exit status: 0 done; 1 refused, as the reaction is addressed or has not come that far; 2 wrong usage, or
    no such group or reaction; 4 the store cannot be reached; 130 interrupted.

    Example: `arvo store reset sqlite:///bank.db bank balances --after 0`
    """
    with interruptible(), needing_event_store():
        from ._targets import ResetJob

        job = ResetJob(store=store, group=group, reaction=reaction, after=after, yes=yes, json=json)
        raise typer.Exit(job.run())


def archive(
    store: StoreArgument,
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            show_default=False,
            help="Where the archive is; made if it is missing.",
        ),
    ],
    streams: Annotated[
        list[str] | None,
        typer.Argument(metavar="STREAM", show_default=False, help="The streams to archive."),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", metavar="TEXT", help="All streams that begin so."),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All streams; needed without another choice.")
    ] = False,
    upto: Annotated[
        int | None,
        typer.Option(
            "--upto",
            metavar="VERSION",
            min=0,
            show_default=False,
            help="The last version to write, of one STREAM. Without it, all that is there.",
        ),
    ] = None,
    private: Annotated[
        bool,
        typer.Option(
            "--private", help="Write private data too, which `forget` does not reach any more."
        ),
    ] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Write streams to files, verify them, and record with each stream where its archive is.

    Nothing is cut off: `retention` does that. What is in the archive already is not written again. It may be
    interrupted and run again.

    Exit status: 0 done; 1 refused, or some streams were left; 2 wrong usage; 4 the store cannot be reached;
    130 interrupted.

    Example: `arvo store archive sqlite:///bank.db /backup/bank --prefix wallet-`
    """
    with interruptible(), needing_event_store():
        from ._archive import ArchiveJob

        job = ArchiveJob(
            store=store,
            folder=folder,
            streams=streams or [],
            prefix=prefix,
            all=all_,
            upto=upto,
            private=private,
            yes=yes,
            json=json,
        )
        raise typer.Exit(job.run())


def retention(
    store: StoreArgument,
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix",
            metavar="TEXT",
            show_default=False,
            help="How the names of the streams begin; an empty text means all.",
        ),
    ],
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="DURATION",
            show_default=False,
            help="Cut off events that are older: 90d, 12h.",
        ),
    ] = None,
    max_count: Annotated[
        int | None,
        typer.Option(
            "--max-count",
            metavar="N",
            min=0,
            show_default=False,
            help="Cut off all but the last N events of each stream.",
        ),
    ] = None,
    snapshots: Annotated[
        str | None,
        typer.Option(
            "--snapshots",
            metavar="CATEGORY",
            show_default=False,
            help="The streams are those of this aggregate, so keep what no snapshot of it covers.",
        ),
    ] = None,
    no_snapshots: Annotated[
        bool, typer.Option("--no-snapshots", help="They are not streams of an aggregate.")
    ] = False,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            metavar="FOLDER",
            show_default=False,
            help="Write events there, and verify them, before they are cut off.",
        ),
    ] = None,
    dry_run: _DryRun = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Cut off old events, once. A `RetentionWorker` in a program does so again and again.

    What a reaction still has to read is kept. Versions go on as before. It may be interrupted and run again.

    Exit status: 0 done, or --dry-run; 1 refused, or a stream failed; 2 wrong usage; 4 the store cannot be
    reached; 130 interrupted.

    Example: `arvo store retention sqlite:///bank.db --prefix audit- --max-age 365d --no-snapshots`
    """
    with interruptible(), needing_event_store():
        from arvo_cli._options._duration import duration

        from ._retention import RetentionJob

        job = RetentionJob(
            store=store,
            prefix=prefix,
            max_age=None if max_age is None else duration(max_age, option="--max-age"),
            max_count=max_count,
            snapshots=snapshots,
            no_snapshots=no_snapshots,
            archive=archive,
            dry_run=dry_run,
            yes=yes,
            json=json,
        )
        raise typer.Exit(job.run())


def migrate(
    store: StoreArgument,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what would be done; SQL on standard output."),
    ] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Create the tables of a store, or bring them up to date: on PostgreSQL once, when you deploy.

    A file of SQLite is created and brought up to date when it is opened, too, by the first worker.

    Exit status: 0 nothing is left to do, or --dry-run; 1 refused; 2 wrong usage, there is no such file, or
    the tables are newer; 4 the store cannot be reached; 130 interrupted.
    """
    with interruptible(), needing_event_store():
        from ._migrate import StoreMigrateJob

        raise typer.Exit(StoreMigrateJob(store=store, dry_run=dry_run, yes=yes, json=json).run())
