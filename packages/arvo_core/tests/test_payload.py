"""Payloads: wire data to Python types and back."""

import copy
import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    TypeAdapter,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
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
    def test_parse_applies_defaults_and_coercion(self) -> None:
        order = ORDER.parse({"customerName": "Ann", "priority": "5"})
        assert (order.customer, order.priority, order.coupon) == ("Ann", 5, None)

    def test_parse_returns_an_instance_as_it_is(self) -> None:
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

    def test_problems_of_a_strict_model_are_those_of_json(self) -> None:
        with pytest.raises(InvalidDataError) as caught:
            Payload(Strict).parse({"due": "2026-01-31", "count": "1"})
        assert [problem.path for problem in caught.value.problems] == [("count",)]

    def test_problems_of_data_that_is_not_json_are_those_of_python_values(self) -> None:
        with pytest.raises(InvalidDataError) as caught:
            Payload(Strict).parse({"due": object(), "count": 1})
        assert [problem.path for problem in caught.value.problems] == [("due",)]

    @pytest.mark.parametrize("data", [None, [], 7, "x"])
    def test_data_that_is_not_an_object_is_refused(self, data: object) -> None:
        with pytest.raises(InvalidDataError, match=r"\(root\)"):
            ORDER.parse(data)

    def test_user_validators_run(self) -> None:
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
    def test_aliases_and_defaults_other_than_none_are_written(self) -> None:
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

    def test_a_given_null_is_kept(self) -> None:
        data: dict[str, Any] = {
            "customerName": "Ann",
            "coupon": None,
            "lines": [],
            "by_day": {},
            "priority": 1,
        }
        assert ORDER.to_wire(data) == data

    def test_absent_members_of_models_inside_other_types_stay_absent(self) -> None:
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
    def test_a_value_that_a_serializer_writes_for_none_is_written(self, gift: str | None) -> None:
        class Parcel(BaseModel):
            gift: str | None
            note: str | None = None

            @field_serializer("note")
            def _in_words(self, note: str | None) -> str:
                return note or "no note"

        assert Payload(Parcel).dump(Parcel(gift=gift)) == {"gift": gift, "note": "no note"}

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

    def test_a_user_serializer_may_write_nan_as_a_string(self) -> None:
        class Named(BaseModel):
            value: float

            @field_serializer("value")
            def name(self, value: float) -> str:
                return str(value)

        assert Payload(Named).dump(Named(value=math.nan)) == {"value": "nan"}

    def test_a_user_serializer_may_write_another_type(self) -> None:
        class Counted(BaseModel):
            lines: list[Line]

            @field_serializer("lines")
            def count(self, lines: list[Line]) -> int:
                return len(lines)

        assert Payload(Counted).dump(Counted(lines=[Line(sku="a")])) == {"lines": 1}

    def test_values_that_json_cannot_express_are_refused(self) -> None:
        class Anything(BaseModel):
            value: Any

        loop: list[Any] = []
        loop.append(loop)
        for value in (object(), loop, b"\xff"):
            with pytest.raises(InvalidDataError, match="Anything cannot be written as JSON"):
                Payload(Anything).dump(Anything(value=value))

    def test_a_value_that_is_not_written_as_an_object_is_refused(self) -> None:
        class Row(BaseModel):
            a: int

            @model_serializer
            def _as_list(self) -> list[int]:
                return [self.a]

        with pytest.raises(InvalidDataError, match="written as list, not as a JSON object"):
            Payload(Row).dump(Row(a=1))

    def test_a_user_serializer_may_write_null_for_nan(self) -> None:
        class Measured(BaseModel):
            value: float | None

            @field_serializer("value")
            def _finite(self, value: float) -> float | None:
                return None if math.isnan(value) else value

        assert Payload(Measured).dump(Measured(value=math.nan)) == {"value": None}

    def test_a_user_serializer_may_leave_out_numbers(self) -> None:
        class Short(BaseModel):
            values: list[float | None]

            @field_serializer("values", when_used="json")
            def _first(self, values: list[float | None]) -> list[float | None]:
                return values[:1]

        assert Payload(Short).dump(Short(values=[None, math.nan])) == {"values": [None]}

    def test_non_finite_numbers_are_found_under_the_written_keys(self) -> None:
        class Chosen(BaseModel):
            by_name: dict[str, float | None]
            by_number: dict[int, float | None] = {}

            @field_serializer("by_name")
            def _without_a(self, by_name: dict[str, float | None]) -> dict[str, float | None]:
                return {name: by_name[name] for name in sorted(by_name) if name != "a"}

        payload = Payload(Chosen)
        chosen = Chosen(by_name={"b": None, "a": math.inf})
        assert payload.dump(chosen) == {"by_name": {"b": None}, "by_number": {}}
        with pytest.raises(InvalidDataError) as caught:
            payload.dump(Chosen(by_name={"z": math.inf, "b": None}, by_number={7: math.nan}))
        assert {problem.path for problem in caught.value.problems} == {
            ("by_name", "z"), ("by_number", "7")
        }  # fmt: skip

    def test_members_are_left_out_of_the_model_they_belong_to(self) -> None:
        class Noted(BaseModel):
            note: str | None

        class Sorted(BaseModel):
            items: dict[str, Line | Noted]

            @field_serializer("items", mode="wrap")
            def _sorted(self, items: dict[str, Any], write: Any) -> dict[str, Any]:
                written = write(items)
                return {name: written[name] for name in sorted(written)}

        items = Sorted(items={"z": Line(sku="a"), "a": Noted(note=None)})
        assert Payload(Sorted).to_wire(items) == {"items": {"a": {"note": None}, "z": {"sku": "a"}}}

    def test_an_instance_of_a_subclass_keeps_the_members_that_the_type_requires(self) -> None:
        class Base(BaseModel):
            note: str | None

        class Sub(Base):
            note: str | None = None
            more: str | None = None

        class Holder(BaseModel):
            item: Base

        assert Payload(Base).to_wire(Sub()) == {"note": None}
        assert Payload(Holder).to_wire(Holder(item=Sub())) == {"item": {"note": None}}
        assert Payload(Sub).to_wire(Sub()) == {}

    def test_dataclasses_leave_out_members_that_are_none_by_default(self) -> None:
        @dataclass
        class Point:
            x: int
            label: str | None = None

        class Shape(BaseModel):
            points: list[Point]
            free: Any = None

        shape = Shape(points=[Point(1), Point(2, "b")], free={"p": Point(3)})
        assert Payload(Shape).to_wire(shape) == {
            "points": [{"x": 1}, {"x": 2, "label": "b"}], "free": {"p": {"x": 3}}
        }  # fmt: skip
        assert Payload(Point).to_wire(Point(1)) == {"x": 1}
        free = TypeAdapter(dict[str, Any])
        assert Payload(free).to_wire({"p": Point(3)}) == {"p": {"x": 3}}

    def test_computed_fields_are_written_unless_forbidden(self) -> None:
        class Lenient(BaseModel):
            side: int

            @computed_field  # type: ignore[prop-decorator]
            @property
            def area(self) -> int:
                return self.side**2

        class Forbidding(Lenient):
            model_config = ConfigDict(extra="forbid")

        class Both(BaseModel):
            lenient: Lenient
            forbidding: Forbidding

        both = Both(lenient=Lenient(side=2), forbidding=Forbidding(side=2))
        assert Payload(Both).to_wire(both) == {
            "lenient": {"side": 2, "area": 4}, "forbidding": {"side": 2}
        }  # fmt: skip


