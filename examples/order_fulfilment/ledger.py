"""Stock and money, in a SQLite file that several runs may share.

Transports deliver at least once, so a service may be asked the same thing twice. The ledger keeps
what each request, known by its source and id, was answered, in the transaction that books it:
a second time books nothing and answers the same.

A commit costs more than what is booked in it. So what is asked while one commit is under way waits
and shares the next one, and nobody is answered before the commit that holds the answer.
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
"""What a new ledger starts with."""


class Books:
    """What can be looked up and booked within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def price(self, sku: str) -> int | None:
        """Return the price in cents; None for an article nobody sells."""
        row = self._execute("SELECT price FROM stock WHERE sku = ?", (sku,)).fetchone()
        return None if row is None else int(row[0])

    def available(self, sku: str) -> int:
        """Return how many pieces are on the shelf."""
        row = self._execute("SELECT available FROM stock WHERE sku = ?", (sku,)).fetchone()
        return 0 if row is None else int(row[0])

    def move_stock(self, sku: str, quantity: int) -> None:
        """Put pieces on the shelf, or take them when negative."""
        self._execute("UPDATE stock SET available = available + ? WHERE sku = ?", (quantity, sku))

    def post_payment(self, order_id: str, amount: int) -> None:
        """Note money that came in, or went out when negative."""
        self._execute("INSERT INTO payment VALUES (?, ?)", (order_id, amount))

    def post_shipment(self, order_id: str, tracking: str) -> None:
        """Note goods that went out."""
        self._execute("INSERT INTO shipment VALUES (?, ?)", (order_id, tracking))

    def _execute(self, statement: str, parameters: tuple[object, ...]) -> sqlite3.Cursor:
        if not self._connection.in_transaction:  # what is booked now would stay
            raise sqlite3.OperationalError("SQLite took back the transaction; book no more in it")
        return self._connection.execute(statement, parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One request on its way into the books."""

    request: ArvoEvent
    work: Callable[[Books], Emit]
    """Books and says what to answer."""
    context: Context
    """What the asker's context variables were."""
    answered: asyncio.Future[Emit]
    """Is done once the answer is committed."""


class Ledger:
    """The books in a file, for the tasks of one event loop. Many processes may share the file.

    Args:
        path: The file; made and filled from the catalogue when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        # Survives a killed process; only a machine that loses power may forget the last moments.
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
        """Book what a request asks for, unless that was done before, and return the answer.

        It is committed when it is returned, together with what others ask at the same time.

        Args:
            request: The service's request.
            work: Books and says what to answer; runs in a thread, with the asker's context
                variables. When it raises, nothing of this request is booked, and nothing changes
                for the others. It is called again when SQLite took back what was booked.

        Raises:
            BaseException: What `work` raises.
            sqlite3.Error: It could not be booked or committed.
            RuntimeError: There is no thread to book it in, as when the event loop shuts down.
            asyncio.CancelledError: Also when the task that books for all was cancelled. Whether
                it is booked is then unknown; ask again.
        """
        answered: asyncio.Future[Emit] = asyncio.get_running_loop().create_future()
        self._waiting.append(
            _Entry(request=request, work=work, context=copy_context(), answered=answered)
        )
        if self._clerk is None or self._clerk.done():
            # Of no context: it works for all who ask.
            self._clerk = asyncio.create_task(self._book_waiting(), context=Context())
            self._clerk.add_done_callback(self._let_go)
        return await answered

    def stock(self) -> dict[str, int]:
        """Return how many pieces of each article are on the shelf."""
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
        """Book group after group until nobody waits."""
        while self._waiting:
            await self._gather()
            group, self._waiting = self._waiting, []
            try:
                # SQLite blocks, so it works in a thread and leaves the event loop alone.
                outcomes = await asyncio.to_thread(self._book_group, group)
            except Exception as error:  # there is no thread
                outcomes = [copy(error) for _ in group]
            except BaseException:
                _give_up(group)
                raise
            for entry, outcome in zip(group, outcomes, strict=True):
                _settle(entry.answered, outcome)

    def _let_go(self, clerk: asyncio.Task[None]) -> None:
        """Let nobody wait for a clerk that was cancelled, perhaps before it began."""
        if self._clerk is clerk:  # and no other has taken over
            waiting, self._waiting = self._waiting, []
            _give_up(waiting)

    async def _gather(self) -> None:
        """Wait as long as each turn of the event loop brings further requests."""
        known = 0
        while len(self._waiting) > known:
            known = len(self._waiting)
            await asyncio.sleep(0)

    def _book_group(self, group: Sequence[_Entry]) -> Sequence[Emit | BaseException]:
        """Book and commit a group, and return what to tell each.

        When that fails, nothing is committed. One of the group is to blame, so each is booked
        again by itself.
        """
        begun = False
        try:
            with self._transaction():
                begun = True
                return [self._book(entry) for entry in group]
        except BaseException as error:
            if len(group) == 1:
                return [error]
            if not begun:  # nobody is to blame, and waiting for the file once was long enough
                return [copy(error) for _ in group]
        return [outcome for entry in group for outcome in self._book_group([entry])]

    def _book(self, entry: _Entry) -> Emit | BaseException:
        """Book one request of a group; what it raises takes back its own bookings alone.

        Raises:
            BaseException: What made SQLite take back the whole transaction.
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
            if not self._connection.in_transaction:  # or the answer alone would be kept
                raise sqlite3.OperationalError("SQLite took back what was booked")
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
                if self._connection.in_transaction:  # SQLite itself takes back what fails badly
                    self._connection.execute("ROLLBACK")
                raise


def _as_json(data: object) -> str:
    return data.model_dump_json() if isinstance(data, BaseModel) else json.dumps(data)


def _settle(answered: asyncio.Future[Emit], outcome: Emit | BaseException) -> None:
    if answered.done():  # whoever asked was cancelled meanwhile
        return
    match outcome:
        case StopIteration():  # a future takes none, as no coroutine may raise one (PEP 479)
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
