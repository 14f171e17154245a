"""What is particular to inboxes on NATS: pulls, foreign messages, delays."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg

from arvo_event_handler.delivery import DeadLetterReason, StoredLetter
from arvo_time.testing import FakeClock
from arvo_transport import DOOR, Done, IEventInbox, Later, Received, TopicSpec
from arvo_transport_nats import NatsTransport, _turns
from arvo_transport_nats._presence import Presence
from real_servers import FaultProxy, NatsServer

from .clients import ORDER, PAY, connect, event, new_namespace, numbers, receive

IN = TopicSpec(DOOR)


class TestStop:
    """A pull that waits may be answered after nobody wants the answer."""

    @pytest.mark.parametrize("topic", [PAY, ORDER], ids=["unordered", "ordered"])
    async def test_the_next_event_is_handled_elsewhere_at_once(
        self, nats_url: str, topic: TopicSpec
    ) -> None:
        namespace = new_namespace()
        async with (
            connect(nats_url, namespace=namespace) as one,
            connect(nats_url, namespace=namespace) as other,
        ):
            await one.declare([topic])
            for number in range(12):
                async with one.inbox(topic, prefetch=5) as stopping:
                    waiting = asyncio.ensure_future(stopping.receive(5))
                    await asyncio.sleep(0.002 if number % 2 else 0)
                    published = asyncio.ensure_future(
                        other.publish([event(number, to=topic, subject=f"order-{number}")])
                    )
                    await stopping.stop()
                    held = await waiting
                    await published
                    if held:
                        await stopping.settle(held[0], Done())
                        continue
                    async with other.inbox(topic, prefetch=5) as inbox, asyncio.timeout(5):
                        [received] = await receive(inbox, 1)
                        assert numbers([received]) == [number]
                        await inbox.settle(received, Done())

    async def test_what_is_on_its_way_is_given_back(
        self, nats_server: NatsServer, nats_url: str
    ) -> None:
        """The server has answered the pull, and the answer has not arrived."""
        namespace = new_namespace()
        async with (
            FaultProxy.open(port=nats_server.port) as network,
            connect(f"nats://{network.host}:{network.port}", namespace=namespace) as slow,
            connect(nats_url, namespace=namespace) as other,
        ):
            await slow.declare([PAY])
            async with (
                slow.inbox(PAY, prefetch=5) as stopping,
                other.inbox(PAY, prefetch=5) as inbox,
            ):
                waiting = asyncio.ensure_future(stopping.receive(5))
                await _until_asked(slow, consumer="p0")
                network.delay = timedelta(milliseconds=200)
                await other.publish([event(1)])
                await stopping.stop()
                assert [*await waiting] == []
                async with asyncio.timeout(5):
                    assert numbers(await receive(inbox, 1)) == [1]
                network.delay = timedelta(0)

    async def test_a_pull_that_may_be_answered_just_now_is_waited_for(self, nats_url: str) -> None:
        """The server would lose what it sends to a subscription that ends just then."""
        namespace = new_namespace()
        async with (
            connect(nats_url, namespace=namespace, partitions=1) as one,
            connect(nats_url, namespace=namespace, partitions=1) as other,
        ):
            await one.declare([ORDER])
            async with (
                one.inbox(ORDER, prefetch=1) as stopping,
                other.inbox(ORDER, prefetch=1) as inbox,
            ):
                await other.publish([event(1, to=ORDER)])
                held = await receive(inbox, 1)
                waiting = asyncio.ensure_future(stopping.receive(1))
                await _until_asked(one, consumer="p0")
                stopped = asyncio.ensure_future(stopping.stop())
                for _ in range(20):
                    await one.ping()
                assert not stopped.done()
                await inbox.release(held)
                await stopped
                assert [*await waiting] == []
                async with asyncio.timeout(5):
                    assert numbers(await receive(inbox, 1)) == [1]

    async def test_several_stop_together_and_leave_nothing_behind(self, nats_url: str) -> None:
        """What one gives back must not go to the pull of another that is just ending."""
        namespace, random = new_namespace(), Random(7)
        async with AsyncExitStack() as stack:
            workers = [
                await stack.enter_async_context(connect(nats_url, namespace=namespace))
                for _ in range(4)
            ]
            await workers[0].declare([PAY])
            for turn in range(16):
                events = [event(8 * turn + each, subject=f"order-{each}") for each in range(8)]
                async with AsyncExitStack() as inboxes:
                    stopping = [
                        await inboxes.enter_async_context(worker.inbox(PAY, prefetch=5))
                        for worker in workers
                    ]
                    receiving = [asyncio.ensure_future(inbox.receive(5)) for inbox in stopping]
                    await workers[0].publish(events)
                    await asyncio.wait(receiving, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.gather(*map(partial(_leave, random), stopping, receiving))
                async with workers[0].inbox(PAY, prefetch=8) as inbox, asyncio.timeout(10):
                    for received in await receive(inbox, 8):
                        await inbox.settle(received, Done())


class TestUnclaimed:
    """What has arrived and is not received is nobody's for long."""

    async def test_it_is_given_back_when_nobody_receives(self, nats_url: str) -> None:
        clock = FakeClock()
        namespace = new_namespace()
        async with (
            connect(nats_url, namespace=namespace, clock=clock) as idle,
            connect(nats_url, namespace=namespace) as busy,
        ):
            await busy.declare([ORDER])
            async with idle.inbox(ORDER, prefetch=5) as slow, busy.inbox(ORDER, prefetch=5) as fast:
                waiting = asyncio.ensure_future(slow.receive(1))
                await _until_asked(idle, consumer="p7")
                await busy.publish(
                    [event(number, to=ORDER, subject=f"order-{number}") for number in range(8)]
                )
                [held] = await waiting
                async with asyncio.timeout(20):
                    others: list[int] = []
                    while len(others) < 7:
                        clock.advance(timedelta(seconds=1))
                        others += await _handled(fast)
                        await slow.extend([held])
                assert sorted([*others, *numbers([held])]) == [*range(8)]

    @pytest.mark.parametrize("topic", [PAY, ORDER], ids=["unordered", "ordered"])
    async def test_others_have_it_soon(self, nats_url: str, topic: TopicSpec) -> None:
        clock, namespace = FakeClock(), new_namespace()
        async with (
            connect(nats_url, namespace=namespace, clock=clock) as idle,
            connect(nats_url, namespace=namespace) as busy,
        ):
            await busy.declare([topic])
            async with (
                idle.inbox(topic, prefetch=5) as slow,
                busy.inbox(topic, prefetch=8) as fast,
            ):
                waiting = asyncio.ensure_future(slow.receive(8))
                await _until_asked(idle, consumer="p0")
                waiting.cancel()
                await busy.publish(
                    [event(number, to=topic, subject=f"order-{number}") for number in range(8)]
                )
                began = clock.monotonic()
                others: list[int] = []
                while len(others) < 8:
                    clock.advance(timedelta(milliseconds=50))
                    others += await _handled(fast)
                    assert clock.monotonic() - began < 1
                assert sorted(others) == [*range(8)]

    async def test_no_more_is_pulled_than_is_wanted(self, nats_url: str) -> None:
        """Of many partitions that have events, so that others get the rest uncounted."""
        namespace = new_namespace()
        async with (
            connect(nats_url, namespace=namespace) as one,
            connect(nats_url, namespace=namespace) as other,
        ):
            await one.declare([ORDER])
            await one.publish(
                [event(number, to=ORDER, subject=f"order-{number}") for number in range(64)]
            )
            async with one.inbox(ORDER, prefetch=2) as few, other.inbox(ORDER, prefetch=6) as rest:
                held = await receive(few, 2)
                others = await receive(rest, 6)
                assert len({*numbers(held), *numbers(others)}) == 8
                assert {each.deliveries for each in (*held, *others)} == {1}


