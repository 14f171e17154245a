"""Python's garbage collector rests while a large payload is made, and works again afterwards."""

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
    rests: bool = Field(default_factory=lambda: gc.get_threshold()[0] > 10**9)
    """Whether it did while this was made: a default is all of the user's that runs meanwhile."""


class Watching(Lines):
    """Says of the collector what it finds when it is made."""

    threshold: int = 0

    @field_validator("threshold", mode="before")
    @classmethod
    def look(cls, value: object) -> int:
        return gc.get_threshold()[0]


PAYLOAD = Payload(Lines)


def lines(count: int) -> list[dict[str, str]]:
    return [{"sku": str(index)} for index in range(count)]


@pytest.mark.parametrize(
    ("data", "rests"),
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
def test_it_rests_for_large_data_only(data: dict[str, Any], rests: bool) -> None:
    assert PAYLOAD.parse(data).rests is rests


def test_it_works_again_after_a_refusal() -> None:
    with pytest.raises(InvalidDataError):
        PAYLOAD.parse({"lines": [*lines(MANY), {"sku": 7}]})


def test_it_stays_off_where_somebody_switched_it_off() -> None:
    gc.disable()
    try:
        PAYLOAD.parse({"lines": lines(MANY)})
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_functions_of_the_user_find_the_collector_as_it_was() -> None:
    data = {"threshold": None, "lines": lines(MANY)}
    assert Payload(Watching).parse(data).threshold == 700
    assert Payload(Watching).to_wire(data)["threshold"] == 700


def meanwhile(change: Callable[[], None]) -> None:
    """Change the collector's settings, as another thread may, while it rests for a payload."""

    def call(data: object) -> None:
        assert gc.get_threshold()[0] > 10**9
        change()

    uncollected(call, {"lines": lines(MANY)})


def test_what_other_threads_set_meanwhile_stays() -> None:
    meanwhile(gc.disable)
    assert not gc.isenabled()
    gc.enable()
    meanwhile(lambda: gc.set_threshold(800, 9, 9))
    assert gc.get_threshold() == (800, 9, 9)
    gc.set_threshold(0)  # collects nothing, too
    uncollected(lambda data: None, {"lines": lines(MANY)})
    assert gc.get_threshold()[0] == 0
    gc.set_threshold(700, 10, 10)
    meanwhile(lambda: meanwhile(lambda: None))
    assert gc.get_threshold() == (700, 10, 10)


def test_a_payload_that_cannot_be_large_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_is_written_is_the_same() -> None:
    class Order(BaseModel):
        lines: list[Line]

    payload = Payload(Order)
    data = {"lines": lines(MANY)}
    assert payload.to_wire(data) == data
    assert payload.to_wire(Order.model_validate(data)) == data
