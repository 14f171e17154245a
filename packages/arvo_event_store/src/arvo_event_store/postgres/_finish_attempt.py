"""The tries to finish one lease, and what it became of if an answer was lost."""

import inspect
from collections.abc import Sequence
from typing import Any

from arvo_event_store._errors import LeaseLostError
from arvo_event_store._lease import Statement, Work
from arvo_event_store.stores import AppendRequest, FinishRow, lost_lease, store_failure
from arvo_postgres import OpenTransaction, Rows, backend_error, is_connection_lost
from arvo_time import BackendError

from ._appending import Appending, Run, Tried
from ._claim_sql import STATE
from ._failures import asks_for_another_try
from ._finish_sql import FINISH_PARAMETERS, FinishForm, finish_values
from ._sessions import PooledSession
from ._tables import Tables


class WorkFailedError(Exception):
    """Work could not be done.

    Args:
        error: What it failed with.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        """What it failed with."""


class FinishAttempt:
    """The tries to finish one lease.

    A try whose answer was lost may have been the one that finished it, and then a further one finds that
    the lease has ended. So the target is looked at when a lease does not stand any more: our own token
    without an owner is what our finish leaves behind.

    Args:
        session: Runs statements and transactions.
        tables: The tables.
        appending: Sends outputs.
        row: The finish.
        works: What is done in its transaction.
        doubt: Whether the answer of a try was lost already.
    """

    def __init__(
        self,
        session: PooledSession,
        *,
        tables: Tables,
        appending: Appending,
        row: FinishRow,
        works: Sequence[Work] = (),
        doubt: bool = False,
    ) -> None:
        self._session = session
        self._tables = tables
        self._appending = appending
        self._row = row
        self._works = works
        self._doubt = doubt
        self._looked = False
        self._is_stored = False

    async def store(self, requests: Sequence[AppendRequest]) -> Tried:
        """Store what is left of the outputs, and finish the lease.

        Raises:
            LeaseLostError: The lease is lost.
            WorkFailedError: The work could not be done.
            BackendError: The database failed.
        """
        if not self._is_stored:
            tried = await self._tried(requests)
            self._doubt = self._doubt or tried.doubt
            if tried.stored is not None:
                return tried
            state = await self._state()
            if self._is_held(state):
                return tried
            if self._looked and requests:
                raise lost_lease(self._row.lease)
            lost = self._judged(state, can_look=bool(requests))
            if lost is not None:
                raise lost
        # What was stored is known by the ids of its events, or else the lease is lost.
        self._looked = True
        return Tried(None, self._doubt) if requests else Tried({}, False)

    async def judge(self) -> LeaseLostError | None:
        """Return what a finish without outputs is refused with, or None if it was stored.

        Raises:
            BackendError: Nobody can tell.
        """
        return self._judged(await self._state(), can_look=False)

    def _is_held(self, state: Any) -> bool:
        return state is not None and state["token"] == self._row.lease.token and state["is_owned"]

    def _judged(self, state: Any, *, can_look: bool) -> LeaseLostError | None:
        row = self._row
        if not self._doubt:
            return lost_lease(row.lease)
        if state is None:
            self._is_stored = row.gone
        else:
            self._is_stored = state["token"] == row.lease.token
        if self._is_stored or self._looked or can_look:
            return None
        raise BackendError(
            f"the answer of finishing {row.lease.group}/{row.lease.reaction}/{row.lease.key} was lost, "
            "and its target is somebody else's by now",
            retryable=True,
            outcome="unknown",
        )

    async def _tried(self, requests: Sequence[AppendRequest]) -> Tried:
        if self._works:
            return await self._in_transaction(requests)
        return await self._sent(requests, self._session.run_or_undo, joined=False)

    async def _sent(self, requests: Sequence[AppendRequest], run: Run, *, joined: bool) -> Tried:
        if requests:
            return await self._appending.send(requests, run=run, joined=joined, finish=self._row)
        found = await send_finishes([self._row], run=run, tables=self._tables)
        return Tried({} if found.rows else None, found.repeated)

    async def _in_transaction(self, requests: Sequence[AppendRequest]) -> Tried:
        """Do the work, then the rest, in one transaction, again if the database asks for that."""

        async def work(transaction: OpenTransaction) -> Tried:
            for each in self._works:
                await _do(each, transaction)
            tried = await self._sent(requests, transaction.run, joined=True)
            if tried.stored is None:
                raise _RefusedError
            return tried

        try:
            return await self._session.in_transaction("FINISH", work)
        except _RefusedError:
            return Tried(None, False)
        except BackendError as error:
            if error.outcome != "unknown":
                raise
            # The state tells, as it waits for a commit that is under way.
            state = await self._state()
            if not self._is_held(state):
                return Tried(None, True)
            if self._row.ttl is not None:
                if self._row.at == self._row.lease.at:
                    raise
                self._is_stored = state["at"] >= self._row.at
            if self._is_stored and not requests:
                return Tried({}, False)
            return Tried(None, self._is_stored)

    async def _state(self) -> Any:
        lease = self._row.lease
        sql = self._tables.sql(STATE)
        found = await self._session.run("FINISH", sql, lease.group, lease.reaction, lease.key)
        return found.row


async def send_finishes(rows: Sequence[FinishRow], *, run: Run, tables: Tables) -> Rows:
    """Send the statement for finishes without outputs.

    Args:
        rows: The finishes, each of another lease.
        run: Runs it.
        tables: The tables.

    Returns:
        The numbers, from 1, of those that are stored; of the others, the lease is lost.

    Raises:
        BackendError: The database failed.
    """
    values = finish_values(rows)
    sql = tables.sql(FinishForm.of(rows).template())
    return await run("FINISH", sql, *(values[name] for name in FINISH_PARAMETERS))


class _RefusedError(Exception):
    """The lease is lost, or an output was refused, so that the work is undone."""


async def _do(work: Work, transaction: OpenTransaction) -> None:
    """Do work in a transaction.

    Raises:
        WorkFailedError: It failed.
        BackendError: The connection was lost, or the database asks for another try.
    """
    try:
        if isinstance(work, Statement):
            await transaction.run("WORK", work.sql, *work.parameters)
            return
        done = work(transaction.connection)
        if not inspect.isawaitable(done):
            raise TypeError(f"work must be an async function, got {work!r}")
        await done
    except BackendError as error:
        if _is_passing(error.__cause__):
            raise
        raise WorkFailedError(store_failure(error)) from error.__cause__
    except Exception as error:
        if _is_passing(error):
            raise backend_error(error, what="WORK", outcome="failed") from error
        raise WorkFailedError(error) from error


def _is_passing(error: BaseException | None) -> bool:
    return error is not None and (is_connection_lost(error) or asks_for_another_try(error))
