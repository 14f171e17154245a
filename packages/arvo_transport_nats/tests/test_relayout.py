"""Topics that are laid out anew: broken off anywhere, and gone on with by others."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from nats.errors import Error as DriverError

from arvo_time.testing import FakeClock
from arvo_transport import Done, TopicSpec
from arvo_transport_nats import NatsTransport, _relayout

from .clients import ORDER, connect, event, new_namespace, numbers, receive


class Crash(BaseException):
    """The end of a process."""


def crash_at(transport: NatsTransport, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process of a transport when it comes to a step of a relayout, before or after it."""
    when, name = step.split(" ")
    owner: Any = {
        "update_stream": transport._js,
        "delete_stream": transport._js,
        "purge_stream": transport._js,
        "ensure": transport._layout,
        "change": transport._registry,
    }[name]
    real: Callable[..., Awaitable[object]] = getattr(owner, name)

    async def crashing(*arguments: Any, **options: Any) -> object:
        if when == "after":
            await real(*arguments, **options)
        raise Crash

    monkeypatch.setattr(owner, name, crashing)


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_relayout, "_LEASE", timedelta(seconds=1))


@pytest.mark.parametrize(
    "step",
    [
        *("before update_stream", "after update_stream"),
        *("before ensure", "after ensure"),
        *("before purge_stream", "after purge_stream"),
        *("before delete_stream", "after delete_stream"),
    ],
)
async def test_another_goes_on_after_a_crash(
    nats_url: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = new_namespace()
    async with (
        connect(nats_url, namespace=namespace) as dying,
        connect(nats_url, namespace=namespace) as other,
    ):
        await other.declare([ORDER])
        await other.publish([event(number, to=ORDER) for number in range(6)])
        with monkeypatch.context() as patch:
            crash_at(dying, step, patch)
            with pytest.raises(Crash):
                await dying.relayout(ORDER.name, partitions=3)
        published = asyncio.ensure_future(other.publish([event(6, to=ORDER)]))
        await other.relayout(ORDER.name, partitions=3)
        await published
        [state] = await other.topics()
        assert (state.partitions, state.paused) == (3, False)
        async with other.inbox(ORDER, prefetch=10) as inbox:
            seen: list[int] = []
            while len({*seen}) < 7:
                [received] = await receive(inbox, 1)
                seen += numbers([received])
                await inbox.settle(received, Done())
        assert list(dict.fromkeys(seen)) == [*range(7)]


async def test_an_owner_gives_its_order_to_what_askers_have_declared(nats_url: str) -> None:
    """Many owners at once, while the asker publishes."""
    namespace = new_namespace()
    guess = replace(ORDER, order="none", owner=False)
    async with (
        connect(nats_url, namespace=namespace) as asker,
        connect(nats_url, namespace=namespace) as one,
        connect(nats_url, namespace=namespace) as other,
    ):
        await asker.declare([guess])
        await asker.publish([event(number, to=ORDER) for number in range(5)])
        owners = [owner.declare([ORDER]) for owner in (one, other) for _ in range(4)]
        await asyncio.gather(*owners, asker.publish([event(5, to=ORDER)]))
        [state] = await asker.topics()
        assert (state.order, state.owned) == ("subject", True)
        await asker.publish([event(6, to=ORDER)])
        assert [each.data["number"] for each in await one.peek(ORDER.name)] == [*range(7)]


async def test_what_a_dead_worker_had_does_not_hold_it_up(nats_url: str) -> None:
    """It is in hand for the server until somebody pulls."""
    topic = TopicSpec("com.svc.pay")
    namespace, patience = new_namespace(), timedelta(seconds=1)
    async with connect(nats_url, namespace=namespace, patience=patience) as other:
        await other.declare([topic])
        await other.publish([event(number) for number in range(4)])
        async with (
            connect(nats_url, namespace=namespace, patience=patience) as dying,
            dying.inbox(topic, prefetch=2) as inbox,
        ):
            await receive(inbox, 2)
            await dying._client.close()
        async with asyncio.timeout(20):
            await other.relayout(topic.name, order="subject")
        assert len(await other.peek(topic.name)) == 4


async def test_it_waits_until_every_worker_has_looked(nats_url: str) -> None:
    """A worker that has missed the bell may pull from the old stream until then."""
    clock, namespace = FakeClock(), new_namespace()
    async with connect(nats_url, namespace=namespace, clock=clock) as mover:
        await mover.declare([ORDER])
        await mover.publish([event(1, to=ORDER)])
        moving = asyncio.ensure_future(mover.relayout(ORDER.name, partitions=3))
        began = clock.monotonic()
        while not moving.done():
            clock.advance(timedelta(milliseconds=10))
            await mover.ping()
        await moving
        assert clock.monotonic() - began > 2
        assert len(await mover.peek(ORDER.name)) == 1


@pytest.mark.parametrize("topic", [ORDER, TopicSpec("com.svc.pay")], ids=["ordered", "unordered"])
async def test_a_worker_that_has_missed_the_move_gets_nothing_of_what_is_copied(
    nats_url: str, topic: TopicSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks the consumers of the old stream, and the events are others' by then."""
    async with connect(nats_url, namespace=new_namespace(), partitions=1) as mover:
        await mover.declare([topic])
        await mover.publish([event(number, to=topic) for number in range(4)])
        old = mover._layout.stream_of(await mover._registry.get(topic.name))
        asked = await mover._js.pull_subscribe_bind("p0", old)
        purge = mover._js.purge_stream
        taken: list[object] = []

        async def late(*arguments: Any, **options: Any) -> object:
            with suppress(DriverError):  # there is nobody to ask, or nothing to get
                taken.extend(await asked.fetch(4, timeout=0.5))
            return await purge(*arguments, **options)

        monkeypatch.setattr(mover._js, "purge_stream", late)
        await mover.relayout(topic.name, order="key", partitions=2)
        assert taken == []
        assert (await mover.depth(topic.name)).waiting == 4


async def test_delayed_events_stay_delayed_without_order(nats_url: str) -> None:
    async with connect(nats_url, namespace=new_namespace()) as transport:
        await transport.declare([ORDER])
        await transport.relayout(ORDER.name, order="none")
        due = transport._clock.now() + timedelta(hours=1)
        await transport.publish([event(1, to=ORDER)], at=due)
        assert (await transport.depth(ORDER.name)).delayed == 1
        await transport.relayout(ORDER.name, order="key")
        assert (await transport.depth(ORDER.name)).waiting == 1


async def test_a_receive_that_is_cancelled_while_it_follows_leaves_the_worker_sound(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one asks all partitions of the new layout."""
    topic, namespace = TopicSpec("com.svc.pay"), new_namespace()
    async with (
        connect(nats_url, namespace=namespace) as worker,
        connect(nats_url, namespace=namespace) as mover,
    ):
        await mover.declare([topic])
        async with worker.inbox(topic, prefetch=8) as inbox:
            following = asyncio.Event()

            async def endless(*_: object) -> None:
                following.set()
                await asyncio.Event().wait()

            with monkeypatch.context() as patch:
                patch.setattr(worker._layout, "ensure", endless)
                receiving = asyncio.ensure_future(inbox.receive(8))
                await mover.relayout(topic.name, order="subject")
                await following.wait()
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)
            await mover.publish([event(number, subject=f"order-{number}") for number in range(8)])
            async with asyncio.timeout(20):
                seen: list[int] = []
                while len(seen) < 8:
                    [received] = await receive(inbox, 1)
                    seen += numbers([received])
                    await inbox.settle(received, Done())
        assert sorted(seen) == [*range(8)]
