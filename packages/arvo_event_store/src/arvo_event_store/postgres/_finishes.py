"""Finishing leases, with what is stored together with that."""

from collections.abc import Callable, Sequence
from typing import Final

from arvo_event_store._append import Appended
from arvo_event_store._errors import (
    ConflictError,
    EventIdReusedError,
    InvalidEventError,
    LeaseLostError,
    NotSupportedError,
    StreamClosedError,
)
from arvo_event_store._lease import Finish, Finished, Statement
from arvo_event_store.stores import FinishRow, append_requests, finish_row

from ._appending import Appending
from ._failures import store_errors
from ._finish_attempt import FinishAttempt, WorkFailedError, send_finishes
from ._sessions import PooledSession
from ._tables import Tables

_DONE: Final = Finished(error=None)
_REFUSALS: Final = (
    *(ConflictError, EventIdReusedError, InvalidEventError, LeaseLostError, StreamClosedError),
    *(TypeError, ValueError),
)
"""What outputs are refused with."""


class Finishes:
    """Ends leases, or lets them go on, and stores what belongs to that.

    Those without outputs are one statement. Outputs are an append in which all depends on the lease. Work
    is done in a transaction before that, as an append holds back everybody's horizon until it is committed.

    Args:
        session: Runs statements and transactions.
        tables: The tables.
        appending: Stores outputs.
        max_payload_bytes: How long the JSON of an event's data, meta and private data may be, each.
        stored: Called with what was appended, each time that outputs are stored.
    """

    def __init__(
        self,
        session: PooledSession,
        *,
        tables: Tables,
        appending: Appending,
        max_payload_bytes: int,
        stored: Callable[[Sequence[Appended]], None],
    ) -> None:
        self._session = session
        self._tables = tables
        self._appending = appending
        self._max_payload_bytes = max_payload_bytes
        self._stored = stored

    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        """See `IReactionStore.finish`."""
        rows = [finish_row(each) for each in finishes]
        for each in finishes:
            _check_works(each)
        answers = [_DONE] * len(rows)
        plain = [
            number for number, each in enumerate(finishes) if not each.appends and not each.work
        ]
        with store_errors():
            for numbers in _rounds(rows, plain):
                found = await self._plain([rows[number] for number in numbers])
                for number, answer in zip(numbers, found, strict=True):
                    answers[number] = answer
            for number, each in enumerate(finishes):
                if each.appends or each.work:
                    answers[number] = await self._with_outputs(each, rows[number])
        return answers

    async def _plain(self, rows: Sequence[FinishRow]) -> list[Finished]:
        found = await send_finishes(rows, run=self._session.run, tables=self._tables)
        finished = {row["number"] for row in found.rows}
        answers: list[Finished] = []
        for number, row in enumerate(rows, 1):
            lost = None
            if number not in finished:
                lost = await self._attempt(row, doubt=found.repeated).judge()
            answers.append(_DONE if lost is None else Finished(error=lost))
        return answers

    async def _with_outputs(self, finish: Finish, row: FinishRow) -> Finished:
        try:
            requests = append_requests(finish.appends, max_payload_bytes=self._max_payload_bytes)
            attempt = self._attempt(row, finish=finish)
            stored = await self._appending.store(requests, attempt=attempt.store)
        except WorkFailedError as failed:
            return Finished(error=failed.error)
        except _REFUSALS as error:
            return Finished(error=error)
        self._stored(stored)
        return _DONE

    def _attempt(
        self, row: FinishRow, *, finish: Finish | None = None, doubt: bool = False
    ) -> FinishAttempt:
        return FinishAttempt(
            self._session,
            tables=self._tables,
            appending=self._appending,
            row=row,
            works=() if finish is None else finish.work,
            doubt=doubt,
        )


def _rounds(rows: Sequence[FinishRow], numbers: Sequence[int]) -> list[list[int]]:
    """Return the numbers of rows in order, in lists that have each target once."""
    rounds: list[list[int]] = []
    seen: dict[tuple[str, str, str], int] = {}
    for number in numbers:
        lease = rows[number].lease
        key = (lease.group, lease.reaction, lease.key)
        place = seen.get(key, -1) + 1
        seen[key] = place
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(number)
    return rounds


def _check_works(finish: Finish) -> None:
    for work in finish.work:
        if not isinstance(work, Statement) and not callable(work):
            raise NotSupportedError(
                "the work of a finish must be a Statement or an async function that takes a "
                f"connection of asyncpg, got {work!r}"
            )
