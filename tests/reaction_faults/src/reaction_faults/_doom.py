"""Strikes this process, by a signal, at a point of its work."""

import os
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from signal import SIGKILL, Signals
from typing import Any, Literal

import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class Doom:
    """What strikes a worker, once."""

    before: int | Literal["finish"]
    """Before its statement of this number, from 0, counted from the first claim that found work; or before
    the first finish that stores events."""
    signal: Signals = SIGKILL
    """What is sent."""


class Fate:
    """Waits for the point at which a doom strikes this process; made before the store is opened.

    Args:
        doom: The doom.
    """

    def __init__(self, doom: Doom) -> None:
        self._doom = doom
        self._left: int | None = None
        if doom.before != "finish":
            _count_statements(self._count)

    def watch(self, store: Any) -> None:
        """Watch the only store of this process, before it is used."""
        claim, finish = store.claim, store.finish

        async def claimed(*args: Any, **options: Any) -> Any:
            leases = await claim(*args, **options)
            if leases and self._left is None and self._doom.before != "finish":
                self._left = self._doom.before
            return leases

        async def finished(finishes: Any) -> Any:
            if any(each.appends for each in finishes):
                store.finish = finish
                os.kill(os.getpid(), self._doom.signal)
            return await finish(finishes)

        store.claim = claimed
        if self._doom.before == "finish":
            store.finish = finished

    def _count(self, _: object = None) -> None:
        if self._left is None:
            return
        if self._left == 0:
            os.kill(os.getpid(), self._doom.signal)
        self._left -= 1


def _count_statements(count: Callable[..., None]) -> None:
    """Let something be called before each statement of this process."""
    for name in ("fetch", "execute"):
        _count_calls(asyncpg.Connection, name, count)
    connect = sqlite3.connect

    def counted(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = counted  # type: ignore[assignment]


def _count_calls(kind: type[Any], name: str, count: Callable[..., None]) -> None:
    call: Callable[..., Awaitable[Any]] = getattr(kind, name)

    @wraps(call)
    async def counted(*args: Any, **options: Any) -> Any:
        count()
        return await call(*args, **options)

    setattr(kind, name, counted)
