"""Python's garbage collector does not run while a large payload is made, and does so afterwards."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter, field_validator

from arvo_core import InvalidDataError, Payload
from arvo_core._payload.collector import uncollected

MANY = 1_000


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    before = gc.get_threshold()
    assert gc.isenabled()
    gc.set_threshold(700, 10, 10)
    yield
    try:
        assert gc.isenabled()
        assert gc.get_threshold() == (700, 10, 10)
    finally:
        gc.enable()
        gc.set_threshold(*before)


class Line(BaseModel):
    sku: str


class Lines(BaseModel):
    lines: list[Line] = []
    by_name: dict[str, list[Line]] = {}
    held_off: bool = Field(default_factory=lambda: gc.get_threshold()[0] > 10**9)
    """Whether the collector was held off; a default is the only user code that runs meanwhile."""


class Watching(Lines):
    """Records the threshold of the collector when it is made."""

    threshold: int = 0

    @field_validator("threshold", mode="before")
    @classmethod
    def look(cls, value: object) -> int:
        return gc.get_threshold()[0]


PAYLOAD = Payload(Lines)


def lines(count: int) -> list[dict[str, str]]:
    return [{"sku": str(index)} for index in range(count)]


@pytest.mark.parametrize(
    ("data", "held_off"),
    [
        ({"lines": lines(MANY)}, True),
        ({"lines": lines(MANY - 1)}, False),
        ({"by_name": {"a": lines(MANY)}}, True),
        ({"by_name": {str(index): lines(2) for index in range(MANY)}}, True),
        ({"by_name": {str(index): lines(2) for index in range(MANY - 1)}}, False),
        ({"lines": lines(MANY), "by_name": {"a": lines(5 * MANY)}}, True),
    ],
    ids=["many", "few", "many in a member", "many members", "few members", "both"],
)
def test_collector_is_held_off_for_large_data_only(data: dict[str, Any], held_off: bool) -> None:
    assert PAYLOAD.parse(data).held_off is held_off


def test_collector_runs_again_after_a_refusal() -> None:
    with pytest.raises(InvalidDataError):
        PAYLOAD.parse({"lines": [*lines(MANY), {"sku": 7}]})


def test_a_disabled_collector_stays_disabled() -> None:
    gc.disable()
    try:
        PAYLOAD.parse({"lines": lines(MANY)})
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_user_functions_see_unchanged_collector_settings() -> None:
    data = {"threshold": None, "lines": lines(MANY)}
    assert Payload(Watching).parse(data).threshold == 700
    assert Payload(Watching).to_wire(data)["threshold"] == 700


def meanwhile(change: Callable[[], None]) -> None:
    """Change the collector's settings, as another thread may, while it is held off."""

    def call(data: object) -> None:
        assert gc.get_threshold()[0] > 10**9
        change()

    uncollected(call, {"lines": lines(MANY)})


def test_settings_changed_by_other_threads_meanwhile_are_kept() -> None:
    meanwhile(gc.disable)
    assert not gc.isenabled()
    gc.enable()
    meanwhile(lambda: gc.set_threshold(800, 9, 9))
    assert gc.get_threshold() == (800, 9, 9)
    gc.set_threshold(0)  # this disables collection, too
    uncollected(lambda data: None, {"lines": lines(MANY)})
    assert gc.get_threshold()[0] == 0
    gc.set_threshold(700, 10, 10)
    meanwhile(lambda: meanwhile(lambda: None))
    assert gc.get_threshold() == (700, 10, 10)


def test_a_payload_that_cannot_be_large_is_not_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: object) -> None:
        raise AssertionError(given)

    small, large = Payload(Line), Payload(TypeAdapter(dict[str, int]))
    monkeypatch.setattr("arvo_core._payload.payload.uncollected", never)
    assert small.parse({"sku": "a"}) == Line(sku="a")
    assert small.to_wire(Line(sku="a")) == {"sku": "a"}
    with pytest.raises(AssertionError):
        large.parse({"a": 1})
    with pytest.raises(AssertionError):
        large.to_wire({"a": 1})


def test_large_payloads_are_written_like_others() -> None:
    class Order(BaseModel):
        lines: list[Line]

    payload = Payload(Order)
    data = {"lines": lines(MANY)}
    assert payload.to_wire(data) == data
    assert payload.to_wire(Order.model_validate(data)) == data
