"""The command line: options, help and exit statuses."""

import os
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from ._errors import CommandError
from ._interrupt import INTERRUPTED
from ._job import Job
from ._memory_url import DEFAULT

_app = typer.Typer(
    name="arvo",
    help="Contract-first event handlers and workflows, from the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `arvo` command and return its exit status.

    0: every line has its result. 1: a result could not be written. 2: the command was called
    wrongly, or what it was told to use is not there. 3: some lines were rejected or failed.
    130: interrupted. With `ARVO_DEBUG` set in the environment, errors come with a traceback.
    A third interrupt ends the whole process.

    Args:
        arguments: What follows the command's name; None for the process's own.

    Example:
        >>> main(["--version"])
        arvo ...
        0
    """
    status = 0
    try:
        _app(args=None if arguments is None else list(arguments), prog_name="arvo")
    except CommandError as error:
        if os.environ.get("ARVO_DEBUG"):
            traceback.print_exc()
        typer.echo(f"arvo: {error}", err=True)
        status = error.status
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 0
    return status


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"arvo {version('arvo-cli')}")
        raise typer.Exit


@_app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


@_app.command("run")
def _run(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="A folder that is a package with `create_handlers`, or `module:factory`. "
            "The factory takes the machine memory and returns the handlers.",
        ),
    ],
    events: Annotated[
        str,
        typer.Option(
            "--events",
            metavar="FILE|-",
            show_default=False,
            help="The input, one JSON object a line; - is standard input.",
        ),
    ],
    contract: Annotated[
        str | None,
        typer.Option(
            "--contract",
            metavar="URI/VERSION",
            help="The lines are not CloudEvents but plain payloads of this contract. "
            "Quote it: # begins a comment in most shells.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FILE|-",
            help="Where the final events go, one JSON object a line; - is standard output. "
            "Without it a pipe gets the same, and a terminal one short line per event: "
            "type, parentid and data, cut to the width.",
        ),
    ] = None,
    rejects: Annotated[
        str | None,
        typer.Option(
            "--rejects",
            metavar="FILE",
            help="Where lines without a final event go, with the reason. "
            "Without it the reasons go to standard error.",
        ),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency", metavar="N", min=1, help="How many workflows run at the same time."
        ),
    ] = 16,
    memory: Annotated[
        str,
        typer.Option(
            "--memory",
            metavar="URL",
            help="Where workflows keep their state. memory: forgets it when the command ends; "
            "for others install a package that registers the URL's scheme.",
        ),
    ] = DEFAULT,
) -> None:
    """Run handlers over a file of events and write each one's final event.

    Events are read as they are needed and run several at a time, so final events come in the
    order in which they are ready; the `parentid` of each is the id of its event. --out and
    --rejects are written anew. Running the same input again over a lasting --memory resumes:
    finished workflows answer what they answered before, the others go on.

    Exit status: 0 all lines have a final event, 1 a result could not be written, 2 wrong usage,
    3 some lines were rejected or failed, 130 interrupted. Ctrl-C stops taking input and finishes
    what runs; a second Ctrl-C cancels that, a third one ends the process at once.
    """
    job = Job(
        target=target,
        events=events,
        contract=contract,
        out=out,
        rejects=rejects,
        concurrency=concurrency,
        memory=memory,
    )
    try:
        status = job.run()
    except KeyboardInterrupt:
        typer.echo("arvo: interrupted", err=True)
        status = INTERRUPTED
    raise typer.Exit(status)
