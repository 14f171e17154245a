"""How commands migrate what an older version has stored: they plan, ask, and report."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import typer

from arvo_cli._errors import INTERRUPTED
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._listing import print_json
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._progress import OnProgress
from arvo_event_handler.memory import MigrationReport


def run_migration(
    migrate: Callable[[bool, OnProgress | None], Coroutine[Any, Any, MigrationReport]],
    *,
    question: str,
    dry_run: bool,
    yes: bool,
    json: bool = False,
    progress: Callable[[], AbstractContextManager[OnProgress | None]] = nullcontext,
) -> int:
    """Migrate, and return the exit status.

    Args:
        migrate: Migrates, or only plans it if its first argument is true. It tells the second one how
            far it is.
        question: What is asked after the summary of the plan, such as "are all workers stopped?".
        dry_run: Whether only to show what would be done.
        yes: Whether not to ask.
        json: Whether to print reports as JSON, in place of SQL.
        progress: Shows how far it is.

    Raises:
        CommandError: It failed, or the user does not want it.
    """
    try:
        plan = asyncio.run(migrate(True, None))
        if dry_run or not plan.changed:
            _show(plan, json=json)
            return 0
        confirm(f"{plan.summary}; {question}", yes=yes)
        with progress() as on_progress:
            report = asyncio.run(migrate(False, on_progress))
    except KeyboardInterrupt:
        say("interrupted; nothing is lost, run it again to go on")
        return INTERRUPTED
    if json:
        print_json([asdict(report)])
    for problem in report.problems:
        say(problem)
    say(report.summary)
    return 1 if report.problems else 0


def _show(plan: MigrationReport, *, json: bool) -> None:
    if json:
        print_json([asdict(plan)])
    else:
        typer.echo(plan.sql, nl=False)
    say(plan.summary)
