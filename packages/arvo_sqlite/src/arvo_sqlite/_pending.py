"""What opening a file for writing would bring up to date."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from ._database import Database
from ._schema import Component


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingMigration:
    """How far the tables of a component in a file are behind."""

    version: int
    """Their version; 0 if the file has none of them."""
    newest: int
    """The version that they are brought to; the same if they are up to date."""
    sql: str
    """The statements for that; functions are shown as comments. Empty if there are none."""

    @classmethod
    async def of(
        cls, path: str, *, component: Component, busy_timeout: timedelta
    ) -> "PendingMigration":
        """Look into a file, without changing it.

        Args:
            path: The file.
            component: The tables.
            busy_timeout: How long to wait while another process writes.

        Raises:
            ValueError: There is no such file.
            BackendError: It cannot be read, is a database of another program, or newer than this one.
        """
        full = os.path.abspath(path)  # noqa: ASYNC240 - looks at no file
        if not os.path.exists(full):  # noqa: ASYNC240 - as quick as opening it
            raise ValueError(f"there is no file {path}; the first process that opens it creates it")
        database = Database(
            path=full,
            components=(component,),
            synchronous="full",
            busy_timeout=busy_timeout,
            read_only=True,
        )
        versions = await asyncio.to_thread(database.versions)
        version = versions[component.name]
        steps = (step for each in component.migrations[version:] for step in each)
        return cls(
            version=version, newest=len(component.migrations), sql="".join(map(_shown, steps))
        )


def _shown(step: str | Callable[[sqlite3.Connection], None]) -> str:
    return f"{step.strip()};\n" if isinstance(step, str) else f"-- {step.__doc__}\n"
