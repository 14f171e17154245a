"""What a toy store keeps for reactions: it has no wake-ups, so workers poll."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from arvo_event_store import (
    PER_EVENT,
    Event,
    EventStoreError,
    NotSupportedError,
    ParkedEvent,
    ReactionLag,
    TargetKind,
    TargetState,
)
from arvo_event_store.stores import (
    MAX_PAYLOAD_BYTES,
    MAX_POSITION,
    Finish,
    Finished,
    FinishRow,
    Lease,
    Mark,
    ReactionSpec,
    Ready,
    ScanPage,
    UnroutedEvent,
    append_requests,
    changed_reaction,
    check_claim,
    check_lanes,
    check_lease,
    check_leases,
    check_marks,
    check_name,
    check_reactions,
    check_scan,
    error_text,
    events_within,
    finish_row,
    lost_lease,
    missing_reaction,
    reaction_definition,
    replay_key,
    scan_range,
)
from arvo_time.settings import check_count, check_flag, check_instance

from .log import ToyLog, decided, stored
from .tables import Database, RegisteredRow, Row, TargetRow


class ToyStore(ToyLog):
    """A client of the toy."""

    # --- scanning -----------------------------------------------------------

    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        given = check_reactions(reactions, group=group)
        check_flag(redefine, name="redefine")
        tables = await self._tables()
        known = [each for each in given if (group, each.name) in tables.reactions]
        _check_agreed(tables, group, known, redefine=redefine)
        for spec in given:
            row = tables.reactions.get((group, spec.name))
            if row is None:
                start = {"beginning": 0, "now": tables.position}.get(str(spec.start), spec.start)
                tables.reactions[group, spec.name] = RegisteredRow(
                    spec, check_instance(start, kind=int, name="start")
                )
            elif reaction_definition(row.spec) != reaction_definition(spec):
                row.spec = spec
                row.end_lease()
                for target in _targets(tables, group, spec.name):
                    target.change(lane=spec.lane)

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
        given = check_scan(
            group, owner=owner, ttl=ttl, reactions=reactions, limit=limit, leading=leading
        )
        tables = await self._tables()
        _check_agreed(tables, group, given)
        now = self._clock.now()
        leased: dict[str, RegisteredRow] = {}
        for spec in given:
            row = tables.reactions[group, spec.name]
            if spec.addressed or (
                row.owner not in {None, owner} and row.until is not None and row.until > now
            ):
                continue
            row.token += row.owner != owner
            row.owner, row.until = owner, now + ttl
            leased[spec.name] = row
        if not leased:
            return None
        asked = scan_range(
            {name: row.scanned for name, row in leased.items()},
            reactions=given,
            limit=limit,
            leading=leading,
        )
        events = [
            row.event()
            for row in tables.rows
            if row.position > asked.after and (asked.names is None or row.given.name in asked.names)
        ][:limit]
        upto = asked.upto(events, horizon=tables.position)
        return ScanPage(
            group=group,
            owner=owner,
            tokens={name: leased[name].token for name in asked.scanned},
            scanned=asked.scanned,
            events=events,
            upto=upto,
            complete=upto >= tables.position,
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
        names = check_marks(page, marks, unrouted=unrouted, progress=progress)
        tables = await self._tables()
        rows = {name: tables.reactions.get((page.group, name)) for name in names}
        before: dict[str, int] = {}
        for name, row in rows.items():
            if row is None or row.owner is None or row.token != page.tokens[name]:
                return False
            before[name] = row.scanned
        now = self._clock.now()
        for mark in marks:
            if mark.mark > before[mark.reaction]:
                tables.raise_mark(mark, group=page.group, now=now)
        for event in unrouted:
            if event.position > before[event.reaction]:
                _park(
                    tables,
                    page.group,
                    event.reaction,
                    "?",
                    event.position,
                    error_text(event.error),
                    0,
                    now,
                )
        for row in rows.values():
            if row is not None:
                row.scanned = max(row.scanned, page.upto)
        return True

    async def leave(self, group: str, *, owner: UUID) -> None:
        check_name(group, path="group")
        check_instance(owner, kind=UUID, name="owner")
        for (of, _), row in (await self._tables()).reactions.items():
            if of == group and row.owner == owner:
                row.end_lease()

    # --- leases -------------------------------------------------------------

    async def ready(self, group: str, *, lanes: Collection[str]) -> Ready:
        asked = check_lanes(group, lanes)
        tables = await self._tables()
        now = self._clock.now()
        targets = [each for each in _targets(tables, group) if each.state.lane in asked]
        dues = [each.state.due for each in targets if each.state.due is not None]
        return Ready(
            lanes=frozenset(each.state.lane for each in targets if each.can_be_claimed(now=now)),
            due_after=max(min(dues) - now, timedelta(0)) if dues else None,
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
        given = check_claim(
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
        tables = await self._tables()
        now = self._clock.now()
        agreed = {
            name
            for name, spec in given.items()
            if (row := tables.reactions.get((group, name))) is not None
            and reaction_definition(row.spec) == reaction_definition(spec)
        }
        free = [
            each
            for each in _targets(tables, group)
            if each.state.lane == lane
            and each.state.reaction in agreed
            and each.can_be_claimed(now=now)
        ]
        free.sort(key=lambda each: (each.state.at, each.state.reaction, each.state.key))
        ahead = free[lagging:][::-1][:leading]
        leases: list[Lease] = []
        for target in [*free[:lagging], *ahead]:
            target.owner = owner
            target.change(
                due=None,
                token=target.state.token + 1,
                attempt=target.state.attempt + 1,
                leased_until=now + ttl,
            )
            state = target.state
            events, upto = _window(
                tables, target, given[state.reaction], max_events=max_events, max_bytes=max_bytes
            )
            leases.append(
                Lease(
                    group=group,
                    reaction=state.reaction,
                    key=state.key,
                    reads=target.reads,
                    stream=state.stream,
                    at=state.at,
                    mark=state.mark,
                    token=state.token,
                    attempt=state.attempt,
                    failed=state.failed,
                    lagging=target not in ahead,
                    events=events,
                    upto=upto,
                )
            )
        return leases

    async def extend(self, leases: Sequence[Lease], *, ttl: timedelta) -> list[Lease]:
        check_leases(leases)
        check_lease(ttl)
        tables = await self._tables()
        standing = [each for each in leases if _leased(tables, each) is not None]
        for lease in standing:
            tables.targets[lease.group, lease.reaction, lease.key].change(
                leased_until=self._clock.now() + ttl
            )
        return standing

    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        rows = [finish_row(each) for each in finishes]
        if any(each.work for each in finishes):
            raise NotSupportedError("the toy runs no work")
        tables = await self._tables()
        now = self._clock.now()
        return [
            Finished(error=_finished(tables, row, each, now=now))
            for row, each in zip(rows, finishes, strict=True)
        ]

    async def release(self, leases: Sequence[Lease]) -> None:
        check_leases(leases)
        tables = await self._tables()
        for lease in leases:
            target = _leased(tables, lease)
            if target is not None:
                target.change(attempt=max(target.state.attempt - 1, 0))
                target.end_lease()

    # --- operators ----------------------------------------------------------

    def targets(
        self, group: str, *, reaction: str | None = None, blocked: bool | None = None
    ) -> AsyncIterator[TargetState]:
        _check_names(group, reaction)
        if blocked is not None:
            check_flag(blocked, name="blocked")

        async def listed() -> AsyncIterator[TargetState]:
            for row in _targets(await self._tables(), group, reaction):
                if blocked in {None, row.state.blocked_at is not None}:
                    yield row.state

        return listed()

    async def lag(self, group: str) -> list[ReactionLag]:
        check_name(group, path="group")
        tables = await self._tables()
        return [
            _lag(tables, group, name, tables.reactions[of, name])
            for of, name in sorted(tables.reactions)
            if of == group
        ]

    async def unblock(self, group: str, *, reaction: str, key: str | None = None) -> int:
        blocked = await self._blocked(group, reaction, key)
        for target in blocked:
            target.change(blocked_at=None, attempt=0, failed=0)
        return len(blocked)

    async def skip(self, group: str, *, reaction: str, key: str) -> bool:
        check_name(key, path="key")
        blocked = await self._blocked(group, reaction, key)
        for target in blocked:
            if target.reads is TargetKind.EVENT:
                self._database.drop((group, reaction, key))
            else:
                target.change(at=max(target.state.at, target.state.error_position or 0), **CLEARED)
        return bool(blocked)

    async def _blocked(self, group: str, reaction: str, key: str | None) -> list[TargetRow]:
        _check_names(group, reaction)
        if key is not None:
            check_name(key, path="key")
        return [
            each
            for each in _targets(await self._tables(), group, reaction)
            if each.state.blocked_at is not None and key in {None, each.state.key}
        ]

    async def reset(self, group: str, *, reaction: str, after: int) -> None:
        _check_names(group, reaction)
        check_count(after, name="after", most=MAX_POSITION)
        tables = await self._tables()
        found = tables.reactions.get((group, reaction))
        if found is None:
            raise missing_reaction(reaction, group=group)
        if found.spec.addressed:
            raise NotSupportedError("no scan finds the events of an addressed reaction")
        found.scanned = after
        found.end_lease()
        for target in _targets(tables, group, reaction):
            state = target.state
            if target.reads is TargetKind.EVENT and state.mark > after:
                tables.drop((group, reaction, state.key))
                continue
            target.listed = [each for each in target.listed if each <= after]
            target.end_lease()
            at, mark = min(state.at, after), min(state.mark, after)
            target.change(at=at, mark=mark, token=state.token + 1, **CLEARED)

    def parked(self, group: str, *, reaction: str | None = None) -> AsyncIterator[ParkedEvent]:
        _check_names(group, reaction)

        async def listed() -> AsyncIterator[ParkedEvent]:
            tables = await self._tables()
            for place in sorted(tables.parked):
                if place[0] == group and reaction in {None, place[1]} and place in tables.parked:
                    yield tables.parked[place]

        return listed()

    async def replay(self, group: str, parked: Sequence[ParkedEvent]) -> int:
        check_name(group, path="group")
        for each in parked:
            check_instance(each, kind=ParkedEvent, name="parked")
        tables = await self._tables()
        count = 0
        for each in parked:
            place = (group, each.reaction, each.key, each.position)
            found = tables.reactions.get((group, each.reaction))
            is_stored = any(row.position == each.position for row in tables.rows)
            if found is None or place not in tables.parked or not is_stored:
                continue
            del tables.parked[place]
            mark = Mark(
                reaction=each.reaction,
                key=replay_key(reads=found.spec.to, key=each.key, position=each.position),
                lane=found.spec.lane,
                reads=PER_EVENT,
                stream=None,
                at=each.position - 1,
                mark=each.position,
            )
            tables.raise_mark(mark, group=group, now=self._clock.now())
            count += 1
        return count


CLEARED = {
    "attempt": 0,
    "failed": 0,
    "error": None,
    "error_position": None,
    "blocked_at": None,
    "due": None,
}
"""A target whose tries and last failure are forgotten."""


def _check_names(group: str, reaction: str | None) -> None:
    check_name(group, path="group")
    if reaction is not None:
        check_name(reaction, path="reaction")


def _check_agreed(
    tables: Database, group: str, given: Sequence[ReactionSpec], *, redefine: bool = False
) -> None:
    for spec in given:
        row = tables.reactions.get((group, spec.name))
        definition = None if row is None else reaction_definition(row.spec)
        error = changed_reaction(spec, group=group, stored=definition, redefine=redefine)
        if error is not None:
            raise error


def _targets(tables: Database, group: str, reaction: str | None = None) -> list[TargetRow]:
    return [
        tables.targets[place]
        for place in sorted(tables.targets)
        if place[0] == group and reaction in {None, place[1]}
    ]


def _leased(tables: Database, lease: Lease) -> TargetRow | None:
    found = tables.targets.get((lease.group, lease.reaction, lease.key))
    stands = found is not None and found.owner is not None and found.state.token == lease.token
    return found if stands else None


def _window(
    tables: Database, target: TargetRow, spec: ReactionSpec, *, max_events: int, max_bytes: int
) -> tuple[list[Event], int]:
    state = target.state

    def concerns(row: Row) -> bool:
        match target.reads:
            case TargetKind.EVENT:
                return row.position == state.mark
            case TargetKind.KEY:
                return row.position in target.listed
            case TargetKind.STREAM if row.stream != state.stream:
                return False
        return spec.takes(name=row.given.name, stream=row.stream)

    rows = (row for row in tables.rows if state.at < row.position <= state.mark)
    found = [row for row in rows if concerns(row)][:max_events]
    sizes = [len(row.given.data.encode()) for row in found]
    fit = events_within(sizes, max_bytes=max_bytes)
    may_be_more = len(found) == max_events or fit < len(found)
    events = [row.event() for row in found[:fit]]
    return events, events[-1].position if may_be_more else state.mark


def _finished(
    tables: Database, row: FinishRow, finish: Finish, *, now: datetime
) -> Exception | None:
    """Store what became of a lease with all that belongs to it, or return why nothing is stored."""
    try:
        requests = append_requests(finish.appends, max_payload_bytes=MAX_PAYLOAD_BYTES)
        target = _leased(tables, row.lease)
        if target is None:
            return lost_lease(row.lease)
        left = decided(tables, requests)
    except (EventStoreError, TypeError, ValueError) as error:
        return error
    place = (row.lease.group, row.lease.reaction, row.lease.key)
    if row.parked and row.position is not None:
        _park(tables, *place, row.position, row.error or "", row.parked_after, now)
    if row.gone:
        tables.drop(place)
    else:
        target.change(
            at=max(target.state.at, row.at),
            attempt=target.state.attempt if row.attempt is None else row.attempt,
            failed=row.failed,
            error=row.error,
            error_position=row.position,
            due=row.due if row.due_after is None else now + row.due_after,
            blocked_at=now if row.blocked else None,
            leased_until=None if row.ttl is None else now + row.ttl,
        )
        if row.ttl is None:
            target.owner = None
    stored(tables, left, now=now)
    return None


def _park(
    tables: Database,
    group: str,
    reaction: str,
    key: str,
    position: int,
    error: str,
    attempts: int,
    now: datetime,
) -> None:
    tables.parked[group, reaction, key, position] = ParkedEvent(
        group=group,
        reaction=reaction,
        key=key,
        position=position,
        error=error,
        attempts=attempts,
        parked_at=now,
    )


def _lag(tables: Database, group: str, name: str, found: RegisteredRow) -> ReactionLag:
    targets = _targets(tables, group, name)
    work = [each for each in targets if each.has_work]
    least = min((each.state.at for each in work), default=None)
    created = [row.created for row in tables.rows if least is not None and row.position > least]
    return ReactionLag(
        reaction=name,
        scanned=found.scanned,
        unscanned=0 if found.spec.addressed else max(tables.position - found.scanned, 0),
        pending=sum(each.state.due is None and each.state.blocked_at is None for each in work),
        asleep=sum(each.state.due is not None for each in targets),
        blocked=sum(each.state.blocked_at is not None for each in targets),
        parked=sum(place[:2] == (group, name) for place in tables.parked),
        oldest=created[0] if created else None,
    )
