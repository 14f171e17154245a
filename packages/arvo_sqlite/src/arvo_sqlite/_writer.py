"""The one thread that writes: all operations in its queue go into one transaction."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeAlias, TypeVar

from arvo_time import BackendError, Outcome
from arvo_time.logs import bounded_logger

from ._database import Database
from ._failure import backend_error

_logger = bounded_logger("arvo_sqlite")

T = TypeVar("T")

Operation: TypeAlias = Callable[[sqlite3.Connection], T]
"""Works inside a transaction that it may share. When one operation raises, all operations of its
transaction are rolled back and run again from the start, each in a transaction of its own. So an
operation that refuses its request must not raise: it must return the refusal, and change nothing."""

AfterGroup: TypeAlias = Callable[[sqlite3.Connection, int], None]
"""Called at the end of each transaction, with the number of operations in it."""

_MAX_OPERATIONS_PER_GROUP: Final = 512


class _Job(Generic[T]):
    """An operation, and the future that gets its result."""

    __slots__ = ("durable", "error", "operation", "result", "waiter")

    def __init__(
        self, operation: Operation[T], *, durable: bool, waiter: "asyncio.Future[T]"
    ) -> None:
        self.operation = operation
        self.durable = durable
        self.waiter = waiter
        self.result: T | None = None
        self.error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Run the operation.

        Raises:
            Exception: It failed, and what it changed must be rolled back.
        """
        self.result = self.error = None
        self.result = self.operation(connection)

    def deliver(self) -> None:
        """Resolve the future; runs on the event loop."""
        if self.waiter.done():
            return
        if self.error is None:
            self.waiter.set_result(self.result)  # type: ignore[arg-type] # of type T by now
        else:
            self.waiter.set_exception(self.error)


class Writer:
    """Runs operations in the order they come, many of them in one transaction.

    An operation is acknowledged after its transaction was committed. When one fails, all operations
    of its transaction are run again, each in a transaction of its own, so that only that one fails.

    Args:
        database: Its path, for errors, and how durable a commit must be.
        connection: Used by the thread alone from now on, which closes it.
        label: What is opened, such as "memory", for errors.
    """

    def __init__(self, database: Database, connection: sqlite3.Connection, *, label: str) -> None:
        self._database = database
        self._connection = connection
        self._label = label
        self._after: Mapping[object, AfterGroup] = {}  # replaced, as the thread goes through it
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._death: BaseException | None = None
        self._durable = True
        # A daemon, so that a program that never closes the file can end; the file survives that.
        self._thread = threading.Thread(
            target=self._work, name=f"arvo writer of {database.path}", daemon=True
        )
        self._thread.start()

    def run_after(self, work: AfterGroup) -> Callable[[], None]:
        """Run `work` at the end of each transaction from now on; if it raises, its operations fail.

        Returns:
            A function that removes `work`. Idempotent.
        """

        def remove() -> None:
            self._after = {each: it for each, it in self._after.items() if each is not key}

        key = object()
        self._after = {**self._after, key: work}
        return remove

    def submit(self, operation: Operation[T], *, durable: bool) -> "asyncio.Future[T]":
        """Queue an operation; it runs even if the future is cancelled.

        Args:
            operation: What to do.
            durable: Whether it must be on the disk when it is acknowledged, if the database's
                `synchronous` is "full".

        Returns:
            A future of its result. It raises a `BackendError` if SQLite failed or the thread has died.
        """
        job = _Job(operation, durable=durable, waiter=self._loop.create_future())
        # Queued before the check: a thread that dies after the check finds it in the queue.
        self._queue.put(job)
        if self._death is not None:
            self._fail_queued()
        return job.waiter

    async def aclose(self) -> None:
        """Run all queued operations and close the connection."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        group: list[_Job[Any]] = []
        try:
            while True:
                group, more = self._next_group()
                if group:
                    self._run(group)
                    self._report(group)
                    group = []
                if not more:
                    break
        except BaseException as death:
            _logger.critical("the writer of %s died", self._database.path, exc_info=True)
            self._death = death
            for job in group:
                job.error = self._dead(outcome="unknown")
            self._report(group)
            self._fail_queued()
        finally:
            self._connection.close()

    def _next_group(self) -> tuple[list[_Job[Any]], bool]:
        """Wait for operations; return all that are queued, and whether more may come."""
        job = self._queue.get()
        group: list[_Job[Any]] = []
        while job is not None:
            group.append(job)
            if len(group) == _MAX_OPERATIONS_PER_GROUP:
                return group, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _run(self, group: Sequence[_Job[Any]], *, outcome: Outcome = "failed") -> None:
        """Run a group in one transaction; if that fails, run each operation by itself.

        Args:
            group: What to run.
            outcome: The outcome of an earlier try.
        """
        try:
            self._transact(group)
            return
        except Exception as error:
            failure = error
        if isinstance(failure, _CannotCommit):
            outcome = "unknown"  # a commit record on the disk may count after a power cut
        if len(group) == 1 or isinstance(failure, _CannotBegin):
            for job in group:
                job.error = self._translated(failure, outcome=outcome)
            return
        for job in group:
            self._run([job], outcome=outcome)

    def _transact(self, group: Sequence[_Job[Any]]) -> None:
        connection = self._connection
        durable = any(job.durable for job in group)
        try:
            if durable != self._durable:
                self._database.set_durable(connection, durable=durable)
                self._durable = durable
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _CannotBegin(error) from error
        try:
            for job in group:
                job.run(connection)
            for work in self._after.values():
                work(connection, len(group))
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise _CannotCommit(error) from error
        except BaseException:
            # SQLite may have rolled back on its own.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _translated(self, error: Exception, *, outcome: Outcome) -> Exception:
        cause = error.cause if isinstance(error, _SqliteFailed) else error
        translated = backend_error(cause, where=self._database.path, outcome=outcome)
        translated.__cause__ = cause
        return translated

    def _report(self, group: Sequence[_Job[Any]]) -> None:
        def deliver() -> None:
            for job in jobs:
                job.deliver()

        jobs = tuple(group)
        try:
            self._loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            # The event loop was closed before the file, so nothing awaits the results.
            _logger.debug("the event loop of %s was closed; dropping results", self._database.path)

    def _fail_queued(self) -> None:
        """Fail all queued operations, after the death of the thread."""
        left: list[_Job[Any]] = []
        while True:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is not None:
                job.error = self._dead(outcome="failed")
                left.append(job)
        self._report(left)

    def _dead(self, *, outcome: Outcome) -> BackendError:
        error = BackendError(
            f"{self._database.path}: the writing thread has died of {self._death!r}; "
            f"open the {self._label} again",
            retryable=False,
            outcome=outcome,
        )
        error.__cause__ = self._death
        return error


class _SqliteFailed(Exception):
    def __init__(self, cause: sqlite3.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _CannotBegin(_SqliteFailed):
    """No operation was run."""


class _CannotCommit(_SqliteFailed):
    """All operations were run; whether they take effect is unknown."""