class TestLost:
    async def test_what_was_lost_does_not_keep_its_partition_closed(self, nats_url: str) -> None:
        clock, patience = FakeClock(), timedelta(seconds=1)
        async with connect(
            nats_url, namespace=new_namespace(), clock=clock, patience=patience
        ) as transport:
            await transport.declare([ORDER])
            await transport.publish([event(1, to=ORDER)])
            async with transport.inbox(ORDER, prefetch=1) as inbox, asyncio.timeout(20):
                [lost] = await receive(inbox, 1)
                clock.advance(patience)
                await inbox.release([lost])
                assert numbers(await receive(inbox, 1)) == [1]


class TestOrder:
    async def test_the_next_of_a_subject_comes_when_the_last_is_settled(
        self, nats_url: str
    ) -> None:
        """A worker that waits meanwhile does not wait for its clock."""
        async with connect(
            nats_url, namespace=new_namespace(), clock=FakeClock(), partitions=1
        ) as transport:
            await transport.declare([ORDER])
            await transport.publish([event(number, to=ORDER) for number in range(5)])
            async with transport.inbox(ORDER, prefetch=5) as inbox, asyncio.timeout(10):
                [received] = await inbox.receive(1)
                for number in range(1, 5):
                    waiting = asyncio.ensure_future(inbox.receive(1))
                    for _ in range(3):
                        await transport.ping()
                    assert not waiting.done()
                    await inbox.settle(received, Done())
                    [received] = await waiting
                    assert numbers([received]) == [number]


