"""The options and arguments that several commands take."""

from typing import Annotated, TypeAlias

import typer

from ._values import LogLevel

TargetArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        show_default=False,
        help="A folder that is a package with `create_handlers`, or `module:factory`. "
        "The factory takes the machine memory and returns the handlers.",
    ),
]
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
TransportOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--transport",
        metavar="URL",
        envvar="ARVO_TRANSPORT",
        show_default=False,
        help="The engine that carries the events, such as redis://localhost?namespace=shop. "
        "Install a package that registers the URL's scheme, as arvo-transport-redis does.",
    ),
]
StateOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--memory",
        metavar="URL",
        envvar="ARVO_MEMORY",
        show_default=False,
        help="The memory, as for `arvo run`, options included.",
    ),
]
StoreArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        show_default=False,
        help="The event store: sqlite:///events.db, sqlite:////var/lib/events.db, or "
        "postgresql://user@host/database?schema=bank. Options follow ?: the arguments of the store's "
        "connect.",
    ),
]
GroupArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="GROUP", show_default=False, help="The group of the workers, as they name it."
    ),
]
ReactionArgument: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="REACTION", show_default=False, help="The reaction, as `lag` shows it."),
]
ReactionOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--reaction", metavar="NAME", help="Only those of this reaction."),
]
LimitOption: TypeAlias = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, help="How many at most.")
]
WorkflowArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT",
        show_default=False,
        help="The workflow: its subject, or its key as `list` shows it.",
    ),
]
LogLevelOption: TypeAlias = Annotated[
    LogLevel,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="Show log records of this level and above on standard error: debug, info, "
        "warning or error.",
    ),
]
YesOption: TypeAlias = Annotated[
    bool,
    typer.Option("--yes", help="Do not ask. Needed where standard input is no terminal."),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
