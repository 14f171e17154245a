"""Appending: one statement, and why it stored nothing if it did not."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias
from uuid import UUID

import asyncpg

from arvo_event_store._append import Appended
from arvo_event_store.stores import AppendRequest, FinishRow, KnownEvent, without_known
from arvo_postgres import Rows
from arvo_time import BackendError

from ._append_sql import LOOK, AppendForm
from ._tables import Tables

_MOST_TRIES: Final = 20
_REFUSED: Final = (asyncpg.UniqueViolationError, asyncpg.DivisionByZeroError)


class Session(Protocol):
    """Runs the statements of a log: on a pool, or in a transaction."""

    async def run(self, operation: str, sql: str, *args: object) -> Rows:
        """Run a statement that, when it is sent again, finds what it did the first time."""
        ...

    async def run_or_undo(self, operation: str, sql: str, *args: object) -> Rows:
        """Do the same; an error undoes nothing else."""
        ...


class Tried(NamedTuple):
    """What one try to store requests came to."""

    stored: dict[str, dict[str, int]] | None
    """Version and position of the last event, by stream; None if nothing was stored."""
    doubt: bool
    """Whether the answer of an earlier one was lost, which may still run."""


Try: TypeAlias = Callable[[Sequence[AppendRequest]], Awaitable[Tried]]
"""Stores requests, all or nothing; there may be none left."""

Run: TypeAlias = Callable[..., Awaitable[Rows]]
"""Runs a statement, as `Session.run_or_undo` does."""


class Appending:
    """Stores append requests.

    The statement is written for the usual case: nothing is known, and all is as expected. Only when it
    stored nothing, the reason is looked up. So a statement that is sent again because its answer was
    lost finds its own events, and is a duplicate.

    Args:
        session: Runs statements.
        tables: The tables.
        joined: Whether the session is a transaction, which may have several appends.
    """

    def __init__(self, session: Session, *, tables: Tables, joined: bool) -> None:
        self._session = session
        self._tables = tables
        self._joined = joined
        self._look = tables.sql(LOOK)
        self._sql: dict[tuple[AppendForm, bool], str] = {}

    async def store(
        self, requests: Sequence[AppendRequest], *, attempt: Try | None = None
    ) -> list[Appended]:
        """Store requests, all or nothing.

        Args:
            requests: What to store.
            attempt: Stores what is not known yet; None just appends it.

        Raises:
            EventIdReusedError: An id is in the log already, with other content.
            StreamClosedError: A stream is closed.
            ConflictError: A stream is not as expected.
            BackendError: The database failed.
        """
        answers = [without_known(each, known={}) for each in requests]
        doubt = False
        try:
            for _ in range(_MOST_TRIES):
                left = [each for each in answers if isinstance(each, AppendRequest)]
                stored, lost = await (attempt or self._appended)(left)
                if stored is not None:
                    return [
                        each if isinstance(each, Appended) else each.stored(**stored[each.stream])
                        for each in answers
                    ]
                doubt = doubt or lost
                answers = await self._looked_up(answers, left)
        except BackendError as error:
            if doubt:
                error.outcome = "unknown"
            raise
        raise BackendError(
            f"an append was refused {_MOST_TRIES} times, although all is as it expects; look for a "
            "trigger or a rule of the database",
            retryable=True,
            outcome="unknown" if doubt else "failed",
        )

    async def send(
        self,
        requests: Sequence[AppendRequest],
        *,
        run: Run,
        joined: bool,
        finish: FinishRow | None = None,
    ) -> Tried:
        """Send the statement once.

        Args:
            requests: What to store, at least one.
            run: Runs it.
            joined: Whether it may be one of several in a transaction.
            finish: The lease that is finished with it, if that still stands.

        Raises:
            BackendError: The database failed.
        """
        form = AppendForm.of(requests, finish=finish)
        sql = self._sql.get((form, joined))
        if sql is None:
            sql = self._sql[form, joined] = form.sql(self._tables, joined=joined)
        try:
            found = await run("APPEND", sql, *form.values(requests, finish=finish))
        except BackendError as error:
            if isinstance(error.__cause__, _REFUSED):
                return Tried(None, error.outcome == "unknown")
            raise
        if not found.rows:
            return Tried(None, found.repeated)
        stored = {
            row["stream"]: {"version": row["version"], "position": row["position"]}
            for row in found.rows
        }
        return Tried(stored, found.repeated)

    async def _appended(self, requests: Sequence[AppendRequest]) -> Tried:
        if not requests:
            return Tried({}, False)
        return await self.send(requests, run=self._session.run_or_undo, joined=self._joined)

    async def _looked_up(
        self, answers: Sequence[AppendRequest | Appended], left: Sequence[AppendRequest]
    ) -> list[AppendRequest | Appended]:
        """Answer what is known, and check the others; none is wrong if it may be sent again."""
        ids = [event.id for each in left for event in each.events]
        streams = [each.stream for each in left]
        known: dict[UUID, KnownEvent] = {}
        heads: dict[str, Any] = {}
        for row in (await self._session.run("APPEND", self._look, ids, streams)).rows:
            if row["id"] is None:
                heads[row["stream"]] = row
            else:
                known[row["id"]] = KnownEvent(
                    row["stream"], row["version"], row["position"], row["name"], row["data"]
                )
        found = [
            without_known(each, known=known) if isinstance(each, AppendRequest) else each
            for each in answers
        ]
        for each in found:
            if isinstance(each, AppendRequest):
                head = heads.get(each.stream)
                each.check_head(
                    version=None if head is None else head["version"],
                    closed=head is not None and head["closed"],
                )
        return found


def last_position(answers: Sequence[Appended]) -> int | None:
    """Return the highest position that appends stored; None if they stored nothing."""
    stored = [each.position for each in answers if each.position and not each.duplicate]
    return max(stored, default=None)
