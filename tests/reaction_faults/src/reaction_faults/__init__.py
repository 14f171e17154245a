"""Kills and freezes the workers of examples/wallet over each event store, and restarts its server.

The tests beside this package are written once and run on each database of `DATABASES`. What they check is
what the example's own audit finds: no transfer is lost or doubled, and every balance is right.
"""

from ._databases import DATABASES, Database, PostgresDatabase, SqliteDatabase
from ._doom import Doom
from ._worker import DoomedSettings, doomed, start

__all__ = [
    "DATABASES",
    "Database",
    "Doom",
    "DoomedSettings",
    "PostgresDatabase",
    "SqliteDatabase",
    "doomed",
    "start",
]
