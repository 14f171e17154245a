"""`arvo worker` and `arvo send`: options and help of the commands that carry events."""

from typing import Annotated

import typer

from arvo_cli._options._shared import FlavourOption, LogLevelOption, TargetArgument, TransportOption
from arvo_cli._options._values import MAX_LINE_BYTES
from arvo_cli._terminal._interruptible import interruptible

from ._errors import CommandError


def worker(
    target: TargetArgument,
    transport: TransportOption,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="URL",
            envvar="ARVO_MEMORY",
            show_default=False,
            help="Where workflows keep their state, shared by all workers, as for `arvo run`. A "
            "worker without workflows needs none.",
        ),
    ] = None,
    handlers: Annotated[
        str | None,
        typer.Option(
            "--handlers",
            metavar="SOURCE,...",
            show_default=False,
            help="Serve only these handlers, such as com.stock.reserve,com.payment.charge.",
        ),
    ] = None,
    prefetch: Annotated[
        int | None,
        typer.Option(
            "--prefetch",
            metavar="N",
            min=1,
            show_default=False,
            help="How many events each handler works on at a time. Without it, 16.",
        ),
    ] = None,
    flavour: FlavourOption = None,
    health: Annotated[
        str | None,
        typer.Option(
            "--health",
            metavar="HOST:PORT",
            show_default=False,
            help="Answer over HTTP: /live, /ready (200, or 503 with the reason) and /status.",
        ),
    ] = None,
    grace: Annotated[
        str,
        typer.Option(
            "--grace",
            metavar="DURATION",
            help="At the end, how long what is in hand may take before it is given back.",
        ),
    ] = "30s",
    wait_for_transport: Annotated[
        str,
        typer.Option(
            "--wait-for-transport",
            metavar="DURATION",
            help="At the start, how long to wait for an engine that is away.",
        ),
    ] = "60s",
    newer_patience: Annotated[
        str,
        typer.Option(
            "--newer-patience",
            metavar="DURATION",
            help="How long an event that needs newer code is left to newer workers, before it is a dead "
            "letter, `unknown version`.",
        ),
    ] = "10m",
    log_level: LogLevelOption = "warning",
) -> None:
    """Serve handlers on the events of a transport.

    Start as many workers as you like. One that dies loses nothing: others take over what it had in hand.
    SIGTERM or Ctrl-C ends a worker: it takes no more events and finishes what it has in hand. A second
    Ctrl-C gives that back, a third one ends the process immediately.

    Exit status: 0 drained; 1 something was given back, after --grace or by a second Ctrl-C; 2 wrong usage;
    4 the engine was never reached, or fails for good; 130 ended by a third Ctrl-C.
    """
    with interruptible():
        from arvo_cli._options._duration import duration
        from arvo_cli._worker._health import health_place
        from arvo_cli._worker._job import WorkerJob

        job = WorkerJob(
            target=target,
            flavour=flavour,
            transport=transport,
            memory=memory,
            handlers=_names(handlers),
            prefetch=prefetch,
            health=None if health is None else health_place(health),
            grace=duration(grace, option="--grace"),
            wait_for_transport=duration(wait_for_transport, option="--wait-for-transport"),
            newer_patience=duration(newer_patience, option="--newer-patience"),
            log_level=log_level,
        )
        raise typer.Exit(job.run())


def send(
    transport: TransportOption,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="The handlers whose contracts the events are checked against, as for `arvo run`; they "
            "handle nothing here. Without it, events are sent as they are.",
        ),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(
            "--events",
            metavar="FILE|-",
            show_default=False,
            help="The input, as for `arvo run`: one JSON object per line; - is standard input.",
        ),
    ] = None,
    contract: Annotated[
        str | None,
        typer.Option(
            "--contract",
            metavar="URI/VERSION",
            show_default=False,
            help="The lines, or --data, are plain payloads of this contract. "
            "Quote it: # begins a comment in most shells.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="JSON", show_default=False, help="The payload of one request."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="KEY",
            show_default=False,
            help="Names the request of --data: the same key is the same request.",
        ),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(
            "--wait",
            metavar="DURATION",
            show_default=False,
            help="Wait for the answer of each event, at most this long, and write it.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FILE|-",
            show_default=False,
            help="Where ids, or with --wait answers, go, one per line; - is standard output. Without "
            "it a terminal gets one short line per answer.",
        ),
    ] = None,
    rejects: Annotated[
        str | None,
        typer.Option(
            "--rejects",
            metavar="FILE",
            show_default=False,
            help="Where lines that were not sent, or have no answer, go, with the reason. Without it "
            "the reasons go to standard error.",
        ),
    ] = None,
    flavour: FlavourOption = None,
    log_level: LogLevelOption = "warning",
) -> None:
    """Send events to workers, and wait for the answers if you like.

    Ids are those of `arvo run`, so what is sent twice is done once: with --wait, what has its answer
    already is not sent again. An event is stored when its id is written.

    Exit status: 0 all sent, and answered with --wait; 1 a result could not be written; 2 wrong usage, or
    no worker has ever been there; 3 some lines were not sent or have no answer; 4 the engine cannot be
    reached; 130 interrupted.
    """
    with interruptible():
        from arvo_cli._input._line_files import LineFiles
        from arvo_cli._options._duration import duration
        from arvo_cli._send._job import SendJob

        if (events is None) == (data is None):
            raise CommandError("give --events FILE, or --contract URI/VERSION and --data JSON")
        job = SendJob(
            target=target,
            flavour=flavour,
            transport=transport,
            files=LineFiles(
                events=events or "", out=out, rejects=rejects, max_line_bytes=MAX_LINE_BYTES
            ),
            contract=contract,
            data=data,
            key=key,
            wait=None if wait is None else duration(wait, option="--wait"),
            log_level=log_level,
        )
        raise typer.Exit(job.run())


def _names(text: str | None) -> list[str]:
    """Return the names of a list with commas; empty when there is none.

    Raises:
        CommandError: A name is empty.
    """
    if text is None:
        return []
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise CommandError("--handlers takes sources of handlers, with commas between them")
    return names
