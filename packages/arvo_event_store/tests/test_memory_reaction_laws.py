"""Any sequence of calls keeps what is promised of leases, watermarks and tries."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from hypothesis import given, strategies as st

from arvo_event_store import (
    PER_EVENT,
    Append,
    ConflictError,
    LeaseLostError,
    MemoryEventStore,
    NewEvent,
)
from arvo_event_store.stores import (
    Blocked,
    Done,
    Finish,
    Lease,
    Parked,
    Postponed,
    Progress,
    Retried,
    ScanPage,
    Then,
)
from arvo_time.testing import FakeClock

from .reaction_model import SPECS, Model, Row, marks_of

T = TypeVar("T")

TTL: Final = timedelta(seconds=3)
OWNERS: Final = (UUID(int=1), UUID(int=2))


class Play:
    """A store, and the model beside it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryEventStore(clock=self.clock)
        self.model = Model()
        self.pages: list[tuple[ScanPage, dict[str, int]]] = []
        self.leases: list[Lease] = []

    async def append(self, a: int, b: int) -> None:
        await self.store.append(f"s{a % 3}", [NewEvent("AB"[b % 2], b)])
        await self._read_log()

    async def scan(self, a: int, b: int) -> None:
        owner, now = OWNERS[a % 2], self.clock.now()
        scans = self.model.scans
        free = {
            name
            for name, scan in scans.items()
            if scan.owner in {None, owner} or (scan.until is not None and scan.until <= now)
        }
        page = await self.store.scan(
            "g",
            owner=owner,
            ttl=TTL,
            reactions=list(SPECS.values()),
            limit=b % 4 + 1,
            leading=b % 2 == 0,
        )
        for name in free:
            scans[name].leases += scans[name].owner != owner
            scans[name].owner, scans[name].until = owner, now + TTL
        assert (page is None) == (not free)
        if page is None:
            return
        assert {*page.tokens} == {*page.scanned} <= free
        assert page.others == ({*page.tokens} != free)
        seen = [event.position for event in page.events]
        assert seen == sorted(set(seen))
        for name, scanned in page.scanned.items():
            assert scanned == scans[name].scanned
            for event in self.model.log:
                if scanned < event.position <= page.upto and SPECS[name].takes(
                    name=event.name, stream=event.stream
                ):
                    assert event.position in seen
        self.pages.append((page, {name: scans[name].leases for name in page.tokens}))

    async def mark(self, a: int, b: int) -> None:
        if not self.pages:
            return
        page, leases = _one_of(self.pages, a)
        scans = self.model.scans
        stands = all(
            scans[name].owner is not None and scans[name].leases == count
            for name, count in leases.items()
        )
        marks = marks_of(page)
        assert await self.store.mark(page, marks, progress=[*page.tokens]) == stands
        if stands:
            for mark in marks:
                self.model.mark(mark)
            for name in page.tokens:
                scans[name].scanned = max(scans[name].scanned, page.upto)

    async def leave(self, a: int, b: int) -> None:
        await self.store.leave("g", owner=OWNERS[a % 2])
        for scan in self.model.scans.values():
            if scan.owner == OWNERS[a % 2]:
                scan.owner, scan.leases = None, scan.leases + 1

    async def claim(self, a: int, b: int) -> None:
        lagging, leading, max_events = a % 3, a // 3 % 3, b % 3 + 1
        now, rows = self.clock.now(), self.model.rows
        for row in rows.values():
            if row.due is not None and row.due <= now:
                row.due = None
        free = {
            place: row.at
            for place, row in rows.items()
            if row.at < row.mark
            and row.blocked is None
            and row.due is None
            and (row.until is None or row.until <= now)
        }
        leases = await self.store.claim(
            "g",
            owner=OWNERS[b % 2],
            ttl=TTL,
            reactions=list(SPECS.values()),
            lane="l",
            lagging=lagging,
            leading=leading,
            max_events=max_events,
            max_bytes=10**6,
        )
        places = [(lease.reaction, lease.key) for lease in leases]
        assert len({*places}) == len(places)
        assert {*places} <= {*free}, "somebody has it, or it has no work"
        lag = [lease.at for lease in leases if lease.lagging]
        lead = [lease.at for lease in leases if not lease.lagging]
        assert lag == sorted(free.values())[:lagging]
        for place in places[: len(lag)]:
            del free[place]
        assert lead == sorted(free.values(), reverse=True)[:leading]
        for lease, place in zip(leases, places, strict=True):
            row = rows[place]
            assert lease.token > self.model.tokens.get(place, 0)
            self.model.tokens[place] = lease.token
            row.attempt += 1
            row.token, row.until = lease.token, now + TTL
            assert (lease.at, lease.mark) == (row.at, row.mark)
            assert (lease.attempt, lease.failed) == (row.attempt, row.failed)
            window = self.model.window(lease.reaction, row)
            assert [event.position for event in lease.events] == window[:max_events]
            assert lease.upto == (window[max_events - 1] if len(window) >= max_events else row.mark)
        self.leases += leases

    async def finish(self, a: int, b: int) -> None:
        if not self.leases:
            return
        lease = _one_of(self.leases, a)
        places = sorted({lease.at, *(event.position for event in lease.events), lease.upto})
        at = places[b % len(places)]
        then = self._then(lease, at=at, number=b // 4)
        out = Append("out", [NewEvent("A", 1)])
        outputs = {
            1: [Append("x", [NewEvent("A", 1)]), replace(out, expect=10**6)],
            2: [out],
        }.get(b % 5, [])
        (done,) = await self.store.finish([Finish(lease=lease, at=at, then=then, appends=outputs)])
        row = self.model.standing(lease)
        if row is None:
            assert isinstance(done.error, LeaseLostError)
        elif b % 5 == 1:
            assert isinstance(done.error, ConflictError)
        else:
            assert done.error is None
            self.model.finish(lease, then, at=at, now=self.clock.now())
        await self._read_log()

    def _then(self, lease: Lease, *, at: int, number: int) -> Then:
        later = [event.position for event in lease.events if event.position > at]
        position, failed = (later or [lease.mark])[0], lease.failed + 1
        after = timedelta(seconds=number % 3)
        thens: list[Then] = [
            Done(),
            Progress(ttl=TTL),
            Retried(error="no", position=position, failed=failed, after=after),
            Postponed(failed=lease.failed, after=after),
            Blocked(error="no", position=position, failed=failed),
            Parked(error="no", position=position, failed=failed),
        ]
        return thens[number % len(thens)]

    async def extend(self, a: int, b: int) -> None:
        standing = await self.store.extend(self.leases, ttl=TTL)
        rows = [(lease, self.model.standing(lease)) for lease in self.leases]
        assert standing == [lease for lease, row in rows if row is not None]
        for _, row in rows:
            if row is not None:
                row.until = self.clock.now() + TTL

    async def release(self, a: int, b: int) -> None:
        if not self.leases:
            return
        lease = _one_of(self.leases, a)
        await self.store.release([lease])
        row = self.model.standing(lease)
        if row is not None:
            row.token = row.until = None
            row.attempt = max(row.attempt - 1, 0)

    async def advance(self, a: int, b: int) -> None:
        self.clock.advance(timedelta(seconds=a % 5))

    async def unblock(self, a: int, b: int) -> None:
        reaction = [*SPECS][a % 4]
        rows = [row for (name, _), row in self.model.rows.items() if name == reaction]
        blocked = [row for row in rows if row.blocked is not None]
        assert await self.store.unblock("g", reaction=reaction) == len(blocked)
        for row in blocked:
            row.blocked = None
            row.attempt = row.failed = 0

    async def skip(self, a: int, b: int) -> None:
        for (reaction, key), row in [*self.model.rows.items()]:
            assert await self.store.skip("g", reaction=reaction, key=key) == (
                row.blocked is not None
            )
            if row.blocked is None:
                continue
            row.at, row.blocked = max(row.at, row.blocked), None
            row.attempt = row.failed = 0
            if row.reads is PER_EVENT:
                del self.model.rows[reaction, key]
            return

    async def reset(self, a: int, b: int) -> None:
        reaction = [*SPECS][a % 4]
        after = b % (len(self.model.log) + 1)
        await self.store.reset("g", reaction=reaction, after=after)
        self.model.reset(reaction, after=after)

    async def replay(self, a: int, b: int) -> None:
        parked = [event async for event in self.store.parked("g")]
        found = {(event.reaction, event.key, event.position): event.attempts for event in parked}
        assert found == self.model.parked
        assert await self.store.replay("g", parked[:1]) == len(parked[:1])
        assert await self.store.replay("g", parked[:1]) == 0
        for event in parked[:1]:
            del self.model.parked[event.reaction, event.key, event.position]
            own, position = SPECS[event.reaction].to is PER_EVENT, event.position
            prefix = f"replayed:{position}:"
            key = event.key if own or event.key.startswith(prefix) else prefix + event.key
            self.model.rows.setdefault(
                (event.reaction, key), Row(PER_EVENT, None, position - 1, position, set())
            )

    async def lag(self, a: int, b: int) -> None:
        for lag in await self.store.lag("g"):
            counts = (lag.pending, lag.asleep, lag.blocked, lag.parked)
            assert counts == self.model.counts(lag.reaction)
            assert lag.scanned == self.model.scans[lag.reaction].scanned

    async def _read_log(self) -> None:
        log = self.model.log
        last = log[-1].position if log else 0
        log += [event async for event in self.store.read_all(after=last)]

    async def check(self) -> None:
        """Compare what is stored with the model."""
        stored = {
            (each.reaction, each.key): (
                *(each.at, each.mark, each.attempt, each.failed, each.due, each.leased_until),
                None if each.blocked_at is None else each.error_position,
            )
            async for each in self.store.targets("g")
        }
        assert stored == {
            place: (row.at, row.mark, row.attempt, row.failed, row.due, row.until, row.blocked)
            for place, row in self.model.rows.items()
        }

    async def drain(self) -> None:
        """Do all that is left, and check that nothing is."""
        self.clock.advance(timedelta(days=1))
        for name in range(len(SPECS)):
            await self.unblock(name, 0)
        claimed = True
        while claimed:
            last = len(self.model.log)
            while min(scan.scanned for scan in self.model.scans.values()) < last:
                # The page is for those that are furthest behind.
                await self.scan(0, 3)
                await self.mark(0, 0)
            self.leases.clear()
            await self.claim(8, 2)
            claimed = bool(self.leases)
            for lease in self.leases:
                (done,) = await self.store.finish([Finish(lease=lease, at=lease.upto, then=Done())])
                assert done.error is None
                self.model.finish(lease, Done(), at=lease.upto, now=self.clock.now())
            await self.check()
        last = len(self.model.log)
        assert all(scan.scanned >= last for scan in self.model.scans.values())
        assert all(row.at >= row.mark for row in self.model.rows.values())


def _one_of(found: Sequence[T], number: int) -> T:
    """Return the last one, more often than any other."""
    return found[-1 - (number // 3 % len(found) if number % 3 else 0)]


Step = Callable[[Play, int, int], Awaitable[None]]
STEPS: Final[list[Step]] = [
    *[Play.append] * 3,
    *[Play.scan, Play.mark] * 3,
    *[Play.claim] * 4,
    *[Play.finish] * 5,
    *(Play.extend, Play.release, Play.advance, Play.leave),
    *(Play.unblock, Play.skip, Play.reset, Play.replay, Play.lag),
]
NUMBERS: Final = st.integers(0, 10_000)
# Each list is long, as most short ones do not get as far as a lease.
PLAYS: Final = st.lists(
    st.tuples(st.sampled_from(STEPS), NUMBERS, NUMBERS), min_size=40, max_size=80
)


@given(PLAYS)
def test_any_calls_keep_what_is_promised(steps: list[tuple[Step, int, int]]) -> None:
    async def play() -> None:
        played = Play()
        await played.store.register("g", list(SPECS.values()))
        begin = [*[Play.append] * 4, *[Play.scan, Play.mark] * 3]
        for step, a, b in [*((each, n, n) for n, each in enumerate(begin)), *steps]:
            before = {place: row.at for place, row in played.model.rows.items()}
            await step(played, a, b)
            await played.check()
            if step is not Play.reset:
                for place, row in played.model.rows.items():
                    assert row.at >= before.get(place, 0)
        await played.drain()

    asyncio.run(play())
