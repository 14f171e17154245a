"""The SQLite client that packages of Arvo share; not for direct use.

`SqliteClient.connect(path, components=[...])` opens a file that may hold the tables of several packages.
"""

from ._client import SqliteClient
from ._database import IN_MEMORY, Database, Synchronous
from ._pending import PendingMigration
from ._readers import Query
from ._schema import Component, NewerSchemaError, OlderSchemaError
from ._url import path_of
from ._writer import Operation

__all__ = [
    "IN_MEMORY",
    "Component",
    "Database",
    "NewerSchemaError",
    "OlderSchemaError",
    "Operation",
    "PendingMigration",
    "Query",
    "SqliteClient",
    "Synchronous",
    "path_of",
]