class TestFullTopic:
    async def test_pulls_that_wait_at_empty_partitions_do_not_hold_it_up(
        self, nats_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_turns, "POLL", timedelta(seconds=30))
        clock, namespace, patience = FakeClock(), new_namespace(), timedelta(seconds=90)
        async with connect(
            nats_url, namespace=namespace, clock=clock, patience=patience, partitions=16
        ) as worker:
            await worker.declare([ORDER])
            async with worker.inbox(ORDER, prefetch=1) as inbox:
                waiting = asyncio.ensure_future(inbox.receive(1))
                await _until_asked(worker, consumer="p15")
                await worker.publish(
                    [event(number, to=ORDER, subject=f"order-{number % 6}") for number in range(24)]
                )
                seen: list[int] = []
                async with asyncio.timeout(20):
                    received = await waiting
                    while True:
                        for each in received:
                            await inbox.settle(each, Done())
                        seen += numbers(received)
                        if len(seen) == 24:
                            break
                        clock.advance(timedelta(milliseconds=100))
                        received = await inbox.receive(1)
                assert sorted(seen) == [*range(24)]


class TestForeignMessages:
    async def test_an_event_at_the_door_needs_no_headers(self, nats_url: str) -> None:
        client = await nats.connect(nats_url)
        async with connect(nats_url, namespace=new_namespace()) as transport:
            await transport.declare([IN])
            body = event(7).to_json().encode()
            await client.jetstream().publish(f"{transport._names.namespace}.in.0", body)
            async with transport.inbox(IN, prefetch=1) as inbox:
                [received] = await receive(inbox, 1)
                assert (received.event, received.again, received.failed) == (event(7), "", 0)
                await inbox.settle(received, Done())
        await client.close()

    @pytest.mark.parametrize(
        "raw", [b"", b"not json", b"\xff\xfe", b"{}", b"[1]", b'{"specversion": "2.0"}']
    )
    async def test_bytes_that_are_no_event_are_a_letter(self, nats_url: str, raw: bytes) -> None:
        client = await nats.connect(nats_url)
        async with connect(nats_url, namespace=new_namespace()) as transport:
            await transport.declare([IN])
            stored = client.jetstream()
            namespace = transport._names.namespace
            await stored.publish(f"{namespace}.in.0", raw, headers={"Arvo-Failed": "x"})
            await stored.publish(f"{namespace}.in.later", raw, headers={"Arvo-Due": "soon"})
            await transport.publish([event(1, address=DOOR)])
            async with transport.inbox(IN, prefetch=5) as inbox:
                assert numbers(await receive(inbox, 1)) == [1]
                letters = await _letters(transport, 2)
            assert {each.reason for each in letters} == {DeadLetterReason.UNPARSABLE}
            assert {(each.topic, each.raw) for each in letters} == {(DOOR, raw)}
        await client.close()

    @pytest.mark.parametrize(
        "failed",
        ["9" * 5_000, "1" * 10, "-1", "\u0663", "\u00b2", "1 2", ""],
        ids=["huge", "large", "negative", "arabic", "power", "two", "empty"],
    )
    async def test_headers_may_be_anything(self, nats_url: str, failed: str) -> None:
        client = await nats.connect(nats_url)
        async with connect(nats_url, namespace=new_namespace()) as transport:
            await transport.declare([IN])
            stored, namespace = client.jetstream(), transport._names.namespace
            headers = {
                "Arvo-Failed": failed,
                "Arvo-Due": "0001-01-01T00:00:00+23:59",
                "Arvo-Again": "%FF%ED%A0%80",
            }
            for number, part in enumerate(["0", "later"]):
                body = event(number).to_json().encode()
                await stored.publish(f"{namespace}.in.{part}", body, headers=headers)
            async with transport.inbox(IN, prefetch=5) as inbox, asyncio.timeout(10):
                received = await receive(inbox, 2)
                assert {*numbers(received)} == {0, 1}
                assert {each.failed for each in received} == {0}
                for each in received:
                    await inbox.settle(each, Done())
        await client.close()

    async def test_a_partition_that_does_not_exist_takes_nothing(self, nats_url: str) -> None:
        client = await nats.connect(nats_url)
        async with connect(nats_url, namespace=new_namespace()) as transport:
            await transport.declare([ORDER])
            subject = f"{transport._names.namespace}.com_2Esvc_2Eorder.8"
            with pytest.raises(nats.js.errors.NoStreamResponseError):
                await client.jetstream().publish(subject, event(1, to=ORDER).to_json().encode())
        await client.close()


class TestTopicsOfSimilarNames:
    async def test_they_are_apart(self, nats_url: str) -> None:
        topics = [TopicSpec("com.order"), TopicSpec("com.order.1"), TopicSpec("com.order.*")]
        async with connect(nats_url, namespace=new_namespace()) as transport:
            await transport.declare(topics)
            for number, topic in enumerate(topics):
                await transport.publish([event(number, address=topic.name)])
            for number, topic in enumerate(topics):
                assert [each.data["number"] for each in await transport.peek(topic.name)] == [
                    number
                ]


