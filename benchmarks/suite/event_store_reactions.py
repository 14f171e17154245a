"""What reactions cost. Run: uv run python -m benchmarks --only drain, or hop, or wake."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from arvo_event_store import (
    Append,
    Lane,
    NewEvent,
    Reaction,
    ReactionCall,
    ReactionWorker,
    Wake,
)
from arvo_event_store.stores import Finish, Finished
from benchmarks.event_stores import EVENT_STORES, OpenEventStore
from benchmarks.workload import Workload, benchmark

_EVENTS: Final = 1_000
_WINDOW: Final = 10
_HOPS: Final = 40
_NOTE: Final = "x" * 100
"""Makes the data of an event 120 bytes of JSON."""
_ONE_AT_A_TIME: Final = {"default": Lane(concurrency=1)}
_SMALL_WINDOWS: Final = {"default": Lane(max_events=_WINDOW)}
_numbers = count()


@dataclass(frozen=True, slots=True)
class Asked:
    """What reactions take."""

    amount: int
    note: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What they make of it."""

    amount: int
    note: str


def _asked() -> NewEvent:
    return NewEvent("Asked", {"amount": 7, "note": _NOTE})


async def _answer(call: ReactionCall[Asked]) -> None:
    call.emit(f"answers-{call.key}", Answered(amount=call.data.amount, note=call.data.note))


async def _fill(store: Any, *, streams: int, events: int) -> None:
    """Append events to streams, all of them equally long."""
    for number in range(streams):
        await store.append(f"asked-{number}", [_asked() for _ in range(events // streams)])


def _drain(name: str, opened: OpenEventStore, *, streams: int) -> None:
    @benchmark(f"event_store.{name}.drain.{streams}")
    async def drain() -> AsyncIterator[Workload[int, int]]:
        """A new reaction scans and handles 1,000 events, ten at a time, counted in events. The goal beside act is 2 x for one target and 3 x for 100 on PostgreSQL, 1.4 x and 4.4 x on SQLite."""
        async with opened() as store:
            await _fill(store, streams=streams, events=_EVENTS)

            async def handle(_: ReactionCall[Asked]) -> None: ...

            async def run(number: int) -> int:
                worker = ReactionWorker(
                    store,
                    group=f"drain-{next(_numbers)}-{number}",
                    reactions=[Reaction(name="handle", on=[Asked], handler=handle)],
                    lanes=_SMALL_WINDOWS,
                )
                await worker.settle()
                return worker.stats().handled

            yield Workload(
                inputs=range,
                operation=run,
                check=lambda handled: handled == _EVENTS,
                units=_EVENTS,
            )


def _hop(name: str, opened: OpenEventStore, *, workers: int) -> None:
    @benchmark(f"event_store.{name}.hop.c{workers}")
    async def hop() -> AsyncIterator[Workload[int, int]]:
        """Workers that each claim one target, read its event, append to another stream and acknowledge, from the append of 40 events to 40 streams until all of that is stored. The goal on PostgreSQL is 0.35 of `append.c1` for one, and 1.2 x that for eight."""
        async with opened() as store, AsyncExitStack() as stack:
            stored = _Stored(store)
            reaction = Reaction(name="answer", on=[Asked], handler=_answer, stream_prefix="asked-")
            for _ in range(workers):
                worker = ReactionWorker(
                    store, group="hop", reactions=[reaction], lanes=_ONE_AT_A_TIME
                )
                await stack.enter_async_context(worker)
            asked = [f"asked-{number}" for number in range(_HOPS)]

            async def run(_: int) -> bool:
                done = stored.next(outputs=_HOPS)
                await store.append_all([Append(stream, [_asked()]) for stream in asked])
                return await done

            yield Workload(inputs=range, operation=run, check=bool, units=_HOPS)


def _one_hop(name: str, opened: OpenEventStore, *, addressed: bool) -> None:
    kind = "addressed" if addressed else "scanned"

    @benchmark(f"event_store.{name}.hop.{kind}")
    async def one_hop() -> AsyncIterator[Workload[str, bool]]:
        """From the append of an event until what a reaction made of it is stored, one in flight. The goal is at most 0.6 of the time where the append wakes the target, beside a scan that finds it."""
        async with opened() as store:
            stored = _Stored(store)
            wakes = [Wake(group="hop", reaction="answer", lane="default")] if addressed else []
            reaction = Reaction(
                name="answer",
                on=[Asked],
                handler=_answer,
                stream_prefix="asked-",
                addressed=addressed,
            )

            async def hop(stream: str) -> bool:
                done = stored.next()
                await store.append_all([Append(stream, [_asked()], wakes=wakes)])
                return await done

            async with ReactionWorker(store, group="hop", reactions=[reaction]) as worker:
                await worker.settle()
                yield Workload(
                    inputs=lambda number: [f"asked-{next(_numbers) % 100}" for _ in range(number)],
                    operation=hop,
                    check=bool,
                    latencies=True,
                )


class _Stored:
    """Says when a store has stored what a reaction made."""

    def __init__(self, store: Any) -> None:
        self._finish = store.finish
        self._waiting: asyncio.Future[bool] | None = None
        self._left = 0
        store.finish = self.finish

    def next(self, *, outputs: int = 1) -> asyncio.Future[bool]:
        """Return what becomes of the next finishes with outputs; of one that is refused, False."""
        self._waiting, self._left = asyncio.get_running_loop().create_future(), outputs
        return self._waiting

    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        done: list[Finished] = await self._finish(finishes)
        if self._waiting is not None:
            ended = [end for each, end in zip(finishes, done, strict=True) if each.appends]
            self._left -= len(ended)
            refused = any(end.error is not None for end in ended)
            if (refused or self._left <= 0) and ended:
                self._waiting.set_result(not refused)
                self._waiting = None
        return done


def _wake(name: str, opened: OpenEventStore) -> None:
    @benchmark(f"event_store.{name}.wake")
    async def wake() -> AsyncIterator[Workload[str, bool]]:
        """From the append of an event until the handler of an idle worker begins, found by a scan."""
        async with opened() as store:
            begun: asyncio.Queue[int] = asyncio.Queue()

            async def begin(call: ReactionCall[Asked]) -> None:
                begun.put_nowait(call.event.position)

            async def append(stream: str) -> bool:
                stored = await store.append(stream, [_asked()])
                return bool(await begun.get() == stored.position)

            reaction = Reaction(name="begin", on=[Asked], handler=begin)
            async with ReactionWorker(store, group="wake", reactions=[reaction]) as worker:
                await worker.settle()
                yield Workload(
                    inputs=lambda number: [f"asked-{next(_numbers) % 100}" for _ in range(number)],
                    operation=append,
                    check=bool,
                    latencies=True,
                )


for _name, _opened in EVENT_STORES.items():
    _drain(_name, _opened, streams=1)
    _drain(_name, _opened, streams=100)
    _hop(_name, _opened, workers=1)
    _hop(_name, _opened, workers=8)
    _one_hop(_name, _opened, addressed=False)
    _one_hop(_name, _opened, addressed=True)
    _wake(_name, _opened)
