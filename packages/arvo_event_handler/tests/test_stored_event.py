"""Stored events are read back, also those that were written under larger limits."""

from typing import Any

import pytest

from arvo_core import ArvoEvent, EventLimits, InvalidEventError
from arvo_event_handler._stored_event import stored_event


def kept(depth: int) -> dict[str, Any]:
    """An event as a record keeps it, with data of that depth."""
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return ArvoEvent.create(
        source="com.app.main", type="com.stock.reserve", subject="s", data={"in": value},
        limits=EventLimits(max_depth=depth),
    ).to_dict()  # fmt: skip


@pytest.mark.parametrize("depth", [1, 128, 129, 255])
def test_an_event_of_any_depth_that_was_ever_written_is_read(depth: int) -> None:
    assert stored_event(kept(depth)).data == kept(depth)["data"]


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(InvalidEventError, match="type: must be three or more segments"):
        stored_event(kept(200) | {"type": "x"})
