"""One worker of any number: what it takes in hand, and when it settles it."""

import asyncio

import pytest
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation, UnroutableError
from arvo_event_handler.delivery import BrokerClosedError, HandlerConfig
from arvo_time import RetryPolicy
from arvo_transport import (
    DistributedEventBroker,
    IEventInbox,
    InMemoryTransport,
    Received,
    Settlement,
    TopicConflictError,
    TopicSpec,
    TransportCapabilities,
    TransportClosedError,
)

from .bench import (
    ONE,
    PATIENCE,
    SECOND,
    STEADY,
    TWO,
    Bench,
    Gate,
    HookedTransport,
    StubHandler,
    answer,
    emitted,
    event,
    failing,
)


class TestWorking:
    async def test_an_event_is_handled_and_its_answer_stored(self, bench: Bench) -> None:
        await bench.declare_app()
        async with bench.worker(StubHandler(answer)):
            await bench.send(event("e1"))
        found = await bench.answer_to("e1")
        assert found is not None
        assert found.id == "e1>0"
        assert (await bench.depth()).in_hand == 0

    async def test_what_a_handler_emits_goes_to_other_handlers(self, bench: Bench) -> None:
        async def ask(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, to=TWO, type=TWO)]

        two = StubHandler(source=TWO)
        async with bench.worker(StubHandler(ask)), bench.worker(two):
            await bench.send(event("e1"))
        assert two.tried == ["e1>0"]

    async def test_workers_share_the_events_of_a_handler(self, bench: Bench) -> None:
        gate = Gate()
        here, there = StubHandler(gate.act), StubHandler(gate.act)
        async with (
            bench.worker(HandlerConfig(here, prefetch=2)),
            bench.worker(HandlerConfig(there, prefetch=2)),
        ):
            await bench.send(*(event(f"e{number}") for number in range(6)))
            assert (here.running, there.running) == (2, 2)
            gate.open()
        assert sorted(here.tried + there.tried) == [f"e{number}" for number in range(6)]

    async def test_at_most_prefetch_run_and_half_as_many_wait(self, bench: Bench) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with bench.worker(HandlerConfig(handler, prefetch=4)) as broker:
            await bench.send(*(event(f"e{number}") for number in range(50)))
            stats = broker.stats.topics[ONE]
            assert (stats.running, stats.queued) == (4, 2)
            assert (await bench.depth()).waiting == 44
            gate.open()
            await bench.clock.settle()
            assert len(handler.tried) == 50

    async def test_intake_stops_at_four_sleepers_a_slot(self, bench: Bench) -> None:
        handler = failing(1_000, ConnectionError("no"))
        config = HandlerConfig(handler, prefetch=2, retry=RetryPolicy(backoff=STEADY))
        async with bench.worker(config) as broker:
            await bench.send(*(event(f"e{number}") for number in range(50)))
            assert broker.stats.topics[ONE].sleeping in range(8, 11)
            assert (await bench.depth()).waiting >= 39

    async def test_what_waits_behind_a_sleeper_takes_no_room_of_others(self, bench: Bench) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if cause.subject == "hot":
                raise ConnectionError("no")
            return []

        handler = StubHandler(act, stateful=True)
        config = HandlerConfig(handler, prefetch=4, retry=RetryPolicy(backoff=STEADY))
        async with bench.worker(config):
            await bench.send(*(event(f"hot{number}", subject="hot") for number in range(10)))
            await bench.send(*(event(f"e{number}", subject=f"s{number}") for number in range(5)))
            assert {*handler.tried} == {"hot0", *(f"e{number}" for number in range(5))}

    async def test_a_lane_opens_when_its_head_is_settled(self, bench: Bench) -> None:
        settling = asyncio.Event()

        async def settle(inbox: IEventInbox, received: Received, settlement: Settlement) -> None:
            if received.event.id == "e1":
                await settling.wait()
            await inbox.settle(received, settlement)

        handler = StubHandler(stateful=True)
        transport = HookedTransport(bench.engine, settle=settle)
        async with bench.worker(handler, transport=transport):
            await bench.send(event("e1"), event("e2"), event("e3", subject="t"))
            assert handler.tried == ["e1", "e3"]
            settling.set()
            await bench.clock.settle()
            assert handler.tried == ["e1", "e3", "e2"]

    async def test_one_worker_at_a_time_has_a_subject(self, bench: Bench) -> None:
        gate = Gate()
        here, there = (StubHandler(gate.act, stateful=True) for _ in range(2))
        async with bench.worker(here), bench.worker(there):
            await bench.send(*(event(f"e{number}") for number in range(6)))
            assert here.running + there.running == 1
            gate.open()
            await bench.clock.settle()
            assert here.tried + there.tried == [f"e{number}" for number in range(6)]

    async def test_events_of_one_key_go_one_after_another_over_all_workers(
        self, bench: Bench
    ) -> None:
        gate = Gate()
        here, there = StubHandler(gate.act), StubHandler(gate.act)
        configs = [HandlerConfig(each, order="key") for each in (here, there)]
        async with bench.worker(configs[0]), bench.worker(configs[1]):
            await bench.send(
                *(
                    event(f"e{number}", subject=f"s{number}", extensions={"partitionkey": key})
                    for number, key in enumerate(["a", "a", "b"])
                )
            )
            assert sorted(here.tried + there.tried) == ["e0", "e2"]
            gate.open()
            await bench.clock.settle()
            assert sorted(here.tried + there.tried) == ["e0", "e1", "e2"]

    async def test_a_long_handler_keeps_its_event_by_one_call_for_all(self, bench: Bench) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        transport = HookedTransport(bench.engine)
        async with bench.worker(handler, transport=transport):
            await bench.send(event("e1"), event("e2"))
            await bench.clock.run_for(10 * PATIENCE)
            assert transport.extended == [["e1", "e2"]] * 30
            gate.open()
        assert handler.tried == ["e1", "e2"]


