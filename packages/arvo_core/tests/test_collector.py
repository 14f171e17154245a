"""Python's garbage collector rests while a large payload is made, and works again afterwards."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, field_validator

from arvo_core import InvalidDataError, Payload

MANY = 1_000


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    assert gc.isenabled()
    yield
    assert gc.isenabled()
    gc.enable()


class Line(BaseModel):
    sku: str


class Watching(BaseModel):
    """Says of the collector what it finds when it is made."""

    lines: list[Line] = []
    by_name: dict[str, list[Line]] = {}
    rests: bool = False

    @field_validator("rests", mode="before")
    @classmethod
    def look(cls, value: object) -> bool:
        return not gc.isenabled()


PAYLOAD = Payload(Watching)


def lines(count: int) -> list[dict[str, str]]:
    return [{"sku": str(index)} for index in range(count)]


@pytest.mark.parametrize(
    ("data", "rests"),
    [
        ({"lines": lines(MANY)}, True),
        ({"lines": lines(MANY - 1)}, False),
        ({"by_name": {"a": lines(MANY)}}, True),
        ({"by_name": {str(index): [] for index in range(MANY)}}, True),
        ({"by_name": {"a": [], "b": lines(2)}}, False),
        ({}, False),
    ],
)
def test_it_rests_for_large_data_only(data: dict[str, Any], rests: bool) -> None:
    assert PAYLOAD.parse({"rests": None, **data}).rests is rests


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


def test_a_payload_that_cannot_be_large_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: object) -> None:
        raise AssertionError(given)

    small, large = Payload(Line), Payload(TypeAdapter(dict[str, int]))
    monkeypatch.setattr("arvo_core._payload.uncollected", never)
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
