"""`arvo memory`: options and help of the commands that look after a machine memory."""

from typing import Annotated

import typer

from arvo_cli._options._shared import FlavourOption, StateOption, YesOption
from arvo_cli._terminal._interruptible import interruptible

memory_app = typer.Typer(
    help="Look after a machine memory: what it has stored, and in which form.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@memory_app.command("migrate")
def _migrate(
    memory: StateOption,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what would be done; SQL on standard output."),
    ] = False,
    yes: YesOption = False,
) -> None:
    """Bring what an older version has stored to the form of this one.

    Stop all workers of the older version first. It may be interrupted and run again. SQLite's files are
    migrated when they are opened, too, by this command or by the first worker.

    Exit status: 0 nothing is left to do, or --dry-run; 1 refused, or something was left as it was;
    2 wrong usage; 4 the memory cannot be reached; 130 interrupted.
    """
    with interruptible():
        from ._migrate import MigrateJob

        raise typer.Exit(MigrateJob(memory=memory, dry_run=dry_run, yes=yes).run())


@memory_app.command("reindex")
def _reindex(memory: StateOption, yes: YesOption = False) -> None:
    """Make the index of workflows anew, where it is apart from them, as on Redis.

    Workers may run. It is never needed for running workflows: only for listing them, after data was
    restored or edited by hand. It may be interrupted and run again.

    Exit status: 0 done, or there is no such index; 1 refused; 2 wrong usage; 4 the memory cannot be
    reached; 130 interrupted.
    """
    with interruptible():
        from ._reindex import ReindexJob

        raise typer.Exit(ReindexJob(memory=memory, yes=yes).run())


@memory_app.command("export")
def _export(
    memory: StateOption,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-",
            show_default=False,
            help="Where the lines go; - is standard output.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="The code of the workflows, as for `arvo run`. It adds the charts of machines.",
        ),
    ] = None,
    flavour: FlavourOption = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="active|done|failure",
            show_default=False,
            help="Only workflows of this status; repeat for several.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="TYPE",
            show_default=False,
            help="Only workflows of this type, such as `arvo.orc.order`.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Write workflows that wait for time as well: for `import`, as Arvo for TypeScript "
            "fires no timers.",
        ),
    ] = False,
    yes: YesOption = False,
) -> None:
    """Write workflows as JSON Lines that `import` and Arvo for TypeScript read: subject and record.

    Oldest first, with all their data. One that waits for time is named and left out, unless --force is
    given. Workers may run; SQLite and PostgreSQL are opened read-only. A FILE that exists is replaced
    after asking.

    Exit status: 0 done; 1 refused, a workflow waits for time, a record cannot be read, or a line cannot
    be written; 2 wrong usage, or the memory cannot list its workflows; 4 the memory cannot be reached;
    130 interrupted.
    """
    with interruptible():
        from ._export import ExportJob

        job = ExportJob(
            memory=memory,
            file=file,
            target=target,
            flavour=flavour,
            status=frozenset(status or ()),
            source=source,
            force=force,
            yes=yes,
        )
        raise typer.Exit(job.run())


@memory_app.command("import")
def _import(
    memory: StateOption,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-",
            show_default=False,
            help="Lines that `export` wrote, in UTF-8; - is standard input. Input compressed with "
            "gzip is decompressed.",
        ),
    ],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace workflows that the memory has already."),
    ] = False,
    yes: YesOption = False,
) -> None:
    """Write workflows of JSON Lines into a memory; workers over it go on with them.

    A workflow that the memory has already is left as it is and named. No line is written by halves.

    Exit status: 0 each line was written; 1 refused, or a line was not; 2 wrong usage; 4 the memory
    cannot be reached; 130 interrupted.
    """
    with interruptible():
        from ._import import ImportJob

        raise typer.Exit(ImportJob(memory=memory, file=file, replace=replace, yes=yes).run())
