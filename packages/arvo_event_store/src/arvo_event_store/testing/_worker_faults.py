"""What workers do when something fails."""

import asyncio
from datetime import timedelta

from arvo_event_store._reactions._call import ReactionCall
from arvo_event_store._reactions._event_consumer import Reaction
from arvo_event_store._reactions._failure import ReactionFailure
from arvo_event_store._reactions._lane import Lane
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT

from ._reacting import AT_ONCE, GROUP, Added, Echoed, Reacting, add, amounts


async def _echo(call: ReactionCall[Added]) -> None:
    call.emit(f"echo-{call.event.stream}", Echoed(call.data.amount))


class WorkerFaults(Reacting):
    """Whatever dies, others go on, and nothing is lost or stored twice."""

    async def test_a_target_of_a_dead_worker_is_taken_over(self, store: IEventStore) -> None:
        """X1: when its lease has run out, with the try counted."""

        async def scenario() -> None:
            attempts: list[int] = []
            done = asyncio.Event()

            async def echo(call: ReactionCall[Added]) -> None:
                attempts.append(call.attempt)
                await _echo(call)
                done.set()

            await add(store, "a", 1)
            reaction = Reaction(name="echo", on=[Added], handler=echo)
            await self._scanned(store, reaction)
            await self._claimed_by_a_dead_worker(store, reaction)
            async with self._worker(store, reaction) as worker:
                await done.wait()
                await worker.settle()
            assert attempts == [2]
            assert await amounts(store, "echo-a") == [1]

        await self.complete(scenario())

    async def test_an_event_that_kills_its_workers_is_given_up(self, store: IEventStore) -> None:
        """L6: after as many tries as there are, and it says why."""

        async def scenario() -> None:
            reaction = Reaction(name="kill", on=[Added], handler=_echo, to=PER_EVENT, retry=AT_ONCE)
            await add(store, "a", 1)
            await self._scanned(store, reaction)
            for died in range(4):
                lease = await self._claimed_by_a_dead_worker(store, reaction)
                assert lease.attempt == died + 1
                while not (await store.ready(GROUP, lanes=["default"])).lanes:
                    await self.clock.sleep(timedelta(milliseconds=20))
            await self._worker(store, reaction).settle()
            (parked,) = [event async for event in store.parked(GROUP)]
            assert parked.attempts == 4
            assert "without a word" in parked.error
            assert await amounts(store, "echo-a") == []

        await self.complete(scenario())

    async def test_a_slow_handler_keeps_its_lease(self, store: IEventStore) -> None:
        """L10: it is renewed for as long as the worker lives."""

        async def scenario() -> None:
            calls: list[int] = []

            async def slow(call: ReactionCall[Added]) -> None:
                calls.append(call.token)
                first = call.deadline
                while self.clock.now() <= first:
                    await self.clock.sleep(self.lease / 10)
                assert call.deadline > first
                await _echo(call)

            await add(store, "a", 1)
            reaction = Reaction(name="slow", on=[Added], handler=slow)
            lanes = {"default": Lane(ttl=self.lease)}
            async with self._worker(store, reaction, lanes=lanes) as other:
                worker = self._worker(store, reaction, lanes=lanes)
                async with worker:
                    while not await amounts(store, "echo-a"):
                        await self.clock.sleep(timedelta(milliseconds=100))
                assert worker.stats().lost + other.stats().lost == 0
            assert len(calls) == 1

        await self.complete(scenario())

    async def test_two_workers_never_have_one_target_together(self, store: IEventStore) -> None:
        """X6: and each event has its effect once."""

        async def scenario() -> None:
            running: set[str] = set()

            async def echo(call: ReactionCall[Added]) -> None:
                assert call.key not in running, "somebody else has this target"
                running.add(call.key)
                await asyncio.sleep(0)
                await _echo(call)
                running.discard(call.key)

            reaction = Reaction(name="echo", on=[Added], handler=echo)
            lanes = {"default": Lane(concurrency=2, max_events=2)}
            async with (
                self._worker(store, reaction, lanes=lanes) as one,
                self._worker(store, reaction, lanes=lanes) as two,
            ):
                for amount in range(10):
                    await asyncio.gather(*(add(store, f"s{number}", amount) for number in range(3)))
                while one.stats().handled + two.stats().handled < 30:
                    await self.clock.sleep(timedelta(milliseconds=20))
                assert one.stats().retried + two.stats().retried == 0
            for number in range(3):
                assert await amounts(store, f"echo-s{number}") == list(range(10))

        await self.complete(scenario())

    async def test_a_handler_may_finish_although_it_is_cancelled(self, store: IEventStore) -> None:
        """X7: what it did is stored, as nobody else had the target."""

        async def scenario() -> None:
            begun = asyncio.Event()

            async def stubborn(call: ReactionCall[Added]) -> None:
                begun.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await asyncio.sleep(0)
                await _echo(call)

            await add(store, "a", 1, 2)
            reaction = Reaction(name="stubborn", on=[Added], handler=stubborn)
            async with self._worker(store, reaction, grace=timedelta(0)):
                await begun.wait()
            assert await amounts(store, "echo-a") == [1]
            (target,) = [target async for target in store.targets(GROUP)]
            assert (target.leased_until, target.attempt) == (None, 0)

        await self.complete(scenario())

    async def test_a_listener_that_raises_disturbs_nobody(self, store: IEventStore) -> None:
        """X11: it is told of each failure, and others go on."""

        async def scenario() -> None:
            told: list[ReactionFailure] = []

            async def listen(failure: ReactionFailure) -> None:
                told.append(failure)
                raise RuntimeError("the listener fails as well")

            async def echo(call: ReactionCall[Added]) -> None:
                await _echo(call)
                if call.data.amount < 0:
                    raise ValueError("below zero")

            await add(store, "a", 1, -1, 2)
            await add(store, "b", 3)
            reaction = Reaction(
                name="echo", on=[Added], handler=echo, retry=AT_ONCE, on_exhausted="park"
            )
            await self._worker(store, reaction, on_error=listen).settle()
            assert await amounts(store, "echo-a") == [1, 2]
            assert await amounts(store, "echo-b") == [3]
            outcomes = [(each.failed, each.outcome) for each in told]
            assert outcomes == [(1, "retried"), (2, "retried"), (3, "retried"), (4, "parked")]
            assert all(isinstance(each.error, ValueError) for each in told)

        await self.complete(scenario())

    async def test_a_worker_that_leaves_hands_over(self, store: IEventStore) -> None:
        """X12: what it had in hand, and the scan, without a lease running out."""

        async def scenario() -> None:
            begun = asyncio.Event()
            done = asyncio.Event()
            attempts: list[int] = []

            async def echo(call: ReactionCall[Added]) -> None:
                attempts.append(call.attempt)
                if not begun.is_set():
                    begun.set()
                    await asyncio.Event().wait()
                await _echo(call)
                if call.data.amount == 2:
                    done.set()

            reaction = Reaction(name="echo", on=[Added], handler=echo)
            lanes = {"default": Lane(ttl=timedelta(hours=1))}
            await add(store, "a", 1)
            leaving = self._worker(store, reaction, lanes=lanes, grace=timedelta(0))
            await leaving.__aenter__()
            await begun.wait()
            async with self._worker(store, reaction, lanes=lanes) as successor:
                await leaving.__aexit__(None, None, None)
                await add(store, "a", 2)
                await done.wait()
                await successor.settle()
            assert attempts == [1, 1, 1]
            assert await amounts(store, "echo-a") == [1, 2]

        await self.complete(scenario())

    async def test_a_slow_handler_bounds_what_is_in_hand(self, store: IEventStore) -> None:
        """X13: not more targets than the lane has places, nor more events than it reads."""

        async def scenario() -> None:
            running = 0
            most = 0

            async def slow(call: ReactionCall[Added]) -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                running -= 1
                await _echo(call)

            for number in range(12):
                await add(store, f"s{number}", *range(5))
            lanes = {"default": Lane(concurrency=3, max_events=2)}
            worker = self._worker(
                store, Reaction(name="slow", on=[Added], handler=slow), lanes=lanes
            )
            await worker.settle()
            assert 1 <= most <= 3
            assert worker.stats().claimed == 12 * 3
            for number in range(12):
                assert await amounts(store, f"echo-s{number}") == list(range(5))

        await self.complete(scenario())
