"""`arvo dead`: options and help of the commands that look after dead letters."""

from typing import TYPE_CHECKING, Annotated

import typer

from arvo_cli._options._shared import JsonOption, LimitOption, TransportOption, YesOption
from arvo_cli._terminal._interruptible import interruptible

if TYPE_CHECKING:
    from ._letters import LetterFilter

dead_app = typer.Typer(
    help="Look after dead letters: events that could not be handled.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_Topic = Annotated[
    str | None,
    typer.Option("--topic", metavar="TOPIC", help="Only those of this topic."),
]
_Reason = Annotated[
    str | None,
    typer.Option(
        "--reason",
        metavar="REASON",
        help='Only those with this reason, such as "exhausted" or "unroutable".',
    ),
]
_Type = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", help="Only those with an event of this type."),
]
_Older = Annotated[
    str | None,
    typer.Option(
        "--older",
        metavar="DURATION",
        help="Only those that have been kept for longer: 30m, 12h, 1d.",
    ),
]
_Keys = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY", show_default=False, help="The keys of letters, as `list` shows them."
    ),
]
_All = Annotated[bool, typer.Option("--all", help="All of them; needed without KEY and filter.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the letters, as `list` does.")]


@dead_app.command("list")
def _list(
    transport: TransportOption,
    topic: _Topic = None,
    reason: _Reason = None,
    type_: _Type = None,
    older: _Older = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List dead letters, oldest first.

    Exit status: 0 done; 2 wrong usage; 4 the engine cannot be reached.
    """
    with interruptible():
        from ._look import DeadListJob

        wanted = _filter(topic, reason, type_, older)
        raise typer.Exit(
            DeadListJob(transport=transport, wanted=wanted, limit=limit, json=json).run()
        )


@dead_app.command("show")
def _show(
    keys: Annotated[
        list[str],
        typer.Argument(metavar="KEY", show_default=False, help="As `list` shows them."),
    ],
    transport: TransportOption,
    json: JsonOption = False,
) -> None:
    """Show all that is known of dead letters: event, error and stack.

    Exit status: 0 done; 1 there is no such letter; 2 wrong usage; 4 the engine cannot be reached.
    """
    with interruptible():
        from ._look import DeadShowJob

        raise typer.Exit(DeadShowJob(transport=transport, keys=keys, json=json).run())


@dead_app.command("redrive")
def _redrive(
    transport: TransportOption,
    keys: _Keys = None,
    topic: _Topic = None,
    reason: _Reason = None,
    type_: _Type = None,
    older: _Older = None,
    all_: _All = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also those whose senders were sent a system error: they get an answer more.",
        ),
    ] = False,
    dry_run: _DryRun = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Put events back into their topics, with fresh counts and their own ids, and forget the letters.

    Exit status: 0 done, or --dry-run; 1 refused, or some were left; 2 wrong usage; 4 the engine cannot be
    reached; 130 interrupted.
    """
    with interruptible():
        from ._change import DeadChangeJob

        job = DeadChangeJob(
            action="redrive",
            transport=transport,
            keys=keys or [],
            wanted=_filter(topic, reason, type_, older),
            all=all_,
            force=force,
            dry_run=dry_run,
            yes=yes,
            json=json,
        )
        raise typer.Exit(job.run())


@dead_app.command("drop")
def _drop(
    transport: TransportOption,
    keys: _Keys = None,
    topic: _Topic = None,
    reason: _Reason = None,
    type_: _Type = None,
    older: _Older = None,
    all_: _All = False,
    dry_run: _DryRun = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Forget dead letters permanently, with their events.

    Exit status: 0 done, or --dry-run; 1 refused; 2 wrong usage; 4 the engine cannot be reached; 130
    interrupted.
    """
    with interruptible():
        from ._change import DeadChangeJob

        job = DeadChangeJob(
            action="drop",
            transport=transport,
            keys=keys or [],
            wanted=_filter(topic, reason, type_, older),
            all=all_,
            force=False,
            dry_run=dry_run,
            yes=yes,
            json=json,
        )
        raise typer.Exit(job.run())


def _filter(
    topic: str | None, reason: str | None, type_: str | None, older: str | None
) -> "LetterFilter":
    from arvo_cli._options._duration import duration

    from ._letters import LetterFilter

    age = None if older is None else duration(older, option="--older")
    return LetterFilter(topic=topic, reason=reason, type=type_, older=age)
