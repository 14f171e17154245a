"""PostgreSQL for the packages of Arvo that keep something in it; not for direct use.

Connections of a pool, statements that are repeated where their answer was lost, migrations, and what
the errors of asyncpg mean.
"""

from ._connections import Connections
from ._failures import InvalidDsnError, MissingSchemaError, is_contention
from ._migrations import Migrations, migration_files
from ._statement_runner import Rows, StatementRunner
from ._table_name import TableName, is_storable

__all__ = [
    "Connections",
    "InvalidDsnError",
    "Migrations",
    "MissingSchemaError",
    "Rows",
    "StatementRunner",
    "TableName",
    "is_contention",
    "is_storable",
    "migration_files",
]
