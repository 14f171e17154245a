"""Payloads: wire data to Python types and back."""

import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    TypeAdapter,
    field_serializer,
    field_validator,
)
from typing_extensions import TypedDict

from arvo_core import InvalidContractError, InvalidDataError, Payload


class Line(BaseModel):
    sku: str
    note: str | None = None


class Order(BaseModel):
    model_config = ConfigDict(extra="allow")

    customer: str = Field(alias="customerName")
    lines: list[Line] = []
    by_day: dict[str, Line] = {}
    gift: Line | None = None
    coupon: str | None = None
    priority: int = 3


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    due: date
    count: int


ORDER = Payload(Order)


class TestParse:
    def test_applies_defaults_and_coercion(self) -> None:
        order = ORDER.parse({"customerName": "Ann", "priority": "5"})
        assert (order.customer, order.priority, order.coupon) == ("Ann", 5, None)

    def test_takes_an_instance_as_it_is(self) -> None:
        order = Order(customerName="Ann")
        assert ORDER.parse(order) is order

    def test_problems_have_the_path_of_each_field_and_no_values(self) -> None:
        with pytest.raises(InvalidDataError, match="does not match Order") as caught:
            ORDER.parse({"lines": [{"sku": "a"}, {"sku": ["hunter2"]}], "gift": "hunter2"})
        assert {problem.path for problem in caught.value.problems} == {
            ("customerName",), ("lines", 1, "sku"), ("gift",)
        }  # fmt: skip
        assert "hunter2" not in str(caught.value) + repr(caught.value)

    def test_a_strict_model_reads_json(self) -> None:
        strict = Payload(Strict).parse({"due": "2026-01-31", "count": 1})
        assert strict == Strict(due=date(2026, 1, 31), count=1)

    def test_a_strict_model_is_told_only_what_json_gets_wrong(self) -> None:
        with pytest.raises(InvalidDataError) as caught:
            Payload(Strict).parse({"due": "2026-01-31", "count": "1"})
        assert [problem.path for problem in caught.value.problems] == [("count",)]

    def test_data_that_is_no_json_is_told_by_the_first_reading(self) -> None:
        with pytest.raises(InvalidDataError) as caught:
            Payload(Strict).parse({"due": object(), "count": 1})
        assert [problem.path for problem in caught.value.problems] == [("due",)]

    @pytest.mark.parametrize("data", [None, [], 7, "x"])
    def test_what_is_no_object_is_refused(self, data: object) -> None:
        with pytest.raises(InvalidDataError, match=r"\(root\)"):
            ORDER.parse(data)

    def test_validators_of_the_user_run(self) -> None:
        class Even(BaseModel):
            number: int

            @field_validator("number")
            @classmethod
            def is_even(cls, number: int) -> int:
                if number % 2:
                    raise ValueError("must be even")
                return number

        with pytest.raises(InvalidDataError, match="number: Value error, must be even"):
            Payload(Even).parse({"number": 3})


