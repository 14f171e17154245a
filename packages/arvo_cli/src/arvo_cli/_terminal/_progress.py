"""A progress bar for commands that look after a memory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

OnProgress: TypeAlias = Callable[[int, int | None], None]
"""Takes how many are done, and how many there are; None when that is not known."""


@contextmanager
def progress() -> Iterator[OnProgress | None]:
    """Show a bar where standard error is a terminal; else the block gets None."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