class TestDeclaring:
    async def test_topics_have_the_order_of_their_handlers(self, bench: Bench) -> None:
        handlers = (
            StubHandler(stateful=True),
            HandlerConfig(StubHandler(source=TWO), order="key"),
            StubHandler(source="com.svc.three"),
        )
        async with bench.worker(*handlers):
            topics = {topic.name: topic for topic in await bench.app.topics()}
        orders = {name: topic.order for name, topic in topics.items()}
        assert orders == {ONE: "subject", TWO: "key", "com.svc.three": "none", "in": "none"}
        assert all(topic.owned for topic in topics.values())

    async def test_another_order_of_another_owner_ends_the_run(self, bench: Bench) -> None:
        await bench.declare(TopicSpec(ONE, order="subject"))
        async with bench.broker(StubHandler()) as broker:
            with pytest.raises(TopicConflictError):
                await broker.run()
            assert broker.state.value == "closed"

    def test_two_handlers_of_one_source_are_refused(self, bench: Bench) -> None:
        with pytest.raises(ConfigViolation, match=r"two handlers.*com\.svc\.one"):
            bench.broker(StubHandler(), StubHandler())

    def test_the_door_is_no_name_for_a_handler(self, bench: Bench) -> None:
        with pytest.raises(ConfigViolation, match="two handlers listen to 'in'"):
            bench.broker(StubHandler(source="in"))

    @pytest.mark.parametrize("order", ["key", "none"])
    def test_a_stateful_handler_needs_the_order_of_its_subjects(
        self, bench: Bench, order: str
    ) -> None:
        with pytest.raises(ValueError, match=r"com\.svc\.one"):
            bench.broker(HandlerConfig(StubHandler(stateful=True), order=order))  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "config",
        [StubHandler(stateful=True), HandlerConfig(StubHandler(), order="key")],
        ids=["stateful", "key"],
    )
    def test_an_ordered_handler_needs_a_transport_that_keeps_order(
        self, bench: Bench, config: HandlerConfig | StubHandler
    ) -> None:
        class Unordered(InMemoryTransport):
            @property
            @override
            def capabilities(self) -> TransportCapabilities:
                return TransportCapabilities(
                    ordered=False,
                    atomic_settle=True,
                    longest_delay=None,
                    duplicates_dropped_for=None,
                    counts_returns=False,
                    max_event_bytes=1_000,
                )

        with pytest.raises(ValueError, match="the transport keeps none"):
            bench.broker(config, transport=Unordered(bench.engine))

    def test_settings_are_checked(self, bench: Bench) -> None:
        for name, options in {
            "suspect_after": {"suspect_after": 0},
            "max_deliveries": {"suspect_after": 5, "max_deliveries": 4},
            "dead_letter_reply": {"dead_letter_reply": "some"},
            "hold_at_most": {"hold_at_most": -SECOND},
        }.items():
            with pytest.raises(ValueError, match=name):
                bench.broker(**options)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="defaults"):
            bench.broker(defaults=HandlerConfig(StubHandler()))


