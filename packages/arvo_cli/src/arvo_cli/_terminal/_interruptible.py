"""Ends a command at Ctrl-C in the one way of all commands."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from arvo_cli._errors import INTERRUPTED


@contextmanager
def interruptible() -> Iterator[None]:
    """End the command with a word and its own exit status at an interrupt within the block.

    Typer would say "Aborted", and end with status 1.
    """
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("arvo: interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
