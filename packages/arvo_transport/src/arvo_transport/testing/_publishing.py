"""What must hold for events on their way into a topic."""

import asyncio
from datetime import UTC, datetime, timedelta

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_transport import EventTooLargeError

from ._engine_under_test import EngineUnderTest
from ._events import ORDER, PAY, SHIP, UNDECLARED, event, event_of_size, needs, needs_order
from ._scene import Scene, cancelled_after, ids

_DELAY = timedelta(seconds=1)


class Publishing:
    """What `publish` promises."""

    async def test_an_event_is_stored_when_publish_returns(self, engine: EngineUnderTest) -> None:
        """The publisher may die in the next moment."""
        async with Scene(engine, PAY) as scene:
            publisher = await scene.connect()
            await publisher.publish([event(1)])
            await engine.kill(publisher)
            assert ids(await (await scene.worker(PAY)).receive(1)) == ["event-1"]

    async def test_an_event_arrives_as_it_was_published(self, engine: EngineUnderTest) -> None:
        """Every attribute, extensions, and data of every kind."""
        published = ArvoEvent.create(
            id="event-1",
            source="com.shop.web",
            type="com.svc.pay",
            subject="order-7 Zoë 日本 🛒",
            to="com.svc.pay",
            redirectto="com.svc.ship",
            parentid="event-0",
            executionunits=1.5,
            accesscontrol="role:clerk",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            tracestate="vendor=1",
            dataschema="#/services/pay/1.0.0",
            time=datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
            data={
                "text": 'Zoe\u0308 \u2028 \x00 " \\ </script>',
                "": {"list": [], "object": {}, "null": None, "yes": True},
                "numbers": [0, -1, 2**53 + 1, 0.1, 1.5e300],
            },
            extensions={"partitionkey": "tenant-7", "origin": "elsewhere"},
        )
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([published])
            [received] = await (await scene.worker(PAY)).receive(1)
            assert received.event == published
            assert received.event.to_json() == published.to_json()

    async def test_an_event_goes_to_the_topic_of_its_address(self, engine: EngineUnderTest) -> None:
        """That is its `to`, else its type; its domain says nothing."""
        async with Scene(engine, PAY, SHIP) as scene:
            elsewhere = ArvoEvent.from_dict({**event(3).to_dict(), "to": SHIP.name})
            await scene.client.publish([event(1, domain="human"), event(2, to=SHIP), elsewhere])
            paid, shipped = [await scene.client.peek(each.name) for each in (PAY, SHIP)]
            assert [each.id for each in paid] == ["event-1"]
            assert sorted(each.id for each in shipped) == ["event-2", "event-3"]

    async def test_events_of_one_call_are_all_stored(self, engine: EngineUnderTest) -> None:
        """However many, to several topics, of one subject or of many; none is no error."""
        events = [
            event(number, to=(PAY, SHIP)[number % 2], subject=f"order-{number % 7}")
            for number in range(200)
        ]
        async with Scene(engine, PAY, SHIP) as scene:
            await scene.client.publish(events)
            await scene.client.publish([])
            await scene.rest(PAY, waiting=100)
            await scene.rest(SHIP, waiting=100)

    async def test_an_event_for_an_undeclared_topic_is_refused(
        self, engine: EngineUnderTest
    ) -> None:
        """The error has the event, and nothing of the call is stored."""
        async with Scene(engine, PAY) as scene:
            lost = event(2, to=UNDECLARED)
            try:
                await scene.client.publish([event(1), lost, event(3)])
            except UnroutableError as error:
                refused = error.event
            else:
                raise AssertionError("an event for a topic that nobody declared was accepted")
            assert refused == lost
            await scene.rest(PAY, waiting=0)
            assert UNDECLARED.name not in [each.name for each in await scene.client.topics()]

    async def test_a_topic_declared_by_another_client_is_known(
        self, engine: EngineUnderTest
    ) -> None:
        """A publisher that was refused is not refused for ever."""
        async with Scene(engine) as scene:
            publisher = await scene.connect()
            try:
                await publisher.publish([event(1)])
            except UnroutableError:
                pass
            else:
                raise AssertionError("an event for a topic that nobody declared was accepted")
            await scene.client.declare([PAY])
            await publisher.publish([event(1)])
            await scene.rest(PAY, waiting=1)

    async def test_an_event_that_is_too_large_is_refused(self, engine: EngineUnderTest) -> None:
        """The error says how large it is and may be, and nothing of the call is stored."""
        async with Scene(engine, PAY) as scene:
            most = scene.client.capabilities.max_event_bytes
            large = event_of_size(most + 1)
            try:
                await scene.client.publish([event(2), large, event(3)])
            except EventTooLargeError as error:
                assert (error.event, error.size, error.max_bytes) == (large, most + 1, most)
            else:
                raise AssertionError("an event larger than max_event_bytes was accepted")
            await scene.rest(PAY, waiting=0)

    async def test_the_largest_event_is_carried(self, engine: EngineUnderTest) -> None:
        """One of exactly `max_event_bytes`, by publication and as an output."""
        async with Scene(engine, PAY, ORDER) as scene:
            most = scene.client.capabilities.max_event_bytes
            published = event_of_size(most)
            await scene.client.publish([published])
            [received] = await (await scene.worker(PAY)).receive(1)
            assert received.event == published

    # --- copies -------------------------------------------------------------

    async def test_a_repetition_is_dropped(self, engine: EngineUnderTest) -> None:
        """A publisher in doubt publishes again; also beside others, and from another client."""
        async with Scene(engine, PAY) as scene:
            needs(scene.client.capabilities.duplicates_dropped_for, "dropping duplicates")
            other = await scene.connect()
            await scene.client.publish([event(1), event(2)])
            await other.publish([event(2), event(3)])
            await scene.client.publish([event(1)])
            await scene.rest(PAY, waiting=3)

    async def test_a_repetition_is_dropped_when_the_first_was_handled(
        self, engine: EngineUnderTest
    ) -> None:
        """The doubt may last longer than the work."""
        async with Scene(engine, PAY) as scene:
            needs(scene.client.capabilities.duplicates_dropped_for, "dropping duplicates")
            await scene.client.publish([event(1)])
            await (await scene.worker(PAY)).handle(1)
            await scene.client.publish([event(1)])
            await scene.rest(PAY, waiting=0, in_hand=0)

    async def test_events_are_told_apart_by_source_and_id(self, engine: EngineUnderTest) -> None:
        """An id is unique for its source only, and other attributes do not matter."""
        async with Scene(engine, PAY) as scene:
            first = event(1)
            other = ArvoEvent.from_dict({**first.to_dict(), "source": "com.shop.phone"})
            await scene.client.publish([first, other, event(2)])
            await scene.rest(PAY, waiting=3)

    async def test_a_copy_on_purpose_is_delivered(self, engine: EngineUnderTest) -> None:
        """It has the same id, names itself by `again`, and the delivery shows the name."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1)])
            [first] = await worker.handle(1)
            await scene.client.publish([event(1)], again="client:2")
            [copy] = await worker.handle(1)
            assert (first.again, copy.again) == ("", "client:2")
            assert copy.event == first.event

    async def test_a_copy_on_purpose_is_repeated_like_any_event(
        self, engine: EngineUnderTest
    ) -> None:
        """The same name is a repetition, another name is another copy."""
        async with Scene(engine, PAY) as scene:
            needs(scene.client.capabilities.duplicates_dropped_for, "dropping duplicates")
            for again in ("", "client:1", "client:2", "client:1", ""):
                await scene.client.publish([event(1)], again=again)
            await scene.rest(PAY, waiting=3)

    # --- cancellation -------------------------------------------------------

    async def test_a_cancelled_publish_stores_an_event_whole_or_not_at_all(
        self, engine: EngineUnderTest
    ) -> None:
        """Cancelled at any await, and published again, each event is there."""
        async with Scene(engine, PAY) as scene:
            for turns in range(20):
                await cancelled_after(turns, scene.client.publish([event(turns)]))
                await scene.client.publish([event(turns)])
            worker = await scene.worker(PAY)
            seen: set[str] = set()
            while len(seen) < 20:
                seen |= {each.event.id for each in await worker.handle(1)}
            if scene.client.capabilities.duplicates_dropped_for:
                await scene.rest(PAY, waiting=0)

    # --- later --------------------------------------------------------------

    async def test_an_event_with_a_time_waits_for_it(self, engine: EngineUnderTest) -> None:
        """It is delayed, not waiting, and comes when its time has come."""
        async with Scene(engine, PAY) as scene:
            needs(scene.client.capabilities.longest_delay, "publish(at=)")
            due = engine.clock.now() + _DELAY
            await scene.client.publish([event(1)], at=due)
            await scene.client.publish([event(2)])
            worker = await scene.worker(PAY)
            assert ids(await worker.receive(1)) == ["event-2"]
            await scene.rest(PAY, waiting=0, in_hand=1, delayed=1)
            assert ids(await worker.receive(1)) == ["event-1"]
            assert engine.clock.now() >= due - timedelta(milliseconds=5)

    async def test_a_time_that_has_passed_delays_nothing(self, engine: EngineUnderTest) -> None:
        """The event waits from now on."""
        async with Scene(engine, PAY) as scene:
            needs(scene.client.capabilities.longest_delay, "publish(at=)")
            await scene.client.publish([event(1)], at=engine.clock.now() - timedelta(days=1))
            await scene.rest(PAY, waiting=1, delayed=0)

    async def test_a_time_that_cannot_be_kept_is_refused(self, engine: EngineUnderTest) -> None:
        """Without a zone, or further ahead than the engine can; nothing is stored."""
        async with Scene(engine, PAY) as scene:
            now = engine.clock.now()
            longest = scene.client.capabilities.longest_delay or timedelta(0)
            times = [datetime(2030, 1, 1)]  # noqa: DTZ001 - that is the mistake
            if longest < timedelta(days=365_000):
                times.append(now + longest + timedelta(minutes=1))
            for at in times:
                try:
                    await scene.client.publish([event(1)], at=at)
                except ValueError:
                    continue
                raise AssertionError(f"publish must refuse at={at}")
            await scene.rest(PAY, waiting=0, delayed=0)

    async def test_a_time_for_an_ordered_topic_is_refused(self, engine: EngineUnderTest) -> None:
        """Those that come after it would have to wait."""
        async with Scene(engine, ORDER) as scene:
            needs_order(scene.client)
            try:
                await scene.client.publish(
                    [event(1, to=ORDER)], at=engine.clock.now() + timedelta(seconds=1)
                )
            except ValueError:
                pass
            else:
                raise AssertionError("publish must refuse `at` for an ordered topic")
            await scene.rest(ORDER, waiting=0, delayed=0)

    async def test_many_publishers_at_once_lose_nothing(self, engine: EngineUnderTest) -> None:
        """Calls of several clients, all at the same time."""
        async with Scene(engine, PAY) as scene:
            clients = [scene.client, await scene.connect(), await scene.connect()]
            await scene.ends(
                asyncio.gather(
                    *(clients[number % 3].publish([event(number)]) for number in range(90))
                ),
                what="90 publications at once",
            )
            await scene.rest(PAY, waiting=90)