UNCHECKED: Any = Line.model_construct


class TestToWire:
    @pytest.mark.parametrize(
        "line",
        [UNCHECKED(sku=7), UNCHECKED(note="x")],
        ids=["type", "missing"],
    )
    def test_models_are_checked_like_mappings(self, line: Line) -> None:
        for payload, data in (
            (Payload[Any](Line), line),
            (ORDER, Order(customerName="Ann", gift=line)),
        ):
            with pytest.raises(
                InvalidDataError, match=r"does not match \w+ as it would be written"
            ):
                payload.to_wire(data)

    def test_a_written_form_that_cannot_be_read_is_refused(self) -> None:
        class Counted(BaseModel):
            lines: list[Line]

            @field_serializer("lines")
            def count(self, lines: list[Line]) -> int:
                return len(lines)

        with pytest.raises(InvalidDataError, match="lines: Input should be a valid array"):
            Payload(Counted).to_wire({"lines": []})


class Tag(BaseModel, frozen=True):
    key: str
    weight: float | None = Field(default=None, alias="Weight")


@dataclass(frozen=True)
class Mark:
    key: str
    weight: float | None = None


class Tagged(BaseModel):
    tags: set[Tag] = set()
    marks: frozenset[Mark] = frozenset()
    in_turn: "list[Tagged]" = []
    by_name: dict[str, set[Tag]] = {}
    number: float | None = None
    rest: tuple[float | None, ...] = ()


