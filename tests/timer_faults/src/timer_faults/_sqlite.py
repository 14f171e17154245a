"""SQLite."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Self

from typing_extensions import override

from ._store import Store


class SqliteStore(Store):
    """A file; a new one each time it is emptied."""

    name: ClassVar[str] = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    @classmethod
    @override
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        yield cls(folder)

    @property
    @override
    def url(self) -> str:
        return f"sqlite:///{self._path}?synchronous=normal"

    @override
    async def empty(self) -> None:
        self._number += 1

    @override
    async def now(self) -> datetime:
        return datetime.now(UTC)

    @override
    async def let_pass(self, by: timedelta) -> None:
        milliseconds = by // timedelta(milliseconds=1)
        with closing(sqlite3.connect(self._path, timeout=20)) as connection:
            connection.execute(
                "UPDATE due SET at = at - ?1, ready_at = ready_at - ?1", [milliseconds]
            )
            connection.execute("UPDATE machine SET expires_at = expires_at - ?", [milliseconds])
            connection.commit()

    @override
    async def entries(self) -> int:
        with closing(sqlite3.connect(self._path, timeout=20)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM due").fetchone()
        return int(count)

    @property
    def _path(self) -> Path:
        return self._folder / f"timers-{self._number}.db"
