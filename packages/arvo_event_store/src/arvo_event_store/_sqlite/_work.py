"""Work of the user in a transaction of the writer."""

import sqlite3
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from arvo_event_store.stores import Statement, Work
from arvo_time import Clock

from ._log import SqliteLog
from ._transaction import Transaction, check_plain

T = TypeVar("T")

SqliteWork: TypeAlias = Callable[[sqlite3.Connection, SqliteLog], T]
"""Work for `SqliteEventStore.write`: a plain function that is given the connection and the log."""


class WorkRunner:
    """Runs work, each with a log of its own.

    Args:
        max_payload_bytes: See `SqliteEventStore`.
        clock: See `SqliteEventStore`.
    """

    def __init__(self, *, max_payload_bytes: int, clock: Clock) -> None:
        self._max_payload_bytes = max_payload_bytes
        self._clock = clock

    def run(self, transaction: Transaction, work: SqliteWork[T]) -> T:
        """Run a function.

        Raises:
            TypeError: It is an async one.
            BaseException: What it raised.
        """
        log = SqliteLog(
            connection=lambda: transaction.connection,
            max_payload_bytes=self._max_payload_bytes,
            clock=self._clock,
        )
        result = work(transaction.connection, log)
        check_plain(result)
        return result

    def do(self, transaction: Transaction, work: Work) -> None:
        """Run a function, or execute a statement; otherwise as `run`."""
        if isinstance(work, Statement):
            # With RETURNING, the rest is done as the rows are read.
            transaction.connection.execute(work.sql, work.parameters).fetchall()
        else:
            self.run(transaction, work)
