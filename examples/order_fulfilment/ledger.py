"""Stock and money, in a SQLite file that several runs may share.

Transports deliver at least once, so a service may get the same request twice. The ledger stores the
answer to each request, under its source and id, in the transaction that books it: a second delivery
books nothing and gets the same answer.

A commit costs more than the bookings in it. So requests that arrive during one commit wait and share
the next one, and no request is answered before the commit that holds its answer.
"""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from arvo_core import ArvoEvent
from arvo_event_handler import Emit

_SCHEMA = """
CREATE TABLE IF NOT EXISTS stock (
    sku TEXT PRIMARY KEY,
    price INTEGER NOT NULL,
    available INTEGER NOT NULL CHECK (available >= 0)
) STRICT;
CREATE TABLE IF NOT EXISTS payment (order_id TEXT NOT NULL, amount INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS shipment (order_id TEXT NOT NULL, tracking TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS answer (
    source TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (source, id)
) STRICT;
"""

CATALOGUE = {
    # sku: price in cents, pieces on the shelf
    "tea-green": (650, 2_000),
    "tea-black": (550, 2_000),
    "pot-clay": (4_900, 500),
    "cup-set": (2_400, 500),
    "kettle-steel": (8_900, 300),
    "samovar": (49_900, 60),
    "tea-first-flush": (3_900, 2),
}
"""The content of a new ledger."""


class Books:
    """Queries and bookings within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def price(self, sku: str) -> int | None:
        """Return the price in cents; None for an unknown article."""
        row = self._execute("SELECT price FROM stock WHERE sku = ?", (sku,)).fetchone()
        return None if row is None else int(row[0])

    def available(self, sku: str) -> int:
        """Return the number of pieces on the shelf."""
        row = self._execute("SELECT available FROM stock WHERE sku = ?", (sku,)).fetchone()
        return 0 if row is None else int(row[0])

    def move_stock(self, sku: str, quantity: int) -> None:
        """Add pieces to the shelf; a negative quantity takes them off."""
        self._execute("UPDATE stock SET available = available + ? WHERE sku = ?", (quantity, sku))

    def post_payment(self, order_id: str, amount: int) -> None:
        """Record a payment; a negative amount is a refund."""
        self._execute("INSERT INTO payment VALUES (?, ?)", (order_id, amount))

    def post_shipment(self, order_id: str, tracking: str) -> None:
        """Record a shipment."""
        self._execute("INSERT INTO shipment VALUES (?, ?)", (order_id, tracking))

    def _execute(self, statement: str, parameters: tuple[object, ...]) -> sqlite3.Cursor:
        if not self._connection.in_transaction:  # a booking now would be committed on its own
            raise sqlite3.OperationalError(
                "SQLite rolled back the transaction; it must not be used"
            )
        return self._connection.execute(statement, parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One request on its way into the books."""

    request: ArvoEvent
    work: Callable[[Books], Emit]
    """Books the request and returns the answer."""
    context: Context
    """The context variables of the asker."""
    answered: asyncio.Future[Emit]
    """Done once the answer is committed."""


