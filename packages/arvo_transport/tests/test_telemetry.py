"""What a worker counts and measures."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_time.testing import MetricRecorder
from arvo_transport import Received, TopicSpec
from arvo_transport._distributed._waiting_time import waited

from .bench import (
    ONE,
    PATIENCE,
    SECOND,
    TWO,
    Bench,
    Gate,
    HookedTransport,
    StubHandler,
    answer,
    event,
    failing,
)

MINUTE = timedelta(minutes=1)
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def counted(metrics: MetricRecorder, name: str) -> dict[str, float]:
    """Return what a counter of transports has counted, by topic."""
    found: dict[str, float] = {}
    for metric in metrics.metrics:
        if metric.name == f"arvo.transport.{name}":
            topic = str(metric.attributes["arvo.topic"])
            found[topic] = found.get(topic, 0) + metric.value
    return found


async def test_events_are_counted_on_their_way(bench: Bench) -> None:
    await bench.declare_app()
    with MetricRecorder() as metrics:
        async with bench.worker(StubHandler(answer)) as broker:
            await broker.publish([event("e1"), event("e2")])
            await bench.clock.settle()
        assert counted(metrics, "received") == {ONE: 2}
        assert counted(metrics, "settled") == {ONE: 2}
        assert counted(metrics, "published") == {ONE: 2, "com.app.main": 2}
        assert counted(metrics, "redelivered") == {}


async def test_lost_and_redelivered_ones_are_counted(bench: Bench) -> None:
    gate = Gate()
    transport = HookedTransport(bench.engine)
    with MetricRecorder() as metrics:
        async with bench.worker(StubHandler(gate.act), transport=transport):
            await bench.send(event("e1"))
            transport.frozen = True
            await bench.clock.run_for(PATIENCE)
            gate.open()
            await bench.clock.run_for(SECOND)
        assert counted(metrics, "lost") == {ONE: 1}
        assert counted(metrics, "redelivered") == {ONE: 1}


async def test_the_wait_is_measured_from_the_storing_to_the_first_handling(bench: Bench) -> None:
    await bench.declare(TopicSpec(ONE))
    with MetricRecorder() as metrics:
        await bench.send(event("e1", time="2024-12-31T23:00:00Z"))
        await bench.app.publish([event("e2")], at=bench.clock.now() + 20 * SECOND)
        await bench.clock.run_for(3 * SECOND)
        async with bench.worker(failing(1, ConnectionError("no"))):
            await bench.clock.run_for(MINUTE)
        [wait] = [each for each in metrics.metrics if each.name == "arvo.transport.wait"]
    assert (wait.value, wait.count) == (3, 2)
    assert wait.attributes == {"arvo.topic": ONE}


@pytest.mark.parametrize(
    ("received", "seconds"),
    [
        ({}, 60),
        ({"stored_at": NOW - 5 * SECOND}, 5),
        ({"stored_at": NOW + 5 * SECOND}, 0),
        ({"stored_at": NOW, "deliveries": 2}, None),
        ({"stored_at": NOW, "failed": 1}, None),
        ({"time": "2024-12-31T23:59:60Z"}, None),  # which only others write
    ],
    ids=["by-the-event", "by-the-engine", "from-the-future", "again", "failed", "leap-second"],
)
def test_how_long_an_event_waited(received: dict[str, Any], seconds: float | None) -> None:
    received = {**received}
    written = event("e1", time="2024-12-31T23:59:00Z").to_json()
    time = received.pop("time", "2024-12-31T23:59:00Z")
    read = ArvoEvent.from_json(written.replace("2024-12-31T23:59:00Z", time))
    delivery = Received(read, **{"deliveries": 1} | received)
    assert waited(delivery, now=NOW) == seconds


async def test_depth_and_lag_are_looked_up_while_somebody_measures(bench: Bench) -> None:
    gate = Gate()
    await bench.declare(TopicSpec(TWO))
    with MetricRecorder() as metrics:
        async with bench.worker(StubHandler(gate.act)):
            await bench.send(*(event(f"e{number}") for number in range(30)))
            assert metrics.metrics is not None  # asks, and so begins
            await bench.clock.run_for(5 * SECOND)
            depths, lags = counted(metrics, "depth"), counted(metrics, "lag")
            gate.open()
            await bench.clock.settle()
    assert depths == {ONE: 6, "in": 0}
    assert lags == {ONE: 5, "in": 0}
