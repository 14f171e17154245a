"""What workers do when nothing fails."""

import asyncio
from datetime import timedelta

from arvo_event_store._aggregate import Aggregate
from arvo_event_store._event import Event
from arvo_event_store._reactions._call import Batch, Postpone, ReactionCall, Reject
from arvo_event_store._reactions._event_consumer import Projection, Reaction
from arvo_event_store._reactions._lane import Lane
from arvo_event_store._store import IEventStore
from arvo_event_store._target import PER_EVENT

from ._reacting import AT_ONCE, GROUP, Added, Echoed, Reacting, add, amounts

_echoes = Aggregate(
    category="echo",
    events=[Echoed],
    initial=int,
    evolve=lambda total, event: total + event.amount,
)


async def _echo(call: ReactionCall[Added]) -> None:
    call.emit(f"echo-{call.event.stream}", Echoed(call.data.amount))


async def _never(_: Batch[Echoed]) -> None:
    raise AssertionError


class WorkerRuns(Reacting):
    """What is handled, in which order, and what is stored with it."""

    async def test_each_event_has_its_effect_once(self, store: IEventStore) -> None:
        """F2: in the order of its stream, with the event as its cause."""

        async def scenario() -> None:
            await add(store, "a", 1, 2)
            await add(store, "b", 3)
            worker = self._worker(store, Reaction(name="echo", on=[Added], handler=_echo))
            await worker.settle()
            await add(store, "a", 4)
            await worker.settle()
            await worker.settle()
            assert await amounts(store, "echo-a") == [1, 2, 4]
            assert await amounts(store, "echo-b") == [3]
            causes = [event async for event in store.read("a")]
            async for echo in store.read("echo-a"):
                cause = causes.pop(0)
                assert (echo.causation, echo.correlation) == (cause.id, cause.correlation)
            assert worker.stats().handled == 4

        await self.complete(scenario())

    async def test_a_running_worker_hears_of_appends(self, store: IEventStore) -> None:
        """Without a look of its own being due."""

        async def scenario() -> None:
            heard = asyncio.Event()

            async def hear(_: ReactionCall[Added]) -> None:
                heard.set()

            async with self._worker(
                store, Reaction(name="hear", on=[Added], handler=hear)
            ) as worker:
                await worker.settle()
                await add(store, "a", 1)
                await heard.wait()
                assert worker.health().status == "ok"
            assert worker.health().status == "down"

        await self.complete(scenario())

    async def test_a_projection_gets_all_in_the_order_of_the_log(self, store: IEventStore) -> None:
        """In batches, whatever the streams."""

        async def scenario() -> None:
            seen: list[int] = []
            sizes: list[int] = []

            async def project(batch: Batch[Added]) -> None:
                sizes.append(len(batch))
                seen.extend(item.data.amount for item in batch)

            for amount in range(10):
                await add(store, f"s{amount % 3}", amount)
            projection = Projection(name="all", on=[Added], handler=project)
            lanes = {"default": Lane(max_events=4)}
            await self._worker(store, projection, lanes=lanes).settle()
            assert seen == list(range(10))
            assert sizes == [4, 4, 2]

        await self.complete(scenario())

    async def test_keys_get_what_was_listed_for_them(self, store: IEventStore) -> None:
        """S7: an event may concern several keys, or none."""

        async def scenario() -> None:
            def keys(event: Event) -> list[str] | None:
                amount: int = event.data["amount"]
                return [f"k{amount % 2}", "all"] if amount else None

            async def keep(call: ReactionCall[Added]) -> None:
                call.emit(call.key, Echoed(call.data.amount))

            for amount in range(6):
                await add(store, f"s{amount % 4}", amount)
            await self._worker(
                store, Reaction(name="keep", on=[Added], handler=keep, to=keys)
            ).settle()
            assert await amounts(store, "k0") == [2, 4]
            assert await amounts(store, "k1") == [1, 3, 5]
            assert await amounts(store, "all") == [1, 2, 3, 4, 5]

        await self.complete(scenario())

    async def test_the_scan_ends_though_one_reaction_is_behind(self, store: IEventStore) -> None:
        """By more than a store reads at once, and nothing concerns it."""

        async def scenario() -> None:
            async def take(_: Batch[Added]) -> None:
                pass

            ahead = Projection(name="ahead", on=[Added], handler=take)
            behind = Projection(name="behind", on=[Echoed], handler=_never)
            await store.register(GROUP, [behind.spec])
            await add(store, "a", *range(900))
            for _ in range(9):
                await self._scanned(store, ahead)
            worker = self._worker(store, ahead, behind)
            async with asyncio.timeout(60):
                await worker.settle()
            assert worker.stats().handled == 900

        await self.complete(scenario())

    async def test_both_frontiers_converge(self, store: IEventStore) -> None:
        """L7: targets with a long backlog and fresh ones are all done, with two slots."""

        async def scenario() -> None:
            await add(store, "old", *range(30))
            for number in range(10):
                await add(store, f"new-{number}", number)
            lanes = {"default": Lane(concurrency=2, max_events=3)}
            worker = self._worker(
                store, Reaction(name="echo", on=[Added], handler=_echo), lanes=lanes
            )
            await worker.settle()
            assert await amounts(store, "echo-old") == list(range(30))
            for number in range(10):
                assert await amounts(store, f"echo-new-{number}") == [number]
            assert worker.stats().claimed == 20

        await self.complete(scenario())

    async def test_single_events_come_oldest_first_and_leave_nothing(
        self, store: IEventStore
    ) -> None:
        """L8: their targets are gone when they are done."""

        async def scenario() -> None:
            seen: list[int] = []

            async def see(call: ReactionCall[Added]) -> None:
                seen.append(call.data.amount)

            await add(store, "a", *range(6))
            lanes = {"default": Lane(concurrency=1)}
            reaction = Reaction(name="see", on=[Added], handler=see, to=PER_EVENT)
            await self._worker(store, reaction, lanes=lanes).settle()
            assert seen == list(range(6))
            assert [target async for target in store.targets(GROUP)] == []

        await self.complete(scenario())

    async def test_a_reaction_acts_on_an_aggregate(self, store: IEventStore) -> None:
        """Many targets on one stream: who meets another decides again."""

        async def scenario() -> None:
            async def act(call: ReactionCall[Added]) -> None:
                await _echoes.act(call, "all", lambda _: [Echoed(call.data.amount)])

            for number in range(8):
                await add(store, f"s{number}", number, number)
            worker = self._worker(store, Reaction(name="act", on=[Added], handler=act))
            await worker.settle()
            assert sorted(await amounts(store, "echo-all")) == sorted([*range(8)] * 2)
            assert worker.stats().retried == 0

        await self.complete(scenario())

    async def test_a_window_ends_where_an_event_fails(self, store: IEventStore) -> None:
        """F4: what came before it is stored; the rest follows it, each once."""

        async def scenario() -> None:
            for bad in range(10):
                tried: list[int] = []

                async def echo(call: ReactionCall[Added], bad: int = bad) -> None:
                    call.emit(f"echo-{call.event.stream}", Echoed(call.data.amount))
                    tried.append(call.data.amount)  # noqa: B023 - it is called in this round
                    if call.data.amount == bad and call.attempt == 1:
                        raise ValueError("the first try")

                await add(store, f"w{bad}", *range(10))
                reaction = Reaction(
                    name=f"echo{bad}",
                    on=[Added],
                    handler=echo,
                    retry=AT_ONCE,
                    stream_prefix=f"w{bad}",
                )
                await self._worker(store, reaction).settle()
                assert await amounts(store, f"echo-w{bad}") == list(range(10))
                assert tried == sorted([*range(10), bad])

        await self.complete(scenario())

    async def test_tries_end_with_a_block_or_put_the_event_aside(self, store: IEventStore) -> None:
        """F5, F8: after all tries, or at once if the handler rejects it."""

        async def scenario() -> None:
            tried: list[tuple[str, int]] = []

            async def refuse(call: ReactionCall[Added]) -> None:
                tried.append((call.reaction, call.attempt))
                if call.data.amount == 2:
                    raise (Reject if call.reaction == "reject" else ValueError)("not two")
                call.emit(call.reaction, Echoed(call.data.amount))

            def reaction(name: str, exhausted: str) -> Reaction:
                return Reaction(
                    name=name,
                    on=[Added],
                    handler=refuse,
                    retry=AT_ONCE,
                    on_exhausted="block" if exhausted == "block" else "park",
                )

            await add(store, "a", 1, 2, 3)
            worker = self._worker(
                store,
                reaction("block", "block"),
                reaction("park", "park"),
                reaction("reject", "park"),
            )
            await worker.settle()
            assert await amounts(store, "block") == [1]
            assert await amounts(store, "park") == [1, 3]
            assert await amounts(store, "reject") == [1, 3]
            assert [attempt for name, attempt in tried if name == "block"] == [1, 1, 2, 3, 4]
            assert [attempt for name, attempt in tried if name == "reject"] == [1, 1, 1]
            (blocked,) = [target async for target in store.targets(GROUP, blocked=True)]
            assert (blocked.reaction, blocked.error) == ("block", "ValueError: not two")
            parked = [event async for event in store.parked(GROUP)]
            assert [(each.reaction, each.attempts) for each in parked] == [
                ("park", 4),
                ("reject", 1),
            ]
            stats = worker.stats()
            assert (stats.retried, stats.blocked, stats.parked) == (6, 1, 2)

        await self.complete(scenario())

    async def test_a_postponed_event_comes_when_it_is_due(self, store: IEventStore) -> None:
        """L12, L13: later, and it is no failure."""

        async def scenario() -> None:
            done = asyncio.Event()
            attempts: list[int] = []

            async def wait(call: ReactionCall[Added]) -> None:
                attempts.append(call.attempt)
                if len(attempts) == 1:
                    raise ValueError("a failure before")
                if len(attempts) < 4:
                    raise Postpone(after=timedelta(milliseconds=50))
                done.set()

            await add(store, "a", 1)
            reaction = Reaction(name="wait", on=[Added], handler=wait, retry=AT_ONCE)
            async with self._worker(store, reaction, poll=timedelta(minutes=1)) as worker:
                await done.wait()
                await worker.settle()
                stats = worker.stats()
            assert attempts == [1, 2, 2, 2]
            assert (stats.postponed, stats.retried, stats.handled) == (2, 1, 1)

        await self.complete(scenario())
