"""Leases of targets: which are handed out, with which events, and for how long."""

import json
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from arvo_event_store._lease import Lease
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import Ready
from arvo_event_store.stores import (
    check_claim,
    check_lanes,
    check_lease,
    check_leases,
    reaction_definition,
)

from ._claim_sql import EXTEND, READY, RELEASE, WAKE, claim_sql, text_limit, windows_sql
from ._failures import store_errors
from ._read_sql import event_of
from ._sessions import PooledSession
from ._tables import Tables
from ._target_sql import KINDS

_NOTHING: Final = timedelta(0)


class Claims:
    """Hands out targets.

    Args:
        session: Runs statements.
        tables: The tables.
        changed: Called when targets were given back.
    """

    def __init__(
        self, session: PooledSession, *, tables: Tables, changed: Callable[[], None]
    ) -> None:
        self._session = session
        self._tables = tables
        self._changed = changed

    async def ready(self, group: str, *, lanes: Collection[str]) -> Ready:
        """See `IReactionStore.ready`."""
        rows = await self._run("READY", READY, group, sorted(check_lanes(group, lanes)))
        due = [row["due_after"] for row in rows if row["due_after"] is not None]
        return Ready(
            lanes=frozenset(
                row["lane"]
                for row in rows
                if row["has_work"] or (row["due_after"] or timedelta.max) <= _NOTHING
            ),
            due_after=max(min(due), _NOTHING) if due else None,
        )

    async def claim(
        self,
        group: str,
        *,
        owner: UUID,
        ttl: timedelta,
        reactions: Sequence[ReactionSpec],
        lane: str,
        lagging: int,
        leading: int,
        max_events: int,
        max_bytes: int,
    ) -> list[Lease]:
        """See `IReactionStore.claim`."""
        specs = check_claim(
            group,
            owner=owner,
            ttl=ttl,
            reactions=reactions,
            lane=lane,
            lagging=lagging,
            leading=leading,
            max_events=max_events,
            max_bytes=max_bytes,
        )
        sql = claim_sql(lagging=lagging, leading=leading)
        values = (group, lane, list(specs), owner, ttl, lagging, leading)
        definitions = [reaction_definition(each) for each in specs.values()]
        rows = await self._run("CLAIM", sql, *values, False, definitions)
        if rows[0]["waits"]:
            await self._run("WAKE", WAKE, group, lane)
            rows = await self._run("CLAIM", sql, *values, True, definitions)
        claimed = [_lease(group, row) for row in rows if row["key"] is not None]
        for reads in sorted({row["reads"] for row in rows if row["key"] is not None}):
            wanted = [lease for lease in claimed if lease.reads is KINDS[reads]]
            await self._fill(
                group, reads, wanted, specs=specs, max_events=max_events, max_bytes=max_bytes
            )
        return claimed

    async def extend(self, leases: Sequence[Lease], *, ttl: timedelta) -> list[Lease]:
        """See `IReactionStore.extend`."""
        check_lease(ttl)
        return await self._of_leases("EXTEND", EXTEND, leases, ttl)

    async def release(self, leases: Sequence[Lease]) -> None:
        """See `IReactionStore.release`."""
        if await self._of_leases("RELEASE", RELEASE, leases):
            self._changed()

    async def _fill(
        self,
        group: str,
        reads: int,
        leases: Sequence[Lease],
        *,
        specs: dict[str, ReactionSpec],
        max_events: int,
        max_bytes: int,
    ) -> None:
        """Read the next events of leases that read alike."""
        names = {
            each.name: None if each.events is None else json.dumps(each.events)
            for each in specs.values()
        }
        most = min(max_events, text_limit(max_events))
        rows = await self._run(
            "WINDOW",
            windows_sql(reads, max_events=most),
            group,
            [lease.reaction for lease in leases],
            [lease.key for lease in leases],
            [lease.stream for lease in leases],
            [lease.at for lease in leases],
            [lease.mark for lease in leases],
            [specs[lease.reaction].stream_prefix for lease in leases],
            [names[lease.reaction] for lease in leases],
            most,
            max_bytes,
        )
        windows: dict[int, list[Any]] = {}
        for row in rows:
            windows.setdefault(row["number"], []).append(row)
        for number, lease in enumerate(leases, 1):
            window = windows.get(number, [])
            lease.events = [event_of(row, keep_damaged=True) for row in window]
            if window and (window[0]["found"] >= most or len(window) < window[0]["found"]):
                lease.upto = lease.events[-1].position

    async def _of_leases(
        self, operation: str, sql: str, leases: Sequence[Lease], *more: object
    ) -> list[Lease]:
        with store_errors():
            self._session.check_open(operation)
        if not check_leases(leases):
            return []
        rows = await self._run(
            operation,
            sql,
            [lease.group for lease in leases],
            [lease.reaction for lease in leases],
            [lease.key for lease in leases],
            [lease.token for lease in leases],
            *more,
        )
        # A target of which two leases are given, one of them lost, is found twice.
        return [leases[number - 1] for number in sorted({row["number"] for row in rows})]

    async def _run(self, operation: str, sql: str, *args: object) -> list[Any]:
        with store_errors():
            return (await self._session.run(operation, self._tables.sql(sql), *args)).rows


def _lease(group: str, row: Any) -> Lease:
    """Return a lease without its events."""
    return Lease(
        group=group,
        reaction=row["reaction"],
        key=row["key"],
        reads=KINDS[row["reads"]],
        stream=row["stream"],
        at=row["at"],
        mark=row["mark"],
        token=row["token"],
        attempt=row["attempt"],
        failed=row["failed"],
        lagging=row["lagging"],
        events=(),
        upto=row["mark"],
    )
