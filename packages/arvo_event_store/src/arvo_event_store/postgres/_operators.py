"""What operators do with reactions and their targets."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

from arvo_event_store._errors import NotSupportedError
from arvo_event_store._reaction_state import ParkedEvent, ReactionLag
from arvo_event_store._target import TargetKind, TargetState
from arvo_event_store.stores import (
    MAX_POSITION,
    PAGE_EVENTS,
    check_name,
    missing_reaction,
    replay_key,
)
from arvo_postgres import OpenTransaction
from arvo_time.settings import check_count, check_flag, check_instance

from ._failures import store_errors
from ._operator_sql import (
    FREE_PARKED,
    HOLD_PARKED,
    LAG,
    PARKED,
    REPLAY,
    RESET,
    SKIP,
    UNBLOCK,
    parked_of,
    target_of,
    targets_sql,
)
from ._scan_sql import HOLD
from ._sessions import PooledSession
from ._tables import Tables


class Operators:
    """Lists targets and parked events, and sets going what stopped.

    Args:
        session: Runs statements and transactions.
        tables: The tables.
        changed: Called when targets were set going.
    """

    def __init__(
        self, session: PooledSession, *, tables: Tables, changed: Callable[[], None]
    ) -> None:
        self._session = session
        self._tables = tables
        self._changed = changed

    def targets(
        self, group: str, *, reaction: str | None = None, blocked: bool | None = None
    ) -> AsyncIterator[TargetState]:
        """See `IReactionStore.targets`."""
        _check_names(group, reaction)
        if blocked is not None:
            check_flag(blocked, name="blocked")
        return self._targets(group, reaction, blocked=blocked)

    async def _targets(
        self, group: str, reaction: str | None, *, blocked: bool | None
    ) -> AsyncGenerator[TargetState, None]:
        sql = targets_sql(blocked=blocked)
        last = ("", "")
        while True:
            rows = await self._run("TARGETS", sql, group, reaction, *last)
            for row in rows:
                yield target_of(row)
            if len(rows) < PAGE_EVENTS:
                return
            last = (rows[-1]["reaction"], rows[-1]["key"])

    async def lag(self, group: str, *, horizon: int) -> list[ReactionLag]:
        """See `IReactionStore.lag`; the horizon is up to where there may be something to scan."""
        return [
            ReactionLag(
                reaction=row["name"],
                scanned=row["scanned"],
                unscanned=0 if row["addressed"] else max(horizon - row["scanned"], 0),
                pending=row["pending"],
                asleep=row["asleep"],
                blocked=row["blocked"],
                parked=row["parked"],
                oldest=row["oldest"],
            )
            for row in await self._run("LAG", LAG, group)
        ]

    async def unblock(self, group: str, *, reaction: str, key: str | None = None) -> int:
        """See `IReactionStore.unblock`."""
        _check_names(group, reaction)
        if key is not None:
            check_name(key, path="key")
        return await self._freed("UNBLOCK", UNBLOCK, group, reaction, key)

    async def skip(self, group: str, *, reaction: str, key: str) -> bool:
        """See `IReactionStore.skip`."""
        _check_names(group, reaction)
        check_name(key, path="key")
        return bool(await self._freed("SKIP", SKIP, group, reaction, key))

    async def reset(self, group: str, *, reaction: str, after: int) -> None:
        """See `IReactionStore.reset`."""
        _check_names(group, reaction)
        check_count(after, name="after", most=MAX_POSITION)

        async def work(transaction: OpenTransaction) -> None:
            sql = self._tables.sql(HOLD)
            row = (await transaction.run("RESET", sql, group, [reaction])).row
            if row is None:
                raise missing_reaction(reaction, group=group)
            if json.loads(row["definition"])["addressed"]:
                raise NotSupportedError(
                    f"reaction {reaction!r} of group {group!r} is addressed, so no scan would find its "
                    "events again; append them again with wakes"
                )
            for sql in RESET:
                await transaction.run("RESET", self._tables.sql(sql), group, reaction, after)

        with store_errors():
            await self._session.in_transaction("RESET", work)
        self._changed()

    def parked(self, group: str, *, reaction: str | None = None) -> AsyncIterator[ParkedEvent]:
        """See `IReactionStore.parked`."""
        _check_names(group, reaction)
        return self._parked(group, reaction)

    async def _parked(self, group: str, reaction: str | None) -> AsyncGenerator[ParkedEvent, None]:
        last = ("", "", 0)
        while True:
            rows = await self._run("PARKED", PARKED, group, reaction, *last)
            for row in rows:
                yield parked_of(row)
            if len(rows) < PAGE_EVENTS:
                return
            last = (rows[-1]["reaction"], rows[-1]["key"], rows[-1]["position"])

    async def replay(self, group: str, parked: Sequence[ParkedEvent]) -> int:
        """See `IReactionStore.replay`."""
        check_name(group, path="group")
        for each in parked:
            check_instance(each, kind=ParkedEvent, name="parked")
        with store_errors():
            count = await self._session.in_transaction(
                "REPLAY", lambda transaction: self._replay(transaction, group, parked)
            )
        if count:
            self._changed()
        return count

    async def _replay(
        self, transaction: OpenTransaction, group: str, parked: Sequence[ParkedEvent]
    ) -> int:
        async def run(sql: str, *args: object) -> list[Any]:
            return (await transaction.run("REPLAY", self._tables.sql(sql), *args)).rows

        names = sorted({each.reaction for each in parked})
        definitions = {
            row["name"]: json.loads(row["definition"]) for row in await run(HOLD, group, names)
        }
        known = {
            (each.reaction, each.key, each.position)
            for each in parked
            if each.reaction in definitions
        }
        held = [
            (row["reaction"], row["key"], row["position"])
            for row in await run(HOLD_PARKED, group, *_columns(sorted(known), width=3))
        ]
        targets = [
            (
                reaction,
                replay_key(
                    reads=TargetKind(definitions[reaction]["to"]), key=key, position=position
                ),
                definitions[reaction]["lane"],
                position,
            )
            for reaction, key, position in held
        ]
        if held:
            await run(FREE_PARKED, group, *_columns(held, width=3))
            await run(REPLAY, group, *_columns(targets, width=4))
        return len(held)

    async def _freed(self, operation: str, sql: str, *args: object) -> int:
        (row,) = await self._run(operation, sql, *args)
        count: int = row["count"]
        if count:
            self._changed()
        return count

    async def _run(self, operation: str, sql: str, *args: object) -> list[Any]:
        with store_errors():
            return (await self._session.run(operation, self._tables.sql(sql), *args)).rows


def _columns(rows: Sequence[tuple[Any, ...]], *, width: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(width)]


def _check_names(group: str, reaction: str | None) -> None:
    check_name(group, path="group")
    if reaction is not None:
        check_name(reaction, path="reaction")
