"""The command line: options, help and exit statuses."""

import os
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from arvo_cli._backend._concurrency import DEFAULT, MEASURED_CONCURRENCY, USUAL_CONCURRENCY
from arvo_cli._dead._command import dead_app
from arvo_cli._memory._command import memory_app
from arvo_cli._options._shared import FlavourOption, LogLevelOption, TargetArgument
from arvo_cli._options._values import MAX_LINE_BYTES, STDOUT, DiagramFormat
from arvo_cli._store._command import store_app
from arvo_cli._terminal._interruptible import interruptible
from arvo_cli._topics._command import topics_app
from arvo_cli._workflow._command import workflow_app

from ._errors import CommandError
from ._event_commands import send, worker

_RUN = "Run"
_LOOK = "Look"

_app = typer.Typer(
    name="arvo",
    help="Contract-first event handlers and workflows, from the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


_machine = typer.Typer(
    help="Inspect workflows that are statecharts.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def _measured_concurrency() -> str:
    """Return a phrase with the number of workflows that run at the same time, by memory."""
    schemes: dict[int, list[str]] = {}
    for scheme, concurrency in MEASURED_CONCURRENCY.items():
        schemes.setdefault(concurrency, []).append(f"{scheme}:")
    known = [f"{concurrency} with {', '.join(names)}" for concurrency, names in schemes.items()]
    return f"{'; '.join(known)}; {USUAL_CONCURRENCY} with others"


def run_command(arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit status; see `main`."""
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


@_app.command("run", rich_help_panel=_RUN)
def _run(
    target: TargetArgument,
    events: Annotated[
        str,
        typer.Option(
            "--events",
            metavar="FILE|-",
            show_default=False,
            help="The input, one JSON object per line, in UTF-8; - is standard input. Input "
            "compressed with gzip is decompressed.",
        ),
    ],
    contract: Annotated[
        str | None,
        typer.Option(
            "--contract",
            metavar="URI/VERSION",
            help="The lines are plain payloads of this contract, not CloudEvents. "
            "Quote it: # begins a comment in most shells.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FILE|-",
            help="Where the final events go, one JSON object per line; - is standard output. "
            "Without it a pipe gets the same, and a terminal gets one short line per event: "
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
    max_line_bytes: Annotated[
        int,
        typer.Option(
            "--max-line-bytes",
            metavar="N",
            min=1,
            help="Maximum length of a line; a longer one is rejected while it is read.",
        ),
    ] = MAX_LINE_BYTES,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            metavar="N",
            min=1,
            show_default=False,
            help=f"How many workflows run at the same time. Without it, {_measured_concurrency()}.",
        ),
    ] = None,
    memory: Annotated[
        str,
        typer.Option(
            "--memory",
            metavar="URL",
            help="Where workflows keep their state. memory: forgets it when the command ends; "
            "for others install a package that registers the URL's scheme, as arvo-memory-sqlite "
            "does for sqlite:///state.db. Options follow ?: the arguments of the memory's "
            "connect, as in sqlite:///state.db?synchronous=normal&ttl=10s.",
        ),
    ] = DEFAULT,
    flavour: FlavourOption = None,
    wait: Annotated[
        str,
        typer.Option(
            "--wait",
            metavar="DURATION",
            help="When nothing else is left to do, stay this long for timers: 30s, 1h.",
        ),
    ] = "0s",
    log_level: LogLevelOption = "warning",
) -> None:
    """Run handlers over a file of events and write each one's final event.

    Events are read as they are needed and run several at a time, so final events come in the
    order in which they are ready; the `parentid` of each is the id of its event. --out and
    --rejects are overwritten. Running the same input again over a lasting --memory resumes:
    finished workflows give the answer they gave before, the others go on.

    Exit status: 0 all lines have a final event, 1 a result could not be written, 2 wrong usage,
    3 some lines were rejected or failed, or their workflows wait for a time, 130 interrupted. Ctrl-C stops taking input and finishes
    what runs; a second Ctrl-C cancels that, a third one ends the process immediately.
    """
    with interruptible():
        from arvo_cli._input._line_files import LineFiles
        from arvo_cli._options._duration import duration
        from arvo_cli._run._job import Job

        job = Job(
            target=target,
            flavour=flavour,
            files=LineFiles(events=events, out=out, rejects=rejects, max_line_bytes=max_line_bytes),
            contract=contract,
            concurrency=concurrency,
            memory=memory,
            wait=duration(wait, option="--wait"),
            log_level=log_level,
        )
        raise typer.Exit(job.run())


@_machine.command("diagram")
def _diagram(
    target: TargetArgument,
    flavour: FlavourOption = None,
    machine: Annotated[
        str | None,
        typer.Option(
            "--machine",
            metavar="URI/VERSION",
            show_default=False,
            help="The one machine to draw, by its contract. Without it, all of them. "
            "Quote it: # begins a comment in most shells.",
        ),
    ] = None,
    format_: Annotated[
        DiagramFormat,
        typer.Option("--format", help="mermaid, dot (for Graphviz), or svg (drawn by Graphviz)."),
    ] = "mermaid",
    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="FILE|-", help="Where the diagram goes; - is standard output."
        ),
    ] = STDOUT,
) -> None:
    """Draw the machines of a target: those of the orchestrators among its handlers.

    Exit status: 0 drawn, 1 the diagram could not be written, 2 wrong usage, no machine, or svg
    without Graphviz.
    """
    with interruptible():
        from arvo_cli._target._diagram import DiagramJob

        DiagramJob(target=target, flavour=flavour, machine=machine, format=format_, out=out).run()


_app.command("worker", rich_help_panel=_RUN)(worker)
_app.command("send", rich_help_panel=_RUN)(send)
_app.add_typer(workflow_app, name="workflow", rich_help_panel=_LOOK)
_app.add_typer(dead_app, name="dead", rich_help_panel=_LOOK)
_app.add_typer(topics_app, name="topics", rich_help_panel=_LOOK)
_app.add_typer(_machine, name="machine", rich_help_panel=_LOOK)
_app.add_typer(memory_app, name="memory", rich_help_panel="Upkeep")
_app.add_typer(store_app, name="store", rich_help_panel="Upkeep")
