"""Which tables a file holds, and how an older version of them becomes the present one.

A file of one component, `machine`, came first, with its version as `user_version`. That one stays
there, so that older programs go on to read it; those of all others are in a table, which a file does
not have before there is another.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from arvo_time import BackendError

_APPLICATION_ID: Final = 0x4172766F  # "Arvo", shown by file(1)
_IN_USER_VERSION: Final = "machine"

_CREATE_VERSIONS: Final = """
    CREATE TABLE IF NOT EXISTS schema_version (
        component TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL
    ) STRICT
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """The tables of one package; a file may hold those of several."""

    name: str
    """What the file calls it. No two components may have a table of the same name."""
    title: str
    """What errors call it, such as "machine memory"."""
    package: str
    """The distribution that errors ask to update when a file is newer."""
    migrations: tuple[tuple[str, ...], ...]
    """The SQL statements that bring the tables from each version to the next, first of all from
    none to version 1."""


def check(connection: sqlite3.Connection, components: Sequence[Component], *, where: str) -> None:
    """Make sure that a file is empty or ours and not newer than this program, and change nothing.

    Args:
        connection: Without a transaction.
        components: What the file is to hold.
        where: The file, for errors.

    Raises:
        BackendError: A component of the file is newer, or the file is not one of Arvo.
        sqlite3.Error: The file cannot be read.
    """
    # One snapshot, lest it be half that of another process which makes the file meanwhile.
    connection.execute("BEGIN")
    try:
        _versions(connection, components, where=where)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def migrate(connection: sqlite3.Connection, components: Sequence[Component], *, where: str) -> None:
    """Bring components to their present versions, whoever else does so at the same time.

    Args:
        connection: Without a transaction.
        components: What the file is to hold.
        where: The file, for errors.

    Raises:
        BackendError: A component of the file is newer, or the file is not one of Arvo.
        sqlite3.Error: The file cannot be read or written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        versions = _versions(connection, components, where=where)
        # Also when nothing is missing: a file that may only be read is to fail here and now.
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        behind = [each for each in components if versions[each.name] < len(each.migrations)]
        for component in behind:
            for statements in component.migrations[versions[component.name] :]:
                for statement in statements:
                    connection.execute(statement)
            _set_version(connection, component)
        connection.execute("COMMIT" if behind else "ROLLBACK")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _versions(
    connection: sqlite3.Connection, components: Sequence[Component], *, where: str
) -> dict[str, int]:
    """Return the version of each component in the file, 0 of one that it does not hold."""
    user_version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    ours = application == _APPLICATION_ID if user_version or tables else application == 0
    if not ours:
        titles = " and the ".join(component.title for component in components)
        raise _refused(
            f"{where}: this database belongs to something else; name a file of its own for the "
            f"{titles}"
        )
    versions = {_IN_USER_VERSION: user_version}
    if "schema_version" in tables:
        versions.update(connection.execute("SELECT component, version FROM schema_version"))
    for component in components:
        version = versions.setdefault(component.name, 0)
        present = len(component.migrations)
        if version > present:
            raise _refused(
                f"{where}: the file has schema version {version}, and this {component.package} "
                f"knows none above {present}; install a newer {component.package}"
            )
    return versions


def _set_version(connection: sqlite3.Connection, component: Component) -> None:
    version = len(component.migrations)
    if component.name == _IN_USER_VERSION:
        connection.execute(f"PRAGMA user_version = {version}")
        return
    connection.execute(_CREATE_VERSIONS)
    connection.execute(
        "INSERT INTO schema_version VALUES (?, ?) "
        "ON CONFLICT (component) DO UPDATE SET version = excluded.version",
        (component.name, version),
    )


def _refused(message: str) -> BackendError:
    return BackendError(message, retryable=False, outcome="failed")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
