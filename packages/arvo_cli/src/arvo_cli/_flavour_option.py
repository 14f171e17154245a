"""The option `--flavour` of all commands that take a target."""

from typing import Annotated, TypeAlias

import typer

FlavourOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--flavour",
        metavar="NAME",
        show_default=False,
        help="Which kind of handlers the factory makes, when it has a parameter "
        '`flavour: Literal["one", "other"]`. Without it, the parameter\'s default.',
    ),
]