class Root(RootModel[dict[str, Tagged]]):
    pass


class TestSetsOfClasses:
    """pydantic cannot write them in Python mode, as sets of dicts."""

    def test_sets_of_classes_are_written_beside_a_null(self) -> None:
        tagged = Tagged(tags={Tag(key="a")}, number=None)
        assert Payload(Tagged).to_wire(tagged)["tags"] == [{"key": "a", "Weight": None}]
        marked = Root({"b": Tagged(marks=frozenset({Mark("a", 1.5)}), number=None, rest=(None,))})
        wire = Payload(Root).to_wire(marked)
        assert wire["b"]["marks"] == [{"key": "a", "weight": 1.5}]
        assert (wire["b"]["number"], wire["b"]["rest"]) == (None, [None])

    @pytest.mark.parametrize(
        ("members", "path"),
        [
            ({"number": math.nan}, ("number",)),
            ({"rest": (1.0, math.inf)}, ("rest", 1)),
            ({"tags": {Tag(key="a", Weight=math.nan)}}, ("tags", 0, "Weight")),
            ({"marks": {Mark("a", -math.inf)}}, ("marks", 0, "weight")),
            ({"by_name": {"x": {Tag(key="a", Weight=math.nan)}}}, ("by_name", "x", 0, "Weight")),
            ({"in_turn": [Tagged(number=math.nan)]}, ("in_turn", 0, "number")),
        ],
        ids=str,
    )
    def test_non_finite_numbers_are_found_beside_sets_of_classes(
        self, members: Any, path: Any
    ) -> None:
        tagged = Tagged(**{"tags": {Tag(key="a")}, **members})
        with pytest.raises(InvalidDataError, match="cannot be written as JSON") as caught:
            Payload(Tagged).to_wire(tagged)
        assert [problem.path for problem in caught.value.problems] == [path]
        with pytest.raises(InvalidDataError) as caught:
            Payload(Root).to_wire(Root({"b": tagged}))
        assert [problem.path for problem in caught.value.problems] == [("b", *path)]


class Free(BaseModel):
    anything: Any = None
    members: dict[str, Any] = {}
    bare: list = []  # type: ignore[type-arg]


class BareList(BaseModel):
    bare: list  # type: ignore[type-arg]


class BareDict(BaseModel):
    members: dict  # type: ignore[type-arg]


class FreeExtra(BaseModel):
    model_config = ConfigDict(extra="allow")


class FreeTyped(TypedDict):
    members: dict[str, Any]


@pytest.mark.parametrize(
    "kind", [Free, BareList, BareDict, FreeExtra, FreeTyped, TypeAdapter(dict[str, Any])], ids=str
)
def test_parsed_values_share_no_containers_with_the_data(kind: Any) -> None:
    data: dict[str, Any] = {
        "anything": {"inner": [1]}, "members": {"inner": {"x": [1]}}, "bare": [[1]], "more": [[1]]
    }  # fmt: skip
    before = copy.deepcopy(data)
    parsed = Payload[Any](kind).parse(data)
    members = parsed if isinstance(parsed, dict) else {**vars(parsed), **(parsed.model_extra or {})}
    containers: list[Any] = [members]
    while containers:
        item = containers.pop()
        inside = item.values() if isinstance(item, dict) else item
        containers += [inner for inner in inside if isinstance(inner, dict | list)]
        item.clear()
    assert data == before


def test_data_with_more_than_json_is_copied_too() -> None:
    data: dict[str, Any] = {"anything": {"when": date(2026, 1, 31), "inner": [{"x": 1}]}}
    parsed = Payload(Free).parse(data)
    parsed.anything["inner"][0].clear()
    assert data == {"anything": {"when": date(2026, 1, 31), "inner": [{"x": 1}]}}


def test_data_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidDataError, match="nested too deeply"):
        Payload(Free).parse({"anything": loop})