class TestDump:
    def test_writes_aliases_and_defaults_that_are_values(self) -> None:
        assert ORDER.to_wire({"customerName": "Ann"}) == {
            "customerName": "Ann", "lines": [], "by_day": {}, "priority": 3
        }  # fmt: skip

    def test_absent_optional_members_stay_absent_at_every_depth(self) -> None:
        data: dict[str, Any] = {
            "customerName": "Ann",
            "lines": [{"sku": "a"}, {"sku": "b", "note": None}, {"sku": "c", "note": "fragile"}],
            "by_day": {"mon": {"sku": "d"}},
            "gift": {"sku": "e"},
            "priority": 1,
            "unknown": {"kept": None},
        }
        assert ORDER.to_wire(data) == data

    def test_null_that_was_given_stays(self) -> None:
        data: dict[str, Any] = {
            "customerName": "Ann",
            "coupon": None,
            "lines": [],
            "by_day": {},
            "priority": 1,
        }
        assert ORDER.to_wire(data) == data

    def test_models_inside_other_types_are_followed(self) -> None:
        class Basket(BaseModel):
            lines: tuple[Line, ...] = ()
            any: Any = None

        class Lines(RootModel[dict[str, list[Line]]]):
            pass

        class Typed(TypedDict):
            line: Line

        basket = Basket(lines=(Line(sku="a"),), any={"deep": [Line(sku="b")]})
        assert Payload(Basket).dump(basket) == {
            "lines": [{"sku": "a"}], "any": {"deep": [{"sku": "b"}]}
        }  # fmt: skip
        assert Payload(Lines).to_wire({"x": [{"sku": "a"}]}) == {"x": [{"sku": "a"}]}
        assert Payload(Typed).to_wire({"line": {"sku": "a"}}) == {"line": {"sku": "a"}}

    def test_a_value_that_a_validator_filled_in_is_written(self) -> None:
        class Filled(BaseModel):
            note: str | None = Field(default=None, validate_default=True)

            @field_validator("note")
            @classmethod
            def fill(cls, note: str | None) -> str:
                return note or "none given"

        assert Payload(Filled).to_wire({}) == {"note": "none given"}

    @pytest.mark.parametrize("gift", [None, "tea"])
    def test_what_a_serializer_writes_for_none_is_written(self, gift: str | None) -> None:
        class Parcel(BaseModel):
            gift: str | None
            note: str | None = None

            @field_serializer("note")
            def _in_words(self, note: str | None) -> str:
                return note or "no note"

        assert Payload(Parcel).dump(Parcel(gift=gift)) == {"gift": gift, "note": "no note"}

    def test_excluded_fields_are_not_written(self) -> None:
        class Secretive(BaseModel):
            name: str
            key: float = Field(default=math.nan, exclude=True)
            line: Line | None = Field(default=None, exclude=True)

        secretive = Secretive(name="Ann", line=Line(sku="a"))
        assert Payload(Secretive).dump(secretive) == {"name": "Ann"}

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_non_finite_numbers_are_refused_with_their_path(self, number: float) -> None:
        class Measured(BaseModel):
            model_config = ConfigDict(extra="allow")

            value: float = 0.0
            series: list[float] = []
            by_name: dict[str, float] = {}
            inner: "Measured | None" = None

        measured = Measured(
            value=number, series=[1, number], by_name={"x": number},
            inner=Measured(value=number), more=number,
        )  # fmt: skip
        with pytest.raises(InvalidDataError, match="not a JSON number") as caught:
            Payload(Measured).dump(measured)
        with pytest.raises(InvalidDataError):
            Payload(Measured).dump(Measured(value=number, series=[1.0], inner=Measured()))
        assert {problem.path for problem in caught.value.problems} == {
            ("value",), ("series", 1), ("by_name", "x"), ("inner", "value"), ("more",)
        }  # fmt: skip

    def test_a_serializer_of_the_user_may_write_them_as_text(self) -> None:
        class Named(BaseModel):
            value: float

            @field_serializer("value")
            def name(self, value: float) -> str:
                return str(value)

        assert Payload(Named).dump(Named(value=math.nan)) == {"value": "nan"}

    def test_a_serializer_of_the_user_may_write_anything_else(self) -> None:
        class Counted(BaseModel):
            lines: list[Line]

            @field_serializer("lines")
            def count(self, lines: list[Line]) -> int:
                return len(lines)

        assert Payload(Counted).dump(Counted(lines=[Line(sku="a")])) == {"lines": 1}

    def test_what_json_cannot_hold_is_refused(self) -> None:
        class Anything(BaseModel):
            value: Any

        loop: list[Any] = []
        loop.append(loop)
        for value in (object(), loop, b"\xff"):
            with pytest.raises(InvalidDataError, match="Anything cannot be written as JSON"):
                Payload(Anything).dump(Anything(value=value))

    def test_a_type_that_is_no_object_is_refused(self) -> None:
        with pytest.raises(InvalidDataError, match="written as list, not as a JSON object"):
            Payload(TypeAdapter(list[int])).to_wire([1])


class TestDefinition:
    def test_a_type_adapter_is_used_as_it_is(self) -> None:
        adapter = TypeAdapter(dict[str, int])
        payload = Payload(adapter)
        assert payload.adapter is payload.kind is adapter
        assert payload.to_wire({"a": "1"}) == {"a": 1}

    @pytest.mark.parametrize("kind", [object(), 7])
    def test_what_cannot_describe_a_payload_is_refused(self, kind: Any) -> None:
        with pytest.raises(InvalidContractError, match="use a pydantic model or a TypeAdapter"):
            Payload(kind)

    def test_json_schema_names_its_dialect_and_the_wire_names(self) -> None:
        schema = ORDER.json_schema()
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["required"] == ["customerName"]

    def test_a_type_without_json_schema_is_told(self) -> None:
        class Callback(BaseModel):
            model_config = ConfigDict(arbitrary_types_allowed=True)

            lock: Payload[Any]

        with pytest.raises(InvalidContractError, match="Callback has no JSON Schema"):
            Payload(Callback).json_schema()

    def test_member_names_are_those_read_and_written(self) -> None:
        class Aliased(BaseModel):
            a: int = Field(validation_alias=AliasChoices("b", "c"), serialization_alias="d")

        class Node(BaseModel):
            next: "Node | None" = Field(default=None, alias="nextNode")

        class Typed(TypedDict):
            e: int

        @dataclass
        class Data:
            f: int

        def names(kind: Any) -> set[str]:
            return set(Payload(kind).member_names())

        assert names(Aliased) == {"a", "b", "c", "d"}
        assert names(Node) == {"next", "nextNode"}
        assert names(Typed) == {"e"}
        assert names(Data) == {"f"}
        assert names(TypeAdapter(dict[str, int])) == set()


def without_some(members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


lines = st.builds(
    dict.__or__,
    st.fixed_dictionaries({"sku": st.text()}),
    without_some({"note": st.none() | st.text()}),
)
orders = st.builds(
    dict.__or__,
    st.fixed_dictionaries(
        {
            "customerName": st.text(),
            "lines": st.lists(lines, max_size=3),
            "by_day": st.dictionaries(st.text(), lines, max_size=3),
            "priority": st.integers(),
        }
    ),
    without_some({"gift": st.none() | lines, "coupon": st.none() | st.text(), "more": st.none()}),
)


@given(orders)
def test_wire_data_survives_with_its_optional_members_at_any_depth(data: dict[str, Any]) -> None:
    order = ORDER.parse(data)
    assert ORDER.dump(order) == data
    assert ORDER.parse(ORDER.dump(order)) == order
