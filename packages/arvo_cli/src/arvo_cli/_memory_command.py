"""`arvo memory`: options and help of the commands that look after a machine memory."""

from typing import Annotated

import typer

memory_app = typer.Typer(
    help="Look after a machine memory: what it has stored, and in which form.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_Memory = Annotated[
    str,
    typer.Option(
        "--memory",
        metavar="URL",
        envvar="ARVO_MEMORY",
        show_default=False,
        help="The memory, as for `arvo run`, options included.",
    ),
]
_Yes = Annotated[
    bool,
    typer.Option("--yes", help="Do not ask. Needed where standard input is no terminal."),
]


@memory_app.command("migrate")
def _migrate(
    memory: _Memory,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what would be done; SQL on standard output."),
    ] = False,
    yes: _Yes = False,
) -> None:
    """Bring what an older version has stored to the form of this one.

    Stop all workers of the older version first. It may be interrupted and run again. SQLite's files are
    migrated when they are opened, too, by this command or by the first worker.

    Exit status: 0 nothing is left to do, or --dry-run; 1 refused, or something was left as it was;
    2 wrong usage; 4 the memory cannot be reached; 130 interrupted.
    """
    from ._migrate import MigrateJob

    raise typer.Exit(MigrateJob(memory=memory, dry_run=dry_run, yes=yes).run())


@memory_app.command("reindex")
def _reindex(memory: _Memory, yes: _Yes = False) -> None:
    """Make the index of workflows anew, where it is apart from them, as on Redis.

    Workers may run. It is never needed for running workflows: only for listing them, after data was
    restored or edited by hand. It may be interrupted and run again.

    Exit status: 0 done, or there is no such index; 1 refused; 2 wrong usage; 4 the memory cannot be
    reached; 130 interrupted.
    """
    from ._reindex import ReindexJob

    raise typer.Exit(ReindexJob(memory=memory, yes=yes).run())