class TestLife:
    async def test_states_follow_each_other(self, bench: Bench) -> None:
        gate = Gate()
        broker = bench.broker(StubHandler(gate.act))
        states: list[str] = [broker.state]
        async with broker:
            running = asyncio.create_task(broker.run())
            await broker.wait_ready()
            states.append(broker.state)
            await bench.send(event("e1"))
            draining = asyncio.create_task(broker.drain())
            await bench.clock.settle()
            states.append(broker.state)
            gate.open()
            await draining
            await running
        assert [*states, broker.state] == ["starting", "ready", "draining", "closed"]

    async def test_run_needs_the_block_and_runs_once(self, bench: Bench) -> None:
        broker = bench.broker(StubHandler())
        with pytest.raises(BrokerClosedError):
            await broker.run()
        async with broker:
            running = asyncio.create_task(broker.run())
            await bench.clock.settle()
            with pytest.raises(RuntimeError, match="called before"):
                await broker.run()
            await broker.drain()
            await running
            await broker.run()

    async def test_nobody_waits_for_a_worker_that_never_gets_ready(self, bench: Bench) -> None:
        async with bench.broker(StubHandler()) as broker:
            waiting = asyncio.create_task(broker.wait_ready())
            await bench.clock.settle()
            await broker.aclose()
            with pytest.raises(BrokerClosedError):
                await waiting

    async def test_publishing_needs_a_declared_topic_and_an_open_broker(self, bench: Bench) -> None:
        async with bench.worker(StubHandler()) as broker:
            with pytest.raises(UnroutableError):
                await broker.publish(event("e1", to="com.nobody.there"))
        with pytest.raises(BrokerClosedError):
            await broker.publish(event("e2"))

    async def test_a_transport_that_is_closed_meanwhile_ends_the_run(self, bench: Bench) -> None:
        transport = InMemoryTransport(bench.engine)
        async with bench.broker(StubHandler(), transport=transport) as broker:
            running = asyncio.create_task(broker.run())
            await bench.clock.settle()
            await transport.aclose()
            with pytest.raises(TransportClosedError):
                await bench.clock.run_until_complete(running)

    async def test_draining_settles_what_is_in_hand_and_takes_nothing_more(
        self, bench: Bench
    ) -> None:
        gate = Gate()
        handler = StubHandler(gate.act)
        async with bench.broker(HandlerConfig(handler, prefetch=2)) as broker:
            running = asyncio.create_task(broker.run())
            await bench.clock.settle()
            await bench.send(*(event(f"e{number}") for number in range(9)))
            draining = asyncio.create_task(broker.drain())
            await bench.clock.settle()
            gate.open()
            await draining
            await running
        assert handler.tried == ["e0", "e1", "e2"]
        depth = await bench.depth()
        assert (depth.waiting, depth.in_hand) == (6, 0)

    async def test_draining_gives_back_what_sleeps(self, bench: Bench) -> None:
        """Of an ordered topic also what waits behind it, in order."""
        retry = RetryPolicy(backoff=STEADY)
        here = HandlerConfig(failing(9, ConnectionError("no"), stateful=True), retry=retry)
        async with bench.worker(here):
            await bench.send(event("e1"), event("e2"))
        there = StubHandler(stateful=True)
        async with bench.worker(there):
            await bench.clock.settle()
            assert there.tried == ["e1", "e2"]

    async def test_draining_postpones_what_sleeps_where_there_is_no_order(
        self, bench: Bench
    ) -> None:
        retry = RetryPolicy(retries=1, backoff=STEADY)
        here = HandlerConfig(failing(9, ConnectionError("no")), retry=retry)
        async with bench.worker(here):
            await bench.send(event("e1"))
            await bench.clock.run_for(SECOND / 4)
        there = failing(9, ConnectionError("no"))
        async with bench.worker(HandlerConfig(there, retry=retry)):
            await bench.clock.run_for(SECOND / 2)
            assert there.tried == []
            await bench.clock.run_for(SECOND / 4)
            assert there.tried == ["e1"]
        [letter] = await bench.dead()
        assert letter.attempts == 2

    @pytest.mark.parametrize("stateful", [False, True], ids=["unordered", "ordered"])
    async def test_draining_gives_back_what_fails_meanwhile(
        self, bench: Bench, *, stateful: bool
    ) -> None:
        failing_now = asyncio.Event()

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await failing_now.wait()
            raise ConnectionError("no")

        handler = StubHandler(act, stateful=stateful)
        config = HandlerConfig(handler, retry=RetryPolicy(backoff=STEADY))
        async with bench.broker(config) as broker:
            running = asyncio.create_task(broker.run())
            await bench.clock.settle()
            await bench.send(event("e1"))
            draining = asyncio.create_task(broker.drain())
            await bench.clock.settle()
            failing_now.set()
            await bench.clock.settle()
            assert draining.done()
            await running
        assert handler.tried == ["e1"]
        depth = await bench.depth()
        assert (depth.waiting, depth.delayed) == ((1, 0) if stateful else (0, 1))

    async def test_closing_gives_back_what_is_cancelled_as_delivered(self, bench: Bench) -> None:
        gate = Gate()
        async with bench.broker(HandlerConfig(StubHandler(gate.act), prefetch=2)) as broker:
            running = asyncio.create_task(broker.run())
            await bench.clock.settle()
            await bench.send(*(event(f"e{number}") for number in range(3)))
            await bench.clock.run_until_complete(broker.aclose(grace=SECOND))
            await running
        assert bench.letters == []
        topic = TopicSpec(ONE)
        async with bench.app.inbox(topic, prefetch=9) as inbox:
            received = await inbox.receive(9)
            counts = {each.event.id: each.deliveries for each in received}
        assert counts == {"e0": 2, "e1": 2, "e2": 1}

    async def test_closing_lets_finish_what_does_within_the_grace(self, bench: Bench) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await bench.clock.sleep(SECOND)
            return []

        async with bench.broker(StubHandler(act)) as broker:
            running = asyncio.create_task(broker.run())
            await bench.clock.settle()
            await bench.send(event("e1"))
            await bench.clock.run_until_complete(broker.aclose(grace=2 * SECOND))
            await running
        depth = await bench.depth()
        assert (depth.waiting, depth.in_hand) == (0, 0)

    async def test_cancelling_the_run_gives_everything_back(self, bench: Bench) -> None:
        gate = Gate()
        async with bench.broker(HandlerConfig(StubHandler(gate.act), prefetch=2)) as broker:
            running = asyncio.create_task(broker.run())
            await bench.clock.settle()
            await bench.send(*(event(f"e{number}") for number in range(9)))
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await bench.clock.run_until_complete(running)
            assert broker.state.value == "closed"
        depth = await bench.depth()
        assert (depth.waiting, depth.in_hand) == (9, 0)

    async def test_a_handler_cannot_wait_for_its_own_end(self, bench: Bench) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await brokers[0].drain()
            return []

        brokers: list[DistributedEventBroker] = []
        config = HandlerConfig(StubHandler(act), retry=RetryPolicy(retries=0))
        async with bench.worker(config) as broker:
            brokers.append(broker)
            await bench.send(event("e1"))
        assert [letter.reason for letter in bench.letters] == ["not retryable"]

    async def test_a_handler_that_cancels_its_task_is_not_run_again(self, bench: Bench) -> None:
        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
            return []

        handler = StubHandler(act)
        async with bench.worker(HandlerConfig(handler, prefetch=1)):
            await bench.send(event("e1"))
            await bench.send(event("e2"))
        assert handler.tried == ["e1", "e2"]
        assert [letter.reason for letter in await bench.dead()] == ["cancelled", "cancelled"]

    async def test_a_handler_that_cancels_its_task_keeps_the_order_of_its_subject(
        self, bench: Bench
    ) -> None:
        settling = asyncio.Event()

        async def settle(inbox: IEventInbox, received: Received, settlement: Settlement) -> None:
            if received.event.id == "e1":
                await settling.wait()
            await inbox.settle(received, settlement)

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            task = asyncio.current_task()
            assert task is not None
            if cause.id == "e1":
                task.cancel()
                await asyncio.sleep(0)
            return []

        handler = StubHandler(act, stateful=True)
        transport = HookedTransport(bench.engine, settle=settle)
        async with bench.worker(HandlerConfig(handler, prefetch=1), transport=transport):
            await bench.send(event("e1"), event("e2"))
            assert handler.tried == ["e1"]
            settling.set()
            await bench.clock.settle()
            assert handler.tried == ["e1", "e2"]

    async def test_events_survive_any_number_of_deployments_between_two_tries(
        self, bench: Bench
    ) -> None:
        for _ in range(12):
            failing_handler = failing(9, ConnectionError("no"), stateful=True)
            config = HandlerConfig(failing_handler, retry=RetryPolicy(backoff=STEADY))
            async with bench.worker(config):
                await bench.send(event("e1"))
        there = StubHandler(stateful=True)
        async with bench.worker(there):
            await bench.clock.settle()
            assert there.tried == ["e1"]
        assert await bench.dead() == []

    async def test_nothing_is_left_running(self, bench: Bench) -> None:
        before = asyncio.all_tasks()
        async with bench.worker(StubHandler(answer)):
            await bench.declare_app()
            await bench.send(event("e1"))
        assert asyncio.all_tasks() - before == set()
        assert bench.clock.pending == 0

    async def test_stats_say_what_is_in_hand(self, bench: Bench) -> None:
        gate = Gate()
        async with bench.worker(HandlerConfig(StubHandler(gate.act), prefetch=1)) as broker:
            await bench.send(event("e1"), event("e2"))
            stats = broker.stats
            assert (stats.queued, stats.unfinished, stats.topics[ONE].running) == (1, 2, 1)
            gate.open()
        assert broker.stats.unfinished == 0
