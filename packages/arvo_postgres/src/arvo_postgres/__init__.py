"""The client of PostgreSQL that the packages of Arvo share; not for direct use.

Connections of a pool, statements that are repeated when their answer was lost, a listener to channels,
migrations, and the meaning of asyncpg's errors.
"""

from ._connections import Connections
from ._dsn import DSN_OPTIONS
from ._failures import (
    InvalidDsnError,
    MissingSchemaError,
    NewerSchemaError,
    backend_error,
    is_connection_lost,
    is_contention,
)
from ._listener import Listener
from ._migrations import Migrations, migration_files
from ._open_transaction import OpenTransaction
from ._rows import Rows, RunsStatements
from ._statement_runner import StatementRunner
from ._table_name import TableName, is_storable

__all__ = [
    "DSN_OPTIONS",
    "Connections",
    "InvalidDsnError",
    "Listener",
    "Migrations",
    "MissingSchemaError",
    "NewerSchemaError",
    "OpenTransaction",
    "Rows",
    "RunsStatements",
    "StatementRunner",
    "TableName",
    "backend_error",
    "is_connection_lost",
    "is_contention",
    "is_storable",
    "migration_files",
]
