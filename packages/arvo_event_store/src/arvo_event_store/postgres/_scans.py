"""Which events of the log concern which targets: reactions, and who scans for them."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from arvo_event_store._errors import StoreFailure
from arvo_event_store._event import Event
from arvo_event_store._query import Query
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Mark, ScanPage, UnroutedEvent
from arvo_event_store._target import TargetKind
from arvo_event_store.stores import (
    PAGE_BYTES,
    PAGE_EVENTS,
    READS,
    PageRange,
    ScanRange,
    changed_reaction,
    check_marks,
    check_name,
    check_reactions,
    check_scan,
    error_text,
    reaction_definition,
    scan_range,
)
from arvo_postgres import OpenTransaction
from arvo_time import BackendError
from arvo_time.settings import check_flag, check_instance

from ._failures import store_errors
from ._read_sql import HORIZON, PageQuestion
from ._scan_sql import DEFINITIONS, HOLD, LEAVE, MARK, MOVE, REDEFINE, REGISTER, SCAN
from ._sessions import PooledSession
from ._tables import Tables

_MOST_TRIES: Final = 20


class Scans:
    """Registers reactions, and keeps up to where each of them was scanned.

    Args:
        session: Runs statements and transactions.
        tables: The tables.
        changed: Called when targets were marked.
    """

    def __init__(
        self, session: PooledSession, *, tables: Tables, changed: Callable[[], None]
    ) -> None:
        self._session = session
        self._tables = tables
        self._changed = changed

    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        """See `IReactionStore.register`."""
        given = check_reactions(reactions, group=group)
        check_flag(redefine, name="redefine")
        with store_errors():
            if not await self._is_registered(group, given):
                await self._session.in_transaction(
                    "REGISTER", lambda each: self._register(each, group, given, redefine=redefine)
                )

    async def scan(
        self,
        group: str,
        *,
        owner: UUID,
        ttl: timedelta,
        reactions: Sequence[ReactionSpec],
        limit: int,
        leading: bool = True,
    ) -> ScanPage | None:
        """See `IReactionStore.scan`."""
        given = check_scan(
            group, owner=owner, ttl=ttl, reactions=reactions, limit=limit, leading=leading
        )
        rows = await self._run(
            "SCAN",
            SCAN,
            group,
            [each.name for each in given],
            [reaction_definition(each) for each in given],
            owner,
            ttl,
        )
        if not rows[0]["ok"]:
            await self._refuse(group, given)
        leased = {row["name"]: row for row in rows if row["name"] is not None}
        if not leased:
            return None
        asked = scan_range(
            {name: row["scanned"] for name, row in leased.items()},
            reactions=given,
            limit=min(limit, PAGE_EVENTS),
            leading=leading,
        )
        horizon = rows[0]["horizon"]
        events, upto = await self._page(asked, horizon=horizon)
        return ScanPage(
            group=group,
            owner=owner,
            tokens={name: leased[name]["token"] for name in asked.scanned},
            scanned=asked.scanned,
            events=events,
            upto=upto,
            complete=upto >= horizon,
            others=asked.others,
        )

    async def mark(
        self,
        page: ScanPage,
        marks: Sequence[Mark],
        *,
        unrouted: Sequence[UnroutedEvent] = (),
        progress: Collection[str],
    ) -> bool:
        """See `IReactionStore.mark`."""
        names = sorted(check_marks(page, marks, unrouted=unrouted, progress=progress))
        listed = [
            (mark.reaction, mark.key, position)
            for mark in marks
            if mark.reads is TargetKind.KEY
            for position in mark.positions
        ]
        values = (
            page.group,
            page.owner,
            names,
            [page.tokens[name] for name in names],
            page.upto,
            [mark.reaction for mark in marks],
            [mark.key for mark in marks],
            [mark.lane for mark in marks],
            [READS[mark.reads] for mark in marks],
            [mark.stream for mark in marks],
            [mark.at for mark in marks],
            [mark.mark for mark in marks],
            [reaction for reaction, _, _ in listed],
            [key for _, key, _ in listed],
            [position for _, _, position in listed],
            [each.reaction for each in unrouted],
            [each.position for each in unrouted],
            [error_text(each.error) for each in unrouted],
        )
        row = await self._marked(values)
        if row["changed"]:
            self._changed()
        stored: bool = row["ok"]
        return stored

    async def leave(self, group: str, *, owner: UUID) -> None:
        """See `IReactionStore.leave`."""
        check_name(group, path="group")
        await self._run("LEAVE", LEAVE, group, check_instance(owner, kind=UUID, name="owner"))

    # --- registering --------------------------------------------------------

    async def _is_registered(self, group: str, given: Sequence[ReactionSpec]) -> bool:
        stored = await self._definitions(group, given)
        return all(
            each.name in stored
            and json.loads(stored[each.name]) == json.loads(reaction_definition(each))
            for each in given
        )

    async def _register(
        self,
        transaction: OpenTransaction,
        group: str,
        given: Sequence[ReactionSpec],
        *,
        redefine: bool,
    ) -> None:
        async def run(sql: str, *args: object) -> list[Any]:
            return (await transaction.run("REGISTER", self._tables.sql(sql), *args)).rows

        names = [each.name for each in given]
        begins = {"beginning": 0}
        if any(each.start == "now" for each in given):
            begins["now"] = (await run(HORIZON))[0]["horizon"]
        starts = [
            each.start if isinstance(each.start, int) else begins[each.start] for each in given
        ]
        definitions = [reaction_definition(each) for each in given]
        await run(REGISTER, group, names, definitions, starts)
        stored = {row["name"]: row["definition"] for row in await run(HOLD, group, names)}
        for each in given:
            error = changed_reaction(each, group=group, stored=stored[each.name], redefine=redefine)
            if error is not None:
                raise error
        for each, definition in zip(given, definitions, strict=True):
            if json.loads(stored[each.name]) != json.loads(definition):
                await run(REDEFINE, group, each.name, definition)
                await run(MOVE, group, each.name, each.lane)

    async def _refuse(self, group: str, given: Sequence[ReactionSpec]) -> None:
        with store_errors():
            stored = await self._definitions(group, given)
        for each in given:
            error = changed_reaction(each, group=group, stored=stored.get(each.name))
            if error is not None:
                raise error
        raise StoreFailure(
            f"the reactions of group {group!r} are being redefined",
            retryable=True,
            outcome="failed",
        )

    async def _definitions(self, group: str, given: Sequence[ReactionSpec]) -> Mapping[str, str]:
        sql = self._tables.sql(DEFINITIONS)
        names = [each.name for each in given]
        rows = (await self._session.run("REGISTER", sql, group, names)).rows
        return {row["name"]: row["definition"] for row in rows}

    # --- scanning -----------------------------------------------------------

    async def _page(self, asked: ScanRange, *, horizon: int) -> tuple[Sequence[Event], int]:
        """Return the events of a page, and up to where it goes."""
        if asked.after >= horizon:
            return (), asked.upto((), horizon=horizon)
        page_range = PageRange(
            after=asked.after,
            upto=horizon,
            backward=False,
            limit=asked.limit,
            max_bytes=PAGE_BYTES,
            is_first=False,
        )
        question = PageQuestion.of_log(page_range, Query(names=asked.names))
        rows = await self._run("SCAN", question.sql, *question.values)
        page = question.page(rows, page_range, end=horizon, keep_damaged=True)
        if page.is_cut:
            return page.events, page.events[-1].position
        return page.events, asked.upto(page.events, horizon=horizon)

    async def _marked(self, values: Sequence[object]) -> Any:
        with store_errors():
            sql = self._tables.sql(MARK)
            for tried in range(1, _MOST_TRIES + 1):
                try:
                    return (await self._session.run("MARK", sql, *values)).row
                except BackendError as error:
                    born_meanwhile = isinstance(error.__cause__, asyncpg.DivisionByZeroError)
                    if not born_meanwhile or tried == _MOST_TRIES:
                        raise
        raise AssertionError("the last try returns or raises")

    async def _run(self, operation: str, sql: str, *args: object) -> list[Any]:
        with store_errors():
            return (await self._session.run(operation, self._tables.sql(sql), *args)).rows
