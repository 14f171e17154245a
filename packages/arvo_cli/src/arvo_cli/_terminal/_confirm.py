"""Asks before anything that is stored is changed."""

import sys

import typer

from arvo_cli._errors import CommandError, RefusedError

from ._printable import printable


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the user says yes, or has said so by `--yes`.

    Raises:
        RefusedError: The user says no.
        CommandError: Nobody can be asked, as standard input is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(
            f"{question} Standard input is no terminal, so nobody can be asked: add --yes"
        )
    if not typer.confirm(printable(question), err=True):
        raise RefusedError("nothing was changed")
