"""`arvo topics`: options and help of the commands that look after topics."""

from typing import Annotated, Literal

import typer

from arvo_cli._options._shared import JsonOption, LimitOption, TransportOption
from arvo_cli._terminal._interruptible import interruptible

topics_app = typer.Typer(
    help="Look after topics: where events wait for their handlers.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_Topic = Annotated[
    str,
    typer.Argument(metavar="TOPIC", show_default=False, help="As `list` shows it."),
]


@topics_app.command("list")
def _list(transport: TransportOption, json: JsonOption = False) -> None:
    """List topics: how they are ordered, and how many events wait, are in hand, and are dead.

    A topic that is only asked for has no worker yet that owns it; its events wait.

    Exit status: 0 done; 2 wrong usage; 4 the engine cannot be reached.
    """
    with interruptible():
        from ._topics import TopicsListJob

        raise typer.Exit(TopicsListJob(transport=transport, json=json).run())


@topics_app.command("peek")
def _peek(
    topic: _Topic,
    transport: TransportOption,
    limit: LimitOption = 20,
    json: JsonOption = False,
) -> None:
    """Look at the oldest events that wait. That takes nothing, and counts for nothing.

    Exit status: 0 done; 2 wrong usage, or no such topic; 4 the engine cannot be reached.
    """
    with interruptible():
        from ._topics import PeekJob

        raise typer.Exit(PeekJob(transport=transport, topic=topic, limit=limit, json=json).run())


@topics_app.command("pause")
def _pause(topic: _Topic, transport: TransportOption) -> None:
    """Let the events of a topic wait. Publishing goes on, and what is in hand is finished.

    Exit status: 0 done; 2 wrong usage, or no such topic; 4 the engine cannot be reached.
    """
    with interruptible():
        from ._topics import PauseJob

        raise typer.Exit(PauseJob(transport=transport, topic=topic, paused=True).run())


@topics_app.command("resume")
def _resume(topic: _Topic, transport: TransportOption) -> None:
    """Let the events of a paused topic go on.

    Exit status: 0 done; 2 wrong usage, or no such topic; 4 the engine cannot be reached.
    """
    with interruptible():
        from ._topics import PauseJob

        raise typer.Exit(PauseJob(transport=transport, topic=topic, paused=False).run())


@topics_app.command("relayout")
def _relayout(
    topic: _Topic,
    transport: TransportOption,
    order: Annotated[
        Literal["subject", "key", "none"] | None,
        typer.Option(
            "--order",
            show_default=False,
            help="What its events wait for: those of the same subject, of the same partitionkey, or "
            "nothing.",
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions",
            metavar="N",
            min=1,
            show_default=False,
            help="Into how many parts it is divided; one worker at a time has a part.",
        ),
    ] = None,
) -> None:
    """Give a topic another order or other partitions, while it is in use.

    It is paused until nothing is in hand; then what waits is moved, in order. After an interruption, run it
    again.

    Exit status: 0 done; 2 wrong usage, or no such topic; 4 the engine cannot be reached; 130 interrupted.
    """
    with interruptible():
        from ._topics import RelayoutJob

        job = RelayoutJob(transport=transport, topic=topic, order=order, partitions=partitions)
        raise typer.Exit(job.run())
