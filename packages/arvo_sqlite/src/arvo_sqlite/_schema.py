"""Which tables a file holds, and how an older version of them is migrated.

The first files had a single component, `machine`, with its version as `user_version`. That version
stays there, so that older programs can still read it; the versions of other components are in a table,
which is created with the first of them.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from arvo_time import BackendError

_APPLICATION_ID: Final = 0x4172766F  # "Arvo", shown by file(1)
_USER_VERSION_COMPONENT: Final = "machine"

_CREATE_VERSIONS: Final = """
    CREATE TABLE IF NOT EXISTS schema_version (
        component TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL
    ) STRICT
"""


class OlderSchemaError(BackendError):
    """A file that was opened read-only lacks a component, or has an older version of it."""


class NewerSchemaError(BackendError):
    """A component of a file has a newer version than this program knows; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """The tables of one package; a file may hold those of several."""

    name: str
    """Its name in the file, unique there. Two components must not share the name of a table."""
    title: str
    """Its name in errors, such as "machine memory"."""
    package: str
    """The distribution that errors ask to upgrade when a file is newer."""
    migrations: tuple[tuple[str | Callable[[sqlite3.Connection], None], ...], ...]
    """What brings the tables from each version to the next, the first of them from no tables to
    version 1: SQL statements, and functions for what SQL cannot do. All of it is one transaction."""


def check(
    connection: sqlite3.Connection, components: Sequence[Component], *, where: str
) -> dict[str, int]:
    """Check that a file is empty or of Arvo and not newer than this program; change nothing.

    Args:
        connection: One without a transaction.
        components: What the file must hold.
        where: The file, for errors.

    Returns:
        The version of each component in the file, 0 for one that it does not hold.

    Raises:
        NewerSchemaError: A component of the file is newer.
        BackendError: The file is not one of Arvo.
        sqlite3.Error: The file cannot be read.
    """
    # One snapshot, so that no half of it is from another process that creates the file meanwhile.
    connection.execute("BEGIN")
    try:
        return _versions(connection, components, where=where)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def check_current(
    connection: sqlite3.Connection, components: Sequence[Component], *, where: str
) -> None:
    """Check that a file can be read as it is; change nothing.

    Args:
        connection: One without a transaction.
        components: What the file must hold, in their current versions.
        where: The file, for errors.

    Raises:
        OlderSchemaError: A component is missing, or older than this program.
        NewerSchemaError: A component of the file is newer.
        BackendError: The file is not one of Arvo.
        sqlite3.Error: The file cannot be read.
    """
    versions = _versions(connection, components, where=where)
    for component in components:
        version, newest = versions[component.name], len(component.migrations)
        if version < newest:
            raise OlderSchemaError(
                f"{where}: the file has schema version {version} of the {component.title}, older "
                f"than {newest}"
                if version
                else f"{where}: the file has no {component.title}",
                retryable=False,
                outcome="failed",
            )


def migrate(connection: sqlite3.Connection, components: Sequence[Component], *, where: str) -> None:
    """Bring components to their current versions; other processes may do so at the same time.

    Args:
        connection: One without a transaction.
        components: What the file must hold.
        where: The file, for errors.

    Raises:
        NewerSchemaError: A component of the file is newer.
        BackendError: The file is not one of Arvo.
        sqlite3.Error: The file cannot be read or written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        versions = _versions(connection, components, where=where)
        # Also when nothing is missing, so that a read-only file fails now.
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        behind = [each for each in components if versions[each.name] < len(each.migrations)]
        for component in behind:
            for statements in component.migrations[versions[component.name] :]:
                for statement in statements:
                    if isinstance(statement, str):
                        connection.execute(statement)
                    else:
                        statement(connection)
            _set_version(connection, component)
        connection.execute("COMMIT" if behind else "ROLLBACK")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _versions(
    connection: sqlite3.Connection, components: Sequence[Component], *, where: str
) -> dict[str, int]:
    """Return the version of each component in the file, 0 for one that it does not hold."""
    user_version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    ours = application == _APPLICATION_ID if user_version or tables else application == 0
    if not ours:
        titles = " and the ".join(component.title for component in components)
        raise BackendError(
            f"{where}: this database was not made by Arvo; use a separate file for the {titles}",
            retryable=False,
            outcome="failed",
        )
    versions = {_USER_VERSION_COMPONENT: user_version}
    if "schema_version" in tables:
        versions.update(connection.execute("SELECT component, version FROM schema_version"))
    for component in components:
        version = versions.setdefault(component.name, 0)
        newest = len(component.migrations)
        if version > newest:
            raise NewerSchemaError(
                f"{where}: the file has schema version {version}, but this {component.package} "
                f"supports at most {newest}; install a newer {component.package}",
                retryable=False,
                outcome="failed",
            )
    return versions


def _set_version(connection: sqlite3.Connection, component: Component) -> None:
    version = len(component.migrations)
    if component.name == _USER_VERSION_COMPONENT:
        connection.execute(f"PRAGMA user_version = {version}")
        return
    connection.execute(_CREATE_VERSIONS)
    connection.execute(
        "INSERT INTO schema_version VALUES (?, ?) "
        "ON CONFLICT (component) DO UPDATE SET version = excluded.version",
        (component.name, version),
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
