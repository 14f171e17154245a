"""The span of one statement."""

from contextlib import AbstractContextManager
from typing import Final

from arvo_time.telemetry import client_span

_SYSTEM: Final = {"db.system.name": "postgresql"}


def statement_span(operation: str, *, table: str) -> AbstractContextManager[None]:
    """Trace a statement within a block.

    Args:
        operation: The name of the operation.
        table: The table that it works on, with its schema.
    """
    return client_span(operation, scope="arvo_postgres", attributes=_SYSTEM, collection=table)
