"""`arvo workflow`: options and help of the commands that look at workflows."""

from typing import Annotated

import typer

from arvo_cli._options._shared import JsonOption, StateOption, WorkflowArgument
from arvo_cli._options._values import WorkflowStatusName
from arvo_cli._terminal._interruptible import interruptible

from ._change_command import cancel, fire, retry, wake

_LOOK = "Look"
_CHANGE = "Change"

workflow_app = typer.Typer(
    help="Look at workflows, and cancel, retry or wake them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@workflow_app.command("list", rich_help_panel=_LOOK)
def _list(
    memory: StateOption,
    status: Annotated[
        WorkflowStatusName | None,
        typer.Option(
            "--status",
            show_default=False,
            help="Only workflows that stand so.",
        ),
    ] = None,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="SOURCE",
            show_default=False,
            help="Only workflows of this type, such as `arvo.orc.order`.",
        ),
    ] = None,
    older: Annotated[
        str | None,
        typer.Option(
            "--older",
            metavar="DURATION",
            show_default=False,
            help="Only those that have started longer ago: 30m, 12h, 1d.",
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            "--root",
            metavar="SUBJECT|KEY",
            show_default=False,
            help="Only this workflow and those below it. Not on Redis.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many at most.")
    ] = 50,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="CURSOR",
            show_default=False,
            help="Go on behind the page that has named this cursor.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List workflows, newest first: how each stands, and what it waits for.

    Workers may run. SQLite, PostgreSQL and Redis are opened read-only.

    Exit status: 0 done; 1 there is no such root; 2 wrong usage, or the memory cannot search so; 4 the
    memory cannot be reached.
    """
    with interruptible():
        from arvo_cli._options._duration import duration

        from ._list import WorkflowListJob

        job = WorkflowListJob(
            memory=memory,
            status=status,
            type=type_,
            older=None if older is None else duration(older, option="--older"),
            root=root,
            after=after,
            limit=limit,
            json=json,
        )
        raise typer.Exit(job.run())


@workflow_app.command("show", rich_help_panel=_LOOK)
def _show(
    subject: WorkflowArgument,
    memory: StateOption,
    steps: Annotated[
        int,
        typer.Option("--steps", metavar="N", min=0, max=1000, help="How many of the last steps."),
    ] = 10,
    json: JsonOption = False,
) -> None:
    """Show what a workflow waits for, its timers and last steps, and why it has failed.

    Steps that the workflow does not need any more are there if the memory keeps its `history`. With
    --json they have their events, state and context.

    Exit status: 0 done; 1 there is no such workflow; 2 wrong usage; 4 the memory cannot be reached.
    """
    with interruptible():
        from ._show import WorkflowShowJob

        job = WorkflowShowJob(workflow=subject, memory=memory, steps=steps, json=json)
        raise typer.Exit(job.run())


@workflow_app.command("due", rich_help_panel=_LOOK)
def _due(
    memory: StateOption,
    within: Annotated[
        str | None,
        typer.Option(
            "--within",
            metavar="DURATION",
            show_default=False,
            help="Only timers that are due within this time: 30m, 12h, 1d.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many at most.")
    ] = 50,
    json: JsonOption = False,
) -> None:
    """List the timers of workflows, the earliest first.

    It looks through all workflows that are active.

    Exit status: 0 done; 2 wrong usage; 4 the memory cannot be reached.
    """
    with interruptible():
        from arvo_cli._options._duration import duration

        from ._list import WorkflowDueJob

        job = WorkflowDueJob(
            memory=memory,
            within=None if within is None else duration(within, option="--within"),
            limit=limit,
            json=json,
        )
        raise typer.Exit(job.run())


for _name, _function in (("cancel", cancel), ("retry", retry), ("wake", wake), ("fire", fire)):
    workflow_app.command(_name, rich_help_panel=_CHANGE)(_function)
