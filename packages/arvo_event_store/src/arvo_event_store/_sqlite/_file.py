"""Calls of the store to its file, and what becomes of their errors."""

import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from arvo_event_store._errors import EventStoreError, StoreFailure
from arvo_event_store.stores import store_failure
from arvo_sqlite import SqliteClient
from arvo_time import BackendError, Clock

from ._changes import FileChanges, state_of
from ._refusal import Refusal
from ._work import WorkRunner

T = TypeVar("T")


class StoreFile:
    """The file of a store, which may have other users.

    Args:
        client: Its client.
        max_payload_bytes: How long the JSON of a payload may be.
        clock: When something is stored.
    """

    def __init__(self, client: SqliteClient, *, max_payload_bytes: int, clock: Clock) -> None:
        self._client = client
        self._closed = False
        self.changes: Final = FileChanges(clock)
        self.runner: Final = WorkRunner(max_payload_bytes=max_payload_bytes, clock=clock)
        self.max_payload_bytes: Final = max_payload_bytes
        self.clock: Final = clock

    def close(self) -> None:
        """Refuse all calls from now on, also those that wait for a change. Idempotent."""
        self._closed = True
        self.changes.wake()

    async def write(
        self,
        name: str,
        operation: Callable[[sqlite3.Connection], T | Refusal],
        *,
        collection: str = "event",
        durable: bool = True,
    ) -> T:
        """Run an operation in a transaction of the writer.

        Args:
            name: Its name in spans.
            operation: What to do. It refuses by an `EventStoreError`, before it changes anything, or
                returns a `Refusal`.
            collection: The table that it works on, for spans.
            durable: Whether it must survive a power cut. What is written later never survives
                without it.

        Raises:
            StoreFailure: SQLite failed, or the store is closed.
            EventStoreError: The operation refused, as other errors of a `Refusal`.
        """
        self.check_open()
        return await _answered(
            lambda: self._client.write(
                partial(_answer, operation), name=name, collection=collection, durable=durable
            )
        )

    async def write_telling(
        self,
        name: str,
        operation: Callable[[sqlite3.Connection], T | Refusal],
        *,
        collection: str = "event",
        durable: bool = True,
    ) -> T:
        """Run an operation as `write` does, and tell those who wait if there may be work after it."""
        before, done, after = await self.write(
            name,
            lambda connection: (state_of(connection), operation(connection), state_of(connection)),
            collection=collection,
            durable=durable,
        )
        if after != before:
            self.changes.tell_own(after)
        if isinstance(done, Refusal):
            done.raise_in_caller()
        return done

    async def read(
        self,
        name: str | None,
        query: Callable[[sqlite3.Connection], T | Refusal],
        *,
        collection: str = "event",
    ) -> T:
        """Run a query beside the writer.

        Args:
            name: Its name in spans; None makes none, for what is asked many times a second.
            query: What to ask.
            collection: The table that it reads, for spans.

        Raises:
            StoreFailure: SQLite failed, the store is closed, or a row is damaged.
        """
        self.check_open()
        return await _answered(
            lambda: self._client.read(partial(_answer, query), name=name, collection=collection)
        )

    def check_open(self) -> None:
        """Check that the store was not closed.

        Raises:
            StoreFailure: It was.
        """
        if self._closed:
            raise StoreFailure(
                f"{self._client.path}: the store was closed; open it again",
                retryable=False,
                outcome="failed",
            )


class OnFile:
    """A part of a store: calls on its file.

    Args:
        file: The file.
    """

    def __init__(self, file: StoreFile) -> None:
        self._file = file


def _answer(
    work: Callable[[sqlite3.Connection], T | Refusal], connection: sqlite3.Connection
) -> T | Refusal:
    """Return a refusal instead of raising it: the file has not failed."""
    try:
        return work(connection)
    except EventStoreError as error:
        return Refusal(error)


async def _answered(call: Callable[[], Awaitable[T | Refusal]]) -> T:
    try:
        answer = await call()
    except BackendError as error:
        raise store_failure(error) from error.__cause__
    if isinstance(answer, Refusal):
        answer.raise_in_caller()
    return answer
