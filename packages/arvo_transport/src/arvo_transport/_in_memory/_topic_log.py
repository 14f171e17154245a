"""The events of one topic: who may have them, who has them, and until when."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from heapq import heappop, heappush
from itertools import count

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Order, ordering_key

from ._engine_clock import EngineClock
from ._entry import Entry, Lane, LaneKey, Microseconds
from ._ready_lanes import ReadyLanes


class TopicLog:
    """The events of one topic.

    Time passes for it whenever somebody calls; who waits for it sets an alarm by `next_change`.

    Args:
        order: What its events wait for.
        clock: The engine's.
        patience: How long a lane stays with an inbox that says nothing.
    """

    def __init__(self, *, order: Order, clock: EngineClock, patience: Microseconds) -> None:
        self.order: Order = order
        self.paused = False
        self.clock = clock
        self._patience = patience
        self._numbers = count(1)
        self._lanes: dict[LaneKey, Lane] = {}
        self._ready = ReadyLanes()
        self._delayed: list[tuple[Microseconds, int, Entry]] = []
        self._ends: list[tuple[Microseconds, int, int, Lane]] = []
        self._in_hand = 0
        self._moves = 0
        # In the order in which they began to wait, so that a seed always gives the same run.
        self._waiters: dict[asyncio.Future[None], None] = {}

    # --- what it has --------------------------------------------------------

    def waiting(self) -> list[Entry]:
        """Return what nobody has in hand, oldest first."""
        self._catch_up()
        entries = [entry for lane in self._lanes.values() for entry in lane.waiting]
        return sorted(entries, key=lambda each: each.number)

    @property
    def in_hand(self) -> int:
        """How many events are in hand."""
        self._catch_up()
        return self._in_hand

    @property
    def delayed(self) -> int:
        """How many events wait for their time."""
        self._catch_up()
        return len(self._delayed)

    # --- in -----------------------------------------------------------------

    def add(self, event: ArvoEvent, *, again: str, at: datetime, due: Microseconds | None) -> None:
        """Store an event, which waits from now on, or when it is due."""
        self._place(
            Entry(number=next(self._numbers), event=event, again=again, stored_at=at, due=due)
        )
        self.notify()

    # --- out ----------------------------------------------------------------

    def take(
        self, inbox: object, *, limit: int, shunned: dict[LaneKey, Microseconds]
    ) -> list[Entry]:
        """Hand out events that wait, oldest first, and count that as deliveries.

        Args:
            inbox: Who takes them.
            limit: How many at most.
            shunned: Lanes that the inbox has given up, and until when.
        """
        now = self._catch_up()
        if self.paused or self._moves:
            return []
        taken: list[Entry] = []
        passed_over: list[Lane] = []
        while len(taken) < limit and (lane := self._ready.pop()) is not None:
            if lane.holder not in (None, inbox) or shunned.get(lane.key, now) > now:
                passed_over.append(lane)
                continue
            taken.append(self._hand_out(lane, inbox=inbox, now=now))
            self._ready.offer(lane)
        for lane in passed_over:
            self._ready.offer(lane)
        return taken

    def holds(self, inbox: object, entry: Entry, *, delivery: int) -> bool:
        """Return whether an event is still in hand, by that delivery."""
        self._catch_up()
        lane = self._lanes.get(self._lane_key(entry))
        return lane is not None and lane.holder is inbox and entry.handed_out == delivery

    def extend(self, entry: Entry) -> None:
        """Leave the lane of an event in hand with its holder for another while."""
        self._lanes[self._lane_key(entry)].held_until = self.clock.now() + self._patience

    # --- out of hand --------------------------------------------------------

    def forget(self, entry: Entry) -> None:
        """Drop an event in hand."""
        self._take_out_of_hand(entry)
        self.notify()

    def postpone(self, entry: Entry, *, due: Microseconds, failed: int) -> None:
        """Hand an event in hand out again as a new delivery, when it is due."""
        self._take_out_of_hand(entry)
        entry.deliveries, entry.failed, entry.due = 0, failed, due
        self._place(entry)
        self.notify()

    def give_back(self, entries: Iterable[Entry], *, begun: bool = False) -> list[LaneKey]:
        """Let events in hand wait, as if not handed out, or only once where begun; return their lanes."""
        keys: list[LaneKey] = []
        for entry in entries:
            self._take_out_of_hand(entry)
            entry.deliveries = max(int(begun), entry.deliveries - 1)
            self._place(entry)
            keys.append(self._lane_key(entry))
        self.notify()
        return keys

    def in_hand_of(self, inbox: object) -> list[Entry]:
        """Return what an inbox has in hand."""
        self._catch_up()
        lanes = [lane for lane in self._lanes.values() if lane.holder is inbox]
        return [entry for lane in lanes for entry in lane.in_hand.values()]

    # --- layout -------------------------------------------------------------

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """Hand nothing out for as long as the block lasts, which begins when nothing is in hand."""
        self._moves += 1
        try:
            while self.in_hand:
                await self.change()
            yield
        finally:
            self._moves -= 1
            self.notify()

    def reorder(self, order: Order) -> None:
        """Let the events wait for others than before. What is in hand is lost to who has it."""
        entries = [*self._all_in_lanes()]
        self.order = order
        self._lanes, self._ready, self._ends, self._in_hand = {}, ReadyLanes(), [], 0
        for entry in sorted(entries, key=lambda each: each.number):
            entry.handed_out = None
            self._place(entry)
        self.notify()

    # --- waiting ------------------------------------------------------------

    def notify(self) -> None:
        """Wake all that wait for a change."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def change(self, *, before: Iterable[Microseconds] = ()) -> None:
        """Wait until something may have changed: by a call, or as its time has come.

        Args:
            before: Further moments at which the caller wants to look.
        """
        now = self.clock.now()
        moments = [moment for moment in before if moment > now]
        if self._delayed:
            moments.append(self._delayed[0][0])
        if self._ends:
            moments.append(self._ends[0][0])
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        alarm = self.clock.call_at(min(moments), self.notify) if moments else None
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)
            if alarm is not None:
                alarm.cancel()

    # --- inside -------------------------------------------------------------

    def _lane_key(self, entry: Entry) -> LaneKey:
        if self.order == "none":
            return entry.number
        return ordering_key(entry.event, order=self.order)

    def _place(self, entry: Entry) -> None:
        if entry.due is not None and entry.due > self.clock.now():
            heappush(self._delayed, (entry.due, entry.number, entry))
            return
        entry.due = None
        key = self._lane_key(entry)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key=key)
        lane.put(entry)
        self._ready.offer(lane)

    def _hand_out(self, lane: Lane, *, inbox: object, now: Microseconds) -> Entry:
        entry = lane.waiting.popleft()
        entry.deliveries += 1
        entry.handed_out = next(self._numbers)
        lane.in_hand[entry.number] = entry
        lane.held_until = now + self._patience
        if lane.holder is None:
            lane.holder = inbox
            lane.holds += 1
            heappush(self._ends, (lane.held_until, next(self._numbers), lane.holds, lane))
        self._in_hand += 1
        return entry

    def _take_out_of_hand(self, entry: Entry) -> None:
        key = self._lane_key(entry)
        lane = self._lanes[key]
        del lane.in_hand[entry.number]
        entry.handed_out = None
        self._in_hand -= 1
        if not lane.in_hand:
            lane.holder = None
            if not lane.waiting:
                del self._lanes[key]

    def _catch_up(self) -> Microseconds:
        """Do what is due by now, and return what time it is."""
        now = self.clock.now()
        while self._delayed and self._delayed[0][0] <= now:
            entry = heappop(self._delayed)[2]
            entry.stored_at = self.clock.utc_now()
            self._place(entry)
        while self._ends and self._ends[0][0] <= now:
            _, _, hold, lane = heappop(self._ends)
            if lane.holder is None or lane.holds != hold:
                continue
            if lane.held_until > now:
                heappush(self._ends, (lane.held_until, next(self._numbers), hold, lane))
                continue
            for entry in [*lane.in_hand.values()]:
                self._take_out_of_hand(entry)
                self._place(entry)
        return now

    def _all_in_lanes(self) -> Iterator[Entry]:
        for lane in self._lanes.values():
            yield from lane.waiting
            yield from lane.in_hand.values()
