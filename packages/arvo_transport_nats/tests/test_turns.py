"""Whom an inbox asks, and for how long."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

from arvo_time.testing import FakeClock
from arvo_transport_nats._delivery import Delivery
from arvo_transport_nats._intake import Intake
from arvo_transport_nats._registry import Topic
from arvo_transport_nats._turns import Turns

TOPIC = Topic(
    name="com.svc.order",
    order="subject",
    partitions=64,
    kind="handler",
    owned=True,
    max_waiting=None,
    declared_by="test",
    declared_at=datetime(2030, 1, 1, tzinfo=UTC),
)


async def nothing_to_look_up() -> Collection[str]:
    raise AssertionError("it was asked which partitions have events")


async def asked(turns: Turns, *, of: int) -> list[timedelta]:
    """Return how long each pull is to wait, where `of` of the partitions have one already."""
    intake = Mock(spec=Intake)
    intake.asked.side_effect = {f"p{number}" for number in range(of)}.__contains__
    return [wait for _, _, wait in await turns.next(intake, limit=100, in_hand=())]


async def test_pulls_wait_longer_where_nothing_has_come_for_half_a_minute() -> None:
    clock = FakeClock()
    turns = Turns(TOPIC, clock=clock, filled=nothing_to_look_up)
    assert await asked(turns, of=0) == [timedelta(seconds=5)] * 64
    clock.advance(timedelta(seconds=31))
    assert await asked(turns, of=0) == [timedelta(seconds=10)] * 64
    turns.saw(Mock(spec=Delivery, followed=False, consumer="p7", handed_out=1))
    assert await asked(turns, of=60) == [timedelta(seconds=5)] * 4


async def test_pulls_are_short_while_events_come_again() -> None:
    clock = FakeClock()
    turns = Turns(TOPIC, clock=clock, filled=nothing_to_look_up)
    turns.saw(Mock(spec=Delivery, followed=False, consumer="p7", handed_out=2))
    assert await asked(turns, of=60) == [timedelta(milliseconds=250)] * 4
    await clock.run_for(timedelta(seconds=30))
    assert await asked(turns, of=60) == [timedelta(seconds=5)] * 4


async def test_the_server_is_not_asked_while_every_partition_has_its_pull() -> None:
    turns = Turns(TOPIC, clock=FakeClock(), filled=nothing_to_look_up)
    intake = Mock(spec=Intake)
    intake.asked.return_value = True
    assert await turns.next(intake, limit=8, in_hand=()) == []
