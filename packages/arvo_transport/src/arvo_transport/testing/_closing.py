"""What must hold at the end of a client, and for what it says of itself."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from arvo_transport import Done, IAnsweringTransport, IEventTransport, TransportClosedError

from ._engine_under_test import EngineUnderTest
from ._events import PAY, SHOP, event
from ._scene import Scene, ids


class Closing:
    """What `aclose` and `capabilities` promise."""

    async def test_closing_releases_what_is_in_hand(self, engine: EngineUnderTest) -> None:
        """Others have it immediately."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1), event(2)])
            await worker.receive(2)
            began = engine.clock.monotonic()
            await worker.client.aclose()
            other = await scene.worker(PAY)
            assert sorted(ids(await other.receive(2))) == ["event-1", "event-2"]
            waited = engine.clock.monotonic() - began
            assert waited < other.inbox.patience.total_seconds()

    async def test_closing_again_does_nothing(self, engine: EngineUnderTest) -> None:
        """Any number of times, and concurrently."""
        async with Scene(engine, PAY) as scene:
            client = await scene.connect()
            await client.aclose()
            await asyncio.gather(client.aclose(), client.aclose())

    async def test_closing_ends_what_waits(self, engine: EngineUnderTest) -> None:
        """A `receive` returns nothing or says that the transport was closed."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            waiting = asyncio.ensure_future(worker.inbox.receive(1))
            await scene.let_pass(timedelta(milliseconds=100))
            await worker.client.aclose()
            [ended] = await scene.ends(
                asyncio.gather(waiting, return_exceptions=True), what="receive when closed"
            )
            assert isinstance(ended, TransportClosedError) or not ended

    async def test_every_call_of_a_closed_transport_is_refused(
        self, engine: EngineUnderTest
    ) -> None:
        """With an error saying that nothing was sent and that a retry cannot help."""
        async with Scene(engine, PAY, SHOP) as scene:
            worker = await scene.worker(PAY)
            client = worker.client
            await scene.client.publish([event(1), event(2)])
            [received] = await worker.receive(1)
            await client.aclose()
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "declare": lambda: client.declare([PAY]),
                "publish": lambda: client.publish([event(3)]),
                "inbox": lambda: _opened(client),
                "topics": lambda: client.topics(),
                "pause": lambda: client.pause(PAY.name, paused=True),
                "relayout": lambda: client.relayout(PAY.name, order="subject"),
                "peek": lambda: client.peek(PAY.name),
                "depth": lambda: client.depth(PAY.name),
                "dead_letters": lambda: client.dead_letters(),
                "redrive": lambda: client.redrive(["1"]),
                "drop": lambda: client.drop(["1"]),
                "ping": lambda: client.ping(),
                "receive": lambda: worker.inbox.receive(1),
                "settle": lambda: worker.inbox.settle(received, Done()),
                "extend": lambda: worker.inbox.extend([received]),
                "release": lambda: worker.inbox.release([received]),
            }
            if isinstance(client, IAnsweringTransport):
                calls["answers"] = lambda: _answered(client)
            for name, call in calls.items():
                try:
                    await scene.ends(call(), what=f"{name} of a closed transport")
                except TransportClosedError as error:
                    assert (error.retryable, error.outcome) == (False, "failed"), name
                else:
                    raise AssertionError(f"{name} must raise TransportClosedError when closed")
            await scene.rest(PAY, waiting=2, in_hand=0)

    async def test_other_clients_go_on(self, engine: EngineUnderTest) -> None:
        """What one does by closing is no matter of the others."""
        async with Scene(engine, PAY) as scene:
            worker, other = await scene.worker(PAY), await scene.worker(PAY)
            await worker.client.aclose()
            await scene.client.publish([event(1)])
            assert ids(await other.handle(1)) == ["event-1"]

    async def test_what_an_engine_can_do_is_said(self, engine: EngineUnderTest) -> None:
        """The same by each client, with limits above zero, and boxes where answers are kept."""
        async with Scene(engine, PAY) as scene:
            capabilities = scene.client.capabilities
            assert (await scene.connect()).capabilities == capabilities
            assert capabilities.max_event_bytes > 0
            for time in (
                capabilities.longest_delay,
                capabilities.duplicates_dropped_for,
                capabilities.keeps_answers,
            ):
                assert time is None or time > timedelta(0)
            answering = isinstance(scene.client, IAnsweringTransport)
            assert answering == (capabilities.keeps_answers is not None)
            assert (await scene.worker(PAY)).inbox.patience > timedelta(0)
            await scene.client.ping()


async def _opened(client: IEventTransport) -> None:
    async with client.inbox(PAY, prefetch=1):
        pass


async def _answered(client: IAnsweringTransport) -> None:
    async with client.answers(SHOP.name) as box:
        await box.get("request-1")