class Ledger:
    """The books in a file, for the tasks of one event loop. Many processes may share the file.

    Args:
        path: The file; created and filled from the catalogue when it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        # Survives a killed process; only a power failure may lose the last commits.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)
        self._connection.executemany(
            "INSERT OR IGNORE INTO stock VALUES (?, ?, ?)",
            [(sku, price, pieces) for sku, (price, pieces) in CATALOGUE.items()],
        )
        self._waiting: list[_Entry] = []
        self._clerk: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    async def answer_once(self, request: ArvoEvent, work: Callable[[Books], Emit]) -> Emit:
        """Book a request, unless that was done before, and return its answer.

        The answer is committed before it is returned, together with concurrent requests.

        Args:
            request: The service's request.
            work: Books the request and returns the answer; runs in a thread, with the asker's
                context variables. When it raises, nothing of this request is booked, and the other
                requests are not affected. It is called again when SQLite rolled back its bookings.

        Raises:
            BaseException: What `work` raises.
            sqlite3.Error: The request could not be booked or committed.
            RuntimeError: No thread can be started, as when the event loop shuts down.
            asyncio.CancelledError: Also when the task that books for all was cancelled. Whether
                the request is booked is then unknown; ask again.
        """
        answered: asyncio.Future[Emit] = asyncio.get_running_loop().create_future()
        self._waiting.append(
            _Entry(request=request, work=work, context=copy_context(), answered=answered)
        )
        if self._clerk is None or self._clerk.done():
            # In an empty context, as it works for all askers.
            self._clerk = asyncio.create_task(self._book_waiting(), context=Context())
            self._clerk.add_done_callback(self._release_waiting)
        return await answered

    def stock(self) -> dict[str, int]:
        """Return the number of pieces of each article on the shelf."""
        with self._transaction() as connection:
            return dict(connection.execute("SELECT sku, available FROM stock"))

    def payments(self) -> list[tuple[str, int]]:
        """Return each payment: the order and the amount, negative for a refund."""
        with self._transaction() as connection:
            return list(connection.execute("SELECT order_id, amount FROM payment"))

    def shipments(self) -> list[tuple[str, str]]:
        """Return each shipment: the order and the tracking number."""
        with self._transaction() as connection:
            return list(connection.execute("SELECT order_id, tracking FROM shipment"))

    async def _book_waiting(self) -> None:
        """Book group after group until no request waits."""
        while self._waiting:
            await self._gather()
            group, self._waiting = self._waiting, []
            try:
                # SQLite blocks, so it works in a thread and leaves the event loop alone.
                outcomes = await asyncio.to_thread(self._book_group, group)
            except Exception as error:  # no thread could be started
                outcomes = [copy(error) for _ in group]
            except BaseException:
                _give_up(group)
                raise
            for entry, outcome in zip(group, outcomes, strict=True):
                _settle(entry.answered, outcome)

    def _release_waiting(self, clerk: asyncio.Task[None]) -> None:
        """Cancel the requests that wait for a clerk that was cancelled, perhaps before it began."""
        if self._clerk is clerk:  # and no other has taken over
            waiting, self._waiting = self._waiting, []
            _give_up(waiting)

    async def _gather(self) -> None:
        """Wait as long as each iteration of the event loop brings more requests."""
        known = 0
        while len(self._waiting) > known:
            known = len(self._waiting)
            await asyncio.sleep(0)

    def _book_group(self, group: Sequence[_Entry]) -> Sequence[Emit | BaseException]:
        """Book and commit a group, and return the outcome of each request.

        If that fails, nothing is committed. One of the group caused it, so each is booked again by
        itself.
        """
        begun = False
        try:
            with self._transaction():
                begun = True
                return [self._book(entry) for entry in group]
        except BaseException as error:
            if len(group) == 1:
                return [error]
            if not begun:  # no request caused it, and one wait for the file is long enough
                return [copy(error) for _ in group]
        return [outcome for entry in group for outcome in self._book_group([entry])]

    def _book(self, entry: _Entry) -> Emit | BaseException:
        """Book one request of a group; an exception of its work rolls back only its own bookings.

        Raises:
            BaseException: What made SQLite roll back the whole transaction.
        """
        request = entry.request
        known = self._connection.execute(
            "SELECT type, data FROM answer WHERE source = ? AND id = ?",
            (request.source, request.id),
        ).fetchone()
        if known is not None:
            return Emit(known[0], json.loads(known[1]))
        self._connection.execute("SAVEPOINT entry")
        try:
            # A copy, so that it may be run again as if for the first time.
            answer = entry.context.copy().run(entry.work, Books(self._connection))
            if not self._connection.in_transaction:  # or only the answer would be committed
                raise sqlite3.OperationalError("SQLite rolled back the bookings")
            self._connection.execute(
                "INSERT INTO answer VALUES (?, ?, ?, ?)",
                (request.source, request.id, answer.type, _as_json(answer.data)),
            )
        except BaseException as error:
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO entry")
            self._connection.execute("RELEASE entry")
            return error
        self._connection.execute("RELEASE entry")
        return answer

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back on severe errors
                    self._connection.execute("ROLLBACK")
                raise


def _as_json(data: object) -> str:
    return data.model_dump_json() if isinstance(data, BaseModel) else json.dumps(data)


def _settle(answered: asyncio.Future[Emit], outcome: Emit | BaseException) -> None:
    if answered.done():  # the asker was cancelled meanwhile
        return
    match outcome:
        case StopIteration():  # a future refuses it, as no coroutine may raise one (PEP 479)
            error = RuntimeError("work raised StopIteration")
            error.__cause__ = outcome
            answered.set_exception(error)
        case BaseException():
            answered.set_exception(outcome)
        case _:
            answered.set_result(outcome)


def _give_up(entries: Sequence[_Entry]) -> None:
    for entry in entries:
        entry.answered.cancel()
