"""Makes text from outside safe for a terminal."""

import typer


def printable(text: str) -> str:
    """Replace control characters, so that no data can command the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def say(text: str) -> None:
    """Write a message to standard error, under the name of the command."""
    typer.echo(f"arvo: {printable(text)}", err=True)
