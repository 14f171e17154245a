"""What must hold for the registry of topics."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from arvo_transport import DOOR, Output, TopicConflictError, TopicSpec, UnknownTopicError

from ._engine_under_test import EngineUnderTest
from ._events import ORDER, PAY, SHIP, SHOP, UNDECLARED, event, needs_order
from ._scene import Scene, ids


class Declaring:
    """What `declare` and `topics` promise."""

    async def test_a_declared_topic_is_listed(self, engine: EngineUnderTest) -> None:
        """For every client, as it was declared, with who did and when."""
        spec = TopicSpec("domain:human", kind="domain", owner=False, max_waiting=100)
        async with Scene(engine, spec) as scene:
            [topic] = await (await scene.connect()).topics()
            assert (topic.name, topic.order, topic.kind) == ("domain:human", "none", "domain")
            assert (topic.owned, topic.max_waiting, topic.paused) == (False, 100, False)
            assert topic.partitions == 1
            assert topic.declared_by
            age = engine.clock.now() - topic.declared_at
            assert timedelta(minutes=-5) < age < timedelta(minutes=5)

    async def test_topics_are_listed_by_name(self, engine: EngineUnderTest) -> None:
        """In whatever order they were declared."""
        names = ["com.svc.ship", "com.svc.order", "domain:human", DOOR, "com.svc.pay"]
        async with Scene(engine) as scene:
            assert not await scene.client.topics()
            for name in names:
                await scene.client.declare([TopicSpec(name)])
            assert [each.name for each in await scene.client.topics()] == sorted(names)

    async def test_names_of_topics_are_compared_exactly(self, engine: EngineUnderTest) -> None:
        """One may be the beginning of another, or differ in a separator alone."""
        names = ["com.svc.pay", "com.svc.pay.card", "com.svc.pay0", "com.svcpay", "com_svc.pay"]
        async with Scene(engine, SHIP, *(TopicSpec(name) for name in names)) as scene:
            await scene.client.publish([event(0, to=SHIP)])
            worker = await scene.worker(SHIP)
            [received] = await worker.receive(1)
            outputs = [Output(event(number), topic=name) for number, name in enumerate(names)]
            await worker.done(received, *outputs)
            for number, name in enumerate(names):
                waiting = await scene.client.peek(name)
                assert [each.id for each in waiting] == [f"event-{number}"], name

    async def test_declaring_again_changes_nothing(self, engine: EngineUnderTest) -> None:
        """What waits goes on waiting, and who declared it first is still said."""
        async with Scene(engine, PAY) as scene:
            before = await scene.client.topics()
            await scene.client.publish([event(1)])
            await (await scene.connect()).declare([PAY, PAY])
            assert await scene.client.topics() == before
            await scene.rest(PAY, waiting=1)

    async def test_eight_clients_may_declare_at_once(self, engine: EngineUnderTest) -> None:
        """As when a deployment starts: all succeed, and each topic is there once."""
        specs = [replace(PAY, name=f"com.svc.number{number}") for number in range(8)]
        async with Scene(engine) as scene:
            clients = [await scene.connect() for _ in specs]
            await scene.ends(
                asyncio.gather(*(client.declare(specs) for client in clients)),
                what="eight declarations at once",
            )
            assert [each.name for each in await scene.client.topics()] == [
                each.name for each in specs
            ]

    async def test_a_topic_with_another_order_is_a_conflict(self, engine: EngineUnderTest) -> None:
        """The error says what is there and what was wanted, and nothing was declared."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            other = await scene.connect()
            try:
                await other.declare([PAY, replace(ORDER, order="none")])
            except TopicConflictError as error:
                assert (error.topic, error.order, error.wanted) == (ORDER.name, "subject", "none")
                assert error.declared_by
            else:
                raise AssertionError("a second owner must not change the order of a topic")
            states = await scene.client.topics()
            assert [(each.name, each.order) for each in states] == [(ORDER.name, "subject")]

    async def test_the_address_of_a_client_has_no_events(self, engine: EngineUnderTest) -> None:
        """What is declared for answers is not a topic of events, nor the reverse."""
        async with Scene(engine, SHOP, PAY) as scene:
            before = await scene.client.topics()
            for wanted in (TopicSpec(SHOP.name), replace(PAY, kind="answers")):
                try:
                    await scene.client.declare([SHIP, wanted])
                except ValueError:
                    continue
                raise AssertionError(f"{wanted.name} must not be declared as {wanted.kind}")
            assert await scene.client.topics() == before

    async def test_the_first_owner_decides_the_order(self, engine: EngineUnderTest) -> None:
        """It was the guess of those who ask; what waits is kept, in order."""
        asked = replace(ORDER, order="none", owner=False)
        async with Scene(engine, asked) as scene:
            needs_order(scene.client)
            for number in range(9):
                await scene.client.publish([event(number, to=ORDER, subject=f"order-{number % 2}")])
            await (await scene.connect()).declare([ORDER])
            await scene.client.publish([event(9, to=ORDER, subject="order-1")])
            [state] = await scene.client.topics()
            assert (state.order, state.owned) == ("subject", True)
            worker = await scene.worker(ORDER)
            handled = await worker.handle(10)
            for subject in ("order-0", "order-1"):
                order = [each for each in ids(handled) if int(each[-1]) % 2 == int(subject[-1])]
                assert order == sorted(order)

    async def test_each_owner_decides_how_many_events_may_wait(
        self, engine: EngineUnderTest
    ) -> None:
        """So that a worker deployed later changes it; who only asks does not."""
        async with Scene(engine) as scene:
            for spec, expected in (
                (TopicSpec(PAY.name, owner=False, max_waiting=1), 1),
                (TopicSpec(PAY.name, max_waiting=5), 5),
                (TopicSpec(PAY.name, max_waiting=7), 7),
                (TopicSpec(PAY.name, owner=False), 7),
                (TopicSpec(PAY.name), None),
            ):
                await scene.client.declare([spec])
                [state] = await (await scene.connect()).topics()
                assert state.max_waiting == expected

    async def test_who_only_asks_changes_nothing_of_an_owned_topic(
        self, engine: EngineUnderTest
    ) -> None:
        """Its order and limit are the owner's, and a wrong guess is no conflict."""
        async with Scene(engine, replace(ORDER, max_waiting=7)) as scene:
            needs_order(scene.client)
            before = await scene.client.topics()
            asker = await scene.connect()
            await asker.declare([replace(ORDER, order="none", owner=False, max_waiting=9)])
            assert await scene.client.topics() == before

    async def test_a_topic_that_nobody_declared_is_unknown(self, engine: EngineUnderTest) -> None:
        """Whatever is asked of it, and it does not come into being by that."""
        name = UNDECLARED.name
        async with Scene(engine, PAY) as scene:
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "depth": lambda: scene.client.depth(name),
                "peek": lambda: scene.client.peek(name),
                "pause": lambda: scene.client.pause(name, paused=True),
                "relayout": lambda: scene.client.relayout(name, partitions=2),
            }
            for call, ask in calls.items():
                try:
                    await ask()
                except UnknownTopicError as error:
                    assert error.topic == name, call
                else:
                    raise AssertionError(f"{call} must refuse a topic that nobody has declared")
            assert [each.name for each in await scene.client.topics()] == [PAY.name]

    async def test_the_door_is_a_topic_like_others(self, engine: EngineUnderTest) -> None:
        """It is there once it was declared, and events wait in it that are for other topics."""
        door = TopicSpec(DOOR)
        async with Scene(engine, PAY, door) as scene:
            await scene.client.publish([event(1)])
            worker, porter = await scene.worker(PAY), await scene.worker(door)
            [received] = await worker.receive(1)
            await worker.done(received, Output(event(2), topic=DOOR))
            assert ids(await porter.handle(1)) == ["event-2"]
            await scene.rest(door, waiting=0, in_hand=0)

    async def test_an_inbox_of_nothing_that_is_received_is_refused(
        self, engine: EngineUnderTest
    ) -> None:
        """Answers wait in a box, and a prefetch of none is a mistake."""
        async with Scene(engine, PAY, SHOP) as scene:
            for topic, prefetch in ((SHOP, 1), (PAY, 0)):
                try:
                    async with scene.client.inbox(topic, prefetch=prefetch):
                        pass
                except ValueError:
                    continue
                raise AssertionError(f"inbox({topic.name}, prefetch={prefetch}) must be refused")
