"""Stock and money, in a SQLite file that several runs may share.

Transports deliver at least once, so a service may be asked the same thing twice. The ledger keeps
what each request, known by its source and id, was answered, in the transaction that books it:
a second time books nothing and answers the same.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        row = self._connection.execute("SELECT price FROM stock WHERE sku = ?", (sku,)).fetchone()
        return None if row is None else int(row[0])

    def available(self, sku: str) -> int:
        """Return how many pieces are on the shelf."""
        row = self._connection.execute(
            "SELECT available FROM stock WHERE sku = ?", (sku,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def move_stock(self, sku: str, quantity: int) -> None:
        """Put pieces on the shelf, or take them when negative."""
        self._connection.execute(
            "UPDATE stock SET available = available + ? WHERE sku = ?", (quantity, sku)
        )

    def post_payment(self, order_id: str, amount: int) -> None:
        """Note money that came in, or went out when negative."""
        self._connection.execute("INSERT INTO payment VALUES (?, ?)", (order_id, amount))

    def post_shipment(self, order_id: str, tracking: str) -> None:
        """Note goods that went out."""
        self._connection.execute("INSERT INTO shipment VALUES (?, ?)", (order_id, tracking))


class Ledger:
    """The books in a file. Any number of threads and processes may use it.

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

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def answer_once(self, request: ArvoEvent, work: Callable[[Books], Emit]) -> Emit:
        """Book what a request asks for, unless that was done before, and return the answer.

        Args:
            request: The service's request.
            work: Books and says what to answer. When it raises, nothing is booked.
        """
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT type, data FROM answer WHERE source = ? AND id = ?",
                (request.source, request.id),
            ).fetchone()
            if known is not None:
                return Emit(known[0], json.loads(known[1]))
            answer = work(Books(connection))
            connection.execute(
                "INSERT INTO answer VALUES (?, ?, ?, ?)",
                (request.source, request.id, answer.type, _as_json(answer.data)),
            )
            return answer

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

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _as_json(data: object) -> str:
    return data.model_dump_json() if isinstance(data, BaseModel) else json.dumps(data)
