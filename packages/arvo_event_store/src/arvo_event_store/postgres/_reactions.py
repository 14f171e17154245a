"""A log with what is kept for reactions."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from uuid import UUID

from typing_extensions import override

from arvo_event_store._append import Appended
from arvo_event_store._lease import Finish, Finished, Lease
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._reaction_state import ParkedEvent, ReactionLag
from arvo_event_store._scan_page import Mark, Ready, ScanPage, UnroutedEvent
from arvo_event_store._target import TargetState
from arvo_event_store.stores import check_name
from arvo_time.settings import check_count, check_duration

from ._appending import last_position
from ._claims import Claims
from ._event_log import PostgresEventLog
from ._failures import store_errors
from ._finishes import Finishes
from ._notifications import Notifications
from ._operators import Operators
from ._scans import Scans
from ._sessions import PooledSession
from ._tables import Tables


class PostgresReactions(PostgresEventLog):
    """A log on a pool, with what is kept for reactions.

    Args:
        session: Runs statements and transactions.
        tables: The tables.
        max_payload_bytes: How long the JSON of an event's data, meta and private data may be, each.
        notifications: Tells of changes, and is told.
    """

    def __init__(
        self,
        session: PooledSession,
        *,
        tables: Tables,
        max_payload_bytes: int,
        notifications: Notifications,
    ) -> None:
        super().__init__(session, tables=tables, max_payload_bytes=max_payload_bytes, joined=False)
        self._session = session
        self._notifications = notifications
        changed = notifications.tell
        self._scans = Scans(session, tables=tables, changed=changed)
        self._claims = Claims(session, tables=tables, changed=changed)
        self._operators = Operators(session, tables=tables, changed=changed)
        self._finishes = Finishes(
            session,
            tables=tables,
            appending=self._appending,
            max_payload_bytes=max_payload_bytes,
            stored=self._appended,
        )

    # --- scanning -----------------------------------------------------------

    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        """See `IReactionStore.register`."""
        await self._scans.register(group, reactions, redefine=redefine)

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
        return await self._scans.scan(
            group, owner=owner, ttl=ttl, reactions=reactions, limit=limit, leading=leading
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
        return await self._scans.mark(page, marks, unrouted=unrouted, progress=progress)

    async def leave(self, group: str, *, owner: UUID) -> None:
        """See `IReactionStore.leave`."""
        await self._scans.leave(group, owner=owner)

    # --- leases -------------------------------------------------------------

    async def ready(self, group: str, *, lanes: Collection[str]) -> Ready:
        """See `IReactionStore.ready`."""
        return await self._claims.ready(group, lanes=lanes)

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
        return await self._claims.claim(
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

    async def extend(self, leases: Sequence[Lease], *, ttl: timedelta) -> list[Lease]:
        """See `IReactionStore.extend`."""
        return await self._claims.extend(leases, ttl=ttl)

    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        """See `IReactionStore.finish`.

        Work is a `Statement` with placeholders such as `$1`, or an async function that takes a
        connection of asyncpg. If the database asks for another try of the transaction, it is done
        again.
        """
        return await self._finishes.finish(finishes)

    async def release(self, leases: Sequence[Lease]) -> None:
        """See `IReactionStore.release`."""
        await self._claims.release(leases)

    # --- operators ----------------------------------------------------------

    def targets(
        self, group: str, *, reaction: str | None = None, blocked: bool | None = None
    ) -> AsyncIterator[TargetState]:
        """See `IReactionStore.targets`."""
        return self._operators.targets(group, reaction=reaction, blocked=blocked)

    async def lag(self, group: str) -> list[ReactionLag]:
        """See `IReactionStore.lag`."""
        check_name(group, path="group")
        return await self._operators.lag(group, horizon=await self.horizon())

    async def unblock(self, group: str, *, reaction: str, key: str | None = None) -> int:
        """See `IReactionStore.unblock`."""
        return await self._operators.unblock(group, reaction=reaction, key=key)

    async def skip(self, group: str, *, reaction: str, key: str) -> bool:
        """See `IReactionStore.skip`."""
        return await self._operators.skip(group, reaction=reaction, key=key)

    async def reset(self, group: str, *, reaction: str, after: int) -> None:
        """See `IReactionStore.reset`."""
        await self._operators.reset(group, reaction=reaction, after=after)

    def parked(self, group: str, *, reaction: str | None = None) -> AsyncIterator[ParkedEvent]:
        """See `IReactionStore.parked`."""
        return self._operators.parked(group, reaction=reaction)

    async def replay(self, group: str, parked: Sequence[ParkedEvent]) -> int:
        """See `IReactionStore.replay`."""
        return await self._operators.replay(group, parked)

    # --- wake-ups -----------------------------------------------------------

    @property
    def changes(self) -> int:
        """See `IWakeUps.changes`."""
        return self._notifications.count

    async def wait_for_change(self, *, seen: int, at_most: timedelta) -> bool:
        """See `IWakeUps.wait_for_change`."""
        check_count(seen, name="seen")
        check_duration(at_most, name="at_most")
        with store_errors():
            self._session.check_open("WAIT")
            changed = await self._notifications.wait(seen=seen, at_most=at_most)
            self._session.check_open("WAIT")
        return changed

    # --- inside -------------------------------------------------------------

    @override
    def _appended(self, answers: Sequence[Appended]) -> None:
        last = last_position(answers)
        if last is not None:
            self._notifications.tell(last)