class TestLater:
    async def test_a_repeated_postponement_is_not_dropped(self, nats_url: str) -> None:
        """Contention postpones with an equal count again and again, within the window."""
        async with connect(nats_url, namespace=new_namespace()) as transport:
            await transport.declare([PAY])
            await transport.publish([event(1)])
            async with transport.inbox(PAY, prefetch=1) as inbox:
                for _ in range(5):
                    [received] = await receive(inbox, 1)
                    assert (received.deliveries, received.failed) == (1, 0)
                    await inbox.settle(received, Later(delay=timedelta(0), failed=0))
                [received] = await receive(inbox, 1)
                await inbox.settle(received, Later(delay=timedelta.max, failed=3))
            depth = await transport.depth(PAY.name)
            assert (depth.waiting, depth.in_hand, depth.delayed) == (0, 0, 1)


class TestLook:
    async def test_delayed_events_are_not_read_one_by_one(
        self, nats_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with connect(nats_url, namespace=new_namespace()) as transport:
            await transport.declare([PAY])
            due = transport._clock.now() + timedelta(hours=1)
            await transport.publish([event(number) for number in range(20)], at=due)
            await transport.publish([event(20)])
            read: list[int] = []
            get_msg = transport._js.get_msg

            async def counted(*arguments: Any, **options: Any) -> RawStreamMsg:
                read.append(1)
                return await get_msg(*arguments, **options)

            monkeypatch.setattr(transport._js, "get_msg", counted)
            depth = await transport.depth(PAY.name)
            assert (depth.waiting, depth.delayed) == (1, 20)
            assert [each.data["number"] for each in await transport.peek(PAY.name, limit=2)] == [20]
            assert len(read) < 20  # a few are of the registry

    @pytest.mark.parametrize("arrived", [0, 1])
    async def test_only_who_may_be_busy_is_waited_for(
        self, nats_url: str, monkeypatch: pytest.MonkeyPatch, arrived: int
    ) -> None:
        """A second is long for who looks; a worker that says what it was given is not busy."""
        clock = FakeClock()
        async with (
            connect(nats_url, namespace=new_namespace()) as transport,
            await nats.connect(nats_url) as worker,
        ):
            await transport.declare([PAY])
            await transport.publish([event(1)])
            monkeypatch.setattr(transport._look, "_clock", clock)
            names, layout = transport._names, transport._layout
            presence = Presence(receiving=True, in_hand=[], arrived=arrived)

            async def say(question: Msg) -> None:
                await worker.publish(question.reply, presence.to_json())
                await worker.flush()
                said.set()

            said = asyncio.Event()
            topic = await transport._topic(PAY.name)
            await worker.subscribe(names.presence(PAY.name), cb=say)
            stream = layout.stream_of(topic)
            taking = await worker.jetstream().pull_subscribe_bind("p0", stream=stream)
            await taking.fetch(1, timeout=5)
            looking = asyncio.ensure_future(transport.depth(PAY.name))
            await said.wait()
            await transport.ping()  # what the worker has said is here, too
            await clock.run_for(timedelta(milliseconds=60))
            if not arrived:
                await transport.ping()  # time for what else it would ask the server
                assert not looking.done()
                await clock.run_for(timedelta(seconds=1))
            async with asyncio.timeout(10):
                assert (await looking).waiting == 1


async def _leave(
    random: Random, inbox: IEventInbox, receiving: asyncio.Future[Sequence[Received]]
) -> None:
    """Stop and give back what was received, at about the time at which others do so."""
    await asyncio.sleep(random.random() / 250)
    held: Sequence[Received] = ()
    if receiving.done():
        held = receiving.result()
        receiving = asyncio.ensure_future(inbox.receive(5))
        await asyncio.sleep(random.random() / 500)
    await asyncio.gather(inbox.stop(), inbox.release(held))
    await inbox.release(await receiving)


async def _until_asked(transport: NatsTransport, *, consumer: str) -> None:
    """Wait until a pull waits at a consumer."""
    [inbox] = transport._inboxes
    receiver = inbox._receiver
    while receiver._intake is None or not receiver._intake.asked(consumer):
        await transport.ping()


async def _handled(inbox: IEventInbox) -> list[int]:
    """Handle what there is."""
    try:
        async with asyncio.timeout(0.2):
            received = await inbox.receive(8)
    except TimeoutError:
        return []
    for each in received:
        await inbox.settle(each, Done())
    return numbers(received)


async def _letters(transport: NatsTransport, count: int) -> Sequence[StoredLetter]:
    letters: Sequence[StoredLetter] = ()
    while len(letters) < count:
        letters = await transport.dead_letters()
    return letters
