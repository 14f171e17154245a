"""Threads that read, each with a connection of its own."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias, TypeVar

from arvo_time import BackendError

from ._database import Database
from ._failure import backend_error

T = TypeVar("T")

Query: TypeAlias = Callable[[sqlite3.Connection], T]
"""Reads on a connection that cannot write. An exception that it raises becomes a `BackendError`."""

_THREADS: Final = 4


class Readers:
    """Answers queries beside the writer, without ever delaying it.

    Args:
        database: The file to connect to.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="arvo reader")
        self._of_thread = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def ask(self, query: Query[T]) -> T:
        """Run a query on a connection that cannot write.

        Raises:
            BackendError: SQLite failed, or the file is read as if nobody could write it, and
                somebody does.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._answer, query)

    async def aclose(self) -> None:
        """Wait for the pending queries, and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._connections:
            connection.close()

    def _answer(self, query: Query[T]) -> T:
        database = self._database
        if database.is_still and database.has_writer():
            raise BackendError(
                f"{database.path}: another program has begun to write; open the file again",
                retryable=False,
                outcome="failed",
            )
        try:
            return query(self._connection())
        except Exception as error:
            raise backend_error(error, where=self._database.path, outcome="failed") from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._database.open_reader()
            self._connections.append(connection)
        return connection
