"""The pump listens to the handlers that it watches, and to no others."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast

import pytest

from arvo_event_handler.delivery import TimerPump
from arvo_event_handler.delivery._timer_pump import _Watch
from arvo_time.testing import FakeClock


class Source:
    """A handler that says of each timer which its steps set, with those who listen."""

    def __init__(self) -> None:
        self.watchers: list[Callable[[datetime], None]] = []

    def watch_timers(self, watcher: Callable[[datetime], None]) -> Callable[[], None]:
        self.watchers.append(watcher)
        return lambda: self.watchers.remove(watcher)


class NothingDue:
    """A memory that several processes share."""

    async def next_due(self) -> None:
        return None


async def test_a_handler_that_is_removed_is_not_listened_to() -> None:
    async def publish(*_: object) -> None:
        raise AssertionError("nothing is due")

    watch = _Watch(
        cast("Any", NothingDue()),
        publish=publish,
        clock=FakeClock(),
        random=Random(7),
        logger=logging.getLogger(__name__),
        room=None,
        hold=timedelta(seconds=30),
    )
    stays, goes = Source(), Source()
    watch.add(cast("Any", stays))
    watch.start()
    watch.add(cast("Any", goes))
    assert (len(stays.watchers), len(goes.watchers)) == (1, 1)
    assert not watch.remove(goes)
    assert (len(stays.watchers), len(goes.watchers)) == (1, 0)
    await asyncio.gather(*watch.stop(), return_exceptions=True)
    assert not stays.watchers


@pytest.mark.parametrize(
    ("hold", "error"), [(timedelta(0), ValueError), (-timedelta(1), ValueError), (30, TypeError)]
)
def test_a_hold_that_holds_nothing_is_refused(hold: Any, error: type[Exception]) -> None:
    async def publish(*_: object) -> None:
        raise AssertionError("nothing is due")

    with pytest.raises(error, match="hold must"):
        TimerPump(
            publish, clock=FakeClock(), random=Random(7), logger=logging.getLogger(), hold=hold
        )
