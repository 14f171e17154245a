"""`arvo workflow cancel`, `retry`, `wake` and `fire`: options and help."""

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from arvo_cli._errors import CommandError
from arvo_cli._options._shared import (
    FlavourOption,
    JsonOption,
    LogLevelOption,
    StateOption,
    WorkflowArgument,
)
from arvo_cli._terminal._interruptible import interruptible

if TYPE_CHECKING:
    from ._change import Action

_Target: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET",
        show_default=False,
        help="The handlers, as for `arvo run`. They run here until nothing is left to do. Needed "
        "without --transport.",
    ),
]
_Transport: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--transport",
        metavar="URL",
        envvar="ARVO_TRANSPORT",
        show_default=False,
        help="The engine of the workers: one of them does it.",
    ),
]


def cancel(
    subject: WorkflowArgument,
    memory: StateOption,
    reason: Annotated[
        str,
        typer.Option(
            "--reason", metavar="TEXT", show_default=False, help="Why; its initiator reads it."
        ),
    ],
    target: _Target = None,
    transport: _Transport = None,
    flavour: FlavourOption = None,
    json: JsonOption = False,
    log_level: LogLevelOption = "warning",
) -> None:
    """End a workflow as a failure.

    Its initiator gets a system error with the name WorkflowCancelled. Services that work for it go on, and
    their answers are ignored.

    Exit status: 0 done, or sent to the workers; 1 refused, as there is no such workflow or it has ended;
    2 wrong usage, or another process runs the TARGET over this memory; 4 an engine cannot be reached.
    """
    if not reason.strip():
        raise CommandError("--reason is empty; say why, as the initiator reads it")
    _run(
        "cancel", subject, memory, target, transport, flavour, json, log_level, reason=reason
    )  # fmt: skip


def retry(
    subject: WorkflowArgument,
    memory: StateOption,
    target: _Target = None,
    transport: _Transport = None,
    flavour: FlavourOption = None,
    detached: Annotated[
        bool,
        typer.Option(
            "--detached", help="Also a child workflow, though its parent ignores the completion."
        ),
    ] = False,
    json: JsonOption = False,
    log_level: LogLevelOption = "warning",
) -> None:
    """Run the step of a workflow that has failed again.

    Its initiator, who has got the system error, then gets the completion. Asking twice is one retry.

    Exit status: 0 done, or sent to the workers; 1 refused, as there is no such workflow or it has not failed,
    or it has failed again; 2 wrong usage, or another process runs the TARGET over this memory; 4 an engine
    cannot be reached.
    """
    _run(
        "retry", subject, memory, target, transport, flavour, json, log_level, detached=detached
    )  # fmt: skip


def wake(
    subject: WorkflowArgument,
    memory: StateOption,
    target: _Target = None,
    transport: _Transport = None,
    flavour: FlavourOption = None,
    json: JsonOption = False,
    log_level: LogLevelOption = "warning",
) -> None:
    """Send again what a workflow waits for, under the same ids: for what was lost on its way.

    A workflow that has ended sends its end again.

    Exit status: 0 done, or sent to the workers; 1 refused, as there is no such workflow, or it failed;
    2 wrong usage, or another process runs the TARGET over this memory; 4 an engine cannot be reached.
    """
    _run("wake", subject, memory, target, transport, flavour, json, log_level)


def fire(
    subject: WorkflowArgument,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", show_default=False, help="Of the timer, as `show` and `due` have it."
        ),
    ],
    memory: StateOption,
    target: _Target = None,
    transport: _Transport = None,
    flavour: FlavourOption = None,
    json: JsonOption = False,
    log_level: LogLevelOption = "warning",
) -> None:
    """Fire a timer of a workflow now, instead of when it is due.

    Exit status: 0 done, or sent to the workers; 1 refused, as there is no such workflow or timer, or it
    failed; 2 wrong usage, or another process runs the TARGET over this memory; 4 an engine cannot be reached.
    """
    _run("fire", subject, memory, target, transport, flavour, json, log_level, timer=name)


def _run(
    action: "Action",
    subject: str,
    memory: str,
    target: str | None,
    transport: str | None,
    flavour: str | None,
    json: bool,
    log_level: Any,
    **options: Any,
) -> None:
    with interruptible():
        from ._change import WorkflowChangeJob

        job = WorkflowChangeJob(
            action=action,
            workflow=subject,
            memory=memory,
            target=target,
            transport=transport,
            flavour=flavour,
            json=json,
            log_level=log_level,
            **options,
        )
        raise typer.Exit(job.run())