class TestDefinition:
    def test_a_type_adapter_is_used_as_it_is(self) -> None:
        adapter = TypeAdapter(dict[str, int])
        payload = Payload(adapter)
        assert payload.kind is adapter
        assert payload.to_wire({"a": "1"}) == {"a": 1}

    @pytest.mark.parametrize("kind", [object(), 7])
    def test_anything_that_cannot_describe_a_payload_is_refused(self, kind: Any) -> None:
        with pytest.raises(InvalidContractError, match="use a pydantic model or a TypeAdapter"):
            Payload(kind)

    def test_errors_include_pydantics_reason(self) -> None:
        class Unknown(BaseModel):
            later: "NeverDefined"  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(InvalidContractError, match="is not fully defined; you should define"):
            Payload(Unknown)

    @pytest.mark.parametrize(
        "kind",
        [TypeAdapter(list[int]), TypeAdapter(int | str), RootModel[list[int]], TypeAdapter(date)],
        ids=str,
    )
    def test_a_type_that_is_never_an_object_is_refused(self, kind: Any) -> None:
        with pytest.raises(InvalidContractError, match="is not written as a JSON object"):
            Payload(kind)

    @pytest.mark.parametrize(
        "kind",
        [TypeAdapter(list[int] | Line), RootModel[dict[str, int]], TypeAdapter(Any)],
        ids=str,
    )
    def test_a_type_that_may_be_an_object_is_accepted(self, kind: Any) -> None:
        Payload(kind)

    @pytest.mark.parametrize(
        "field",
        [
            Field(serialization_alias="w"),
            Field(validation_alias="r"),
            Field(validation_alias=AliasPath("a", 0)),
            Field(validation_alias=AliasChoices("r", AliasPath("a", "b"))),
        ],
        ids=["written", "read", "path", "choices"],
    )
    def test_names_that_are_written_must_be_read(self, field: Any) -> None:
        inner = create_model("Inner", a=(int, field))
        with pytest.raises(InvalidContractError, match=r"written as '[aw]', a name that is not"):
            Payload(create_model("Outer", inner=(list[inner], ...)))

    def test_names_that_a_function_may_change_are_not_checked(self) -> None:
        class Renamed(BaseModel):
            a: int = Field(serialization_alias="w")

            @model_validator(mode="before")
            @classmethod
            def _rename(cls, data: dict[str, Any]) -> dict[str, Any]:
                return {"a": data.get("w", data.get("a"))}

        assert Payload(Renamed).to_wire(Renamed(a=1)) == {"w": 1}

    def test_a_model_that_also_reads_by_name_is_accepted(self) -> None:
        class Named(BaseModel):
            model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

            a: int = Field(validation_alias="r")

        assert Payload(Named).to_wire({"r": 1}) == {"a": 1}

    def test_json_schema_names_its_dialect_and_the_wire_names(self) -> None:
        schema = ORDER.json_schema()
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["required"] == ["customerName"]

    def test_a_type_without_json_schema_is_refused(self) -> None:
        class Callback(BaseModel):
            model_config = ConfigDict(arbitrary_types_allowed=True)

            lock: Payload[Any]

        with pytest.raises(InvalidContractError, match="Callback has no JSON Schema"):
            Payload(Callback).json_schema()

    def test_member_names_are_those_read_and_written(self) -> None:
        class Aliased(BaseModel):
            a: int = Field(validation_alias=AliasChoices("b", "c"), serialization_alias="c")

        class Node(BaseModel):
            next: "Node | None" = Field(default=None, alias="nextNode")

        class Typed(TypedDict):
            e: int

        @dataclass
        class Data:
            f: int

        def names(kind: Any) -> set[str]:
            return set(Payload(kind).member_names())

        assert names(Aliased) == {"a", "b", "c"}
        assert names(TypeAdapter(Aliased | Typed)) == {"a", "b", "c", "e"}
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


class TestInstancesThatAreReadAgain:
    def test_instances_are_read_again_if_their_class_requires_it(self) -> None:
        class Reread(BaseModel):
            model_config = ConfigDict(revalidate_instances="always")

            count: int

        unchecked = Reread(count=1)
        unchecked.__dict__["count"] = "7"
        assert Payload(Reread).parse(unchecked).count == 7

    def test_a_model_validator_runs_for_instances(self) -> None:
        class Even(BaseModel):
            count: int

            @model_validator(mode="after")
            def check(self) -> "Even":
                if self.count % 2:
                    raise ValueError("odd")
                return self

        even = Even(count=2)
        even.count = 3
        with pytest.raises(InvalidDataError, match="odd"):
            Payload(Even).parse(even)

    def test_other_instances_are_returned_as_they_are(self) -> None:
        line = Line(sku="a")
        assert Payload(Line).parse(line) is line
