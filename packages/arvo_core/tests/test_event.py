"""Events: making them, reading them, and what they refuse."""

import copy
import json
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Self
from uuid import uuid4

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError, model_validator

from arvo_core import (
    ARVO_CONTENT_TYPE,
    ArvoEvent,
    InvalidEventError,
    InvalidUriError,
    json_problems,
)
from arvo_core.uri import is_valid_uri

LARGEST = int(sys.float_info.max)


def create(**changes: Any) -> ArvoEvent:
    values: dict[str, Any] = {
        "id": "evt-1",
        "source": "com.app.main",
        "type": "com.order.place",
        "subject": "order/7",
        "data": {"item": "tea"},
        "time": "2026-01-31T09:30:00.000Z",
    }
    return ArvoEvent.create(**(values | changes))


WIRE: dict[str, Any] = create().to_dict()

READERS: dict[str, Callable[[dict[str, Any]], ArvoEvent]] = {
    "constructor": lambda values: ArvoEvent(**values),
    "from_dict": ArvoEvent.from_dict,
    "from_json": lambda values: ArvoEvent.from_json(json.dumps(values)),
    "from_bytes": lambda values: ArvoEvent.from_json(json.dumps(values).encode()),
}
"""Everything that reads an event from the wire, strictly."""


@pytest.fixture(params=READERS)
def read(request: pytest.FixtureRequest) -> Callable[[dict[str, Any]], ArvoEvent]:
    return READERS[request.param]


def problems(error: InvalidEventError | InvalidUriError) -> dict[tuple[str | int, ...], str]:
    return {problem.path: problem.message for problem in error.problems}


def nested(depth: int, leaf: object) -> dict[str, Any]:
    """Nest `leaf` `depth` levels deep, alternately in objects and lists."""
    for level in range(depth - 1):
        leaf = {"in": leaf} if level % 2 else [leaf]
    return {"in": leaf}


class TestCreate:
    def test_create_fills_in_missing_attributes(self) -> None:
        before = datetime.now(UTC)
        event = ArvoEvent.create(
            source="com.app.main", type="com.order.place", subject="order/7", data={}
        )
        assert len(event.id) == 36
        assert event.specversion == "1.0"
        assert event.datacontenttype == ARVO_CONTENT_TYPE
        assert event.to == "com.order.place"
        assert event.time.endswith("+00:00")
        assert abs(datetime.fromisoformat(event.time) - before) < timedelta(minutes=1)
        for name in ("dataschema", "accesscontrol", "redirectto", "executionunits"):
            assert getattr(event, name) is None
        for name in ("traceparent", "tracestate", "parentid", "domain"):
            assert getattr(event, name) is None
        assert event.extensions == {}

    def test_create_keeps_given_attributes(self) -> None:
        given_values: dict[str, Any] = {
            "datacontenttype": "application/json",
            "dataschema": "#/org/order/1.0.0",
            "to": "com.order.place.queue",
            "accesscontrol": "role:clerk",
            "redirectto": "com.audit",
            "executionunits": 0,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tracestate": "vendor=1",
            "parentid": "evt-0",
            "domain": "partner.eu",
        }
        event = create(**given_values)
        assert {name: getattr(event, name) for name in given_values} == given_values

    def test_encoding_is_idempotent(self) -> None:
        """A subject with a space survives any number of hops."""
        first = create(subject="my order", source="/app é", redirectto="a b")
        second = create(subject=first.subject, source=first.source, redirectto=first.redirectto)
        assert first.subject == second.subject == "my%20order"
        assert first.source == second.source == "/app%20%C3%A9"
        assert first.redirectto == second.redirectto == "a%20b"

    def test_ids_are_never_encoded(self) -> None:
        event = create(id="order 77/é", parentid="order 76/é")
        assert (event.id, event.parentid) == ("order 77/é", "order 76/é")

    @pytest.mark.parametrize("name", ["source", "type", "subject", "data"])
    def test_source_type_subject_and_data_are_required(self, name: str) -> None:
        values = {"source": "a", "type": "com.a.b", "subject": "s", "data": {}}
        del values[name]
        with pytest.raises(TypeError, match=name):
            ArvoEvent.create(**values)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["source", "type", "subject", "data"])
    def test_none_is_refused_for_a_required_attribute(self, name: str) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(**{name: None})
        assert (name,) in problems(caught.value)

    @pytest.mark.parametrize("missing", ["", None])
    def test_an_empty_to_is_the_type_and_other_empty_uris_are_none(
        self, missing: str | None
    ) -> None:
        event = create(to=missing, redirectto=missing, dataschema=missing, parentid=missing)
        assert event.to == "com.order.place"
        assert (event.redirectto, event.dataschema, event.parentid) == (None, None, None)

    @pytest.mark.parametrize("name", ["accesscontrol", "traceparent", "tracestate", "domain"])
    def test_other_empty_strings_are_refused(self, name: str) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(**{name: ""})
        assert list(problems(caught.value)) == [(name,)]

    def test_data_is_copied(self) -> None:
        items = ["tea"]
        data = {"items": items}
        event = create(data=data)
        items.append("milk")
        data["more"] = []
        assert event.data == {"items": ["tea"]}

    def test_data_may_be_any_mapping(self) -> None:
        event = create(data=MappingProxyType({"item": OrderedDict(name="tea")}))
        assert event.to_dict()["data"] == {"item": {"name": "tea"}}
        assert type(event.data) is type(event.data["item"]) is dict

    def test_subclasses_of_json_types_become_the_plain_types(self) -> None:
        class Item(StrEnum):
            TEA = "tea"

        event = create(data={"item": Item.TEA}, extensions={"item": Item.TEA})
        assert type(event.data["item"]) is type(event.extensions["item"]) is str

    def test_a_datetime_is_written_with_milliseconds_and_its_offset(self) -> None:
        at = datetime(2026, 1, 31, 9, 30, 1, 234567, tzinfo=timezone(timedelta(hours=5.5)))
        assert create(time=at).time == "2026-01-31T09:30:01.234+05:30"

    @pytest.mark.parametrize(
        "time", ["2026-01-31t09:30:00Z", "2026-01-31T09:30:00z", "2016-12-31T23:59:60Z"]
    )
    def test_a_time_that_is_only_read_is_refused_by_create(self, time: str) -> None:
        """TypeScript Arvo would refuse the event."""
        with pytest.raises(InvalidEventError, match="upper case") as caught:
            create(time=time)
        assert list(problems(caught.value)) == [("time",)]

    def test_a_naive_datetime_is_refused(self) -> None:
        with pytest.raises(InvalidEventError, match="naive; give it a tzinfo"):
            create(time=datetime(2026, 1, 31, 9, 30))  # noqa: DTZ001

    def test_all_problems_of_the_first_failing_stage_are_reported(self) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(type="order", time="now", data={"at": object()}, domain="A B")
        assert set(problems(caught.value)) == {("type",), ("time",)}

    def test_a_uri_that_only_needs_encoding_is_not_a_problem(self) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(subject="my order", time="now")
        assert list(problems(caught.value)) == [("time",)]

    def test_problems_are_reported_stage_by_stage(self) -> None:
        wrong: dict[str, Any] = {
            "time": "now",
            "data": {"at": object()},
            "domain": "A B",
            "tracestate": "",
            "extensions": {"Bad": 1},
        }
        reported = []
        while wrong:
            with pytest.raises(InvalidEventError) as caught:
                create(**wrong)
            reported.append([problem.path for problem in caught.value.problems])
            wrong.pop(next(iter(wrong)))
        assert reported == [
            [("time",)], [("data", "at")], [("domain",)], [("tracestate",)], [("Bad",)]
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["source", "subject", "to", "dataschema", "redirectto"])
    def test_a_lone_surrogate_in_a_uri_is_refused_with_the_path(self, name: str) -> None:
        with pytest.raises(InvalidUriError, match="evt-1") as caught:
            create(**{name: "a\udc80"})
        assert problems(caught.value) == {(name,): "the string holds a lone surrogate; remove it"}

    @pytest.mark.parametrize("name", ["id", "accesscontrol", "parentid", "traceparent"])
    def test_a_lone_surrogate_in_other_strings_is_refused_with_the_path(self, name: str) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(**{name: "a\udc80"})
        assert problems(caught.value) == {(name,): "the string holds a lone surrogate; remove it"}


class TestAttributes:
    """The rules for attributes, for every way to read an event from the wire."""

    @pytest.mark.parametrize(
        "name",
        ["id", "source", "specversion", "type", "subject", "datacontenttype", "data", "time"],
    )
    def test_required_attributes(
        self, read: Callable[[dict[str, Any]], ArvoEvent], name: str
    ) -> None:
        values = {key: value for key, value in WIRE.items() if key != name}
        with pytest.raises(InvalidEventError) as caught:
            read(values)
        assert problems(caught.value) == {(name,): "is required"}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("id", ""),
            ("id", 7),
            ("source", ""),
            ("source", "a b"),
            ("source", "%2F"),
            ("specversion", "0.3"),
            ("specversion", 1.0),
            ("type", "order.place"),
            ("type", "com.Order.place"),
            ("type", "com.order.place\n"),
            ("type", "com..place"),
            ("type", "com.ord\u0661r.place"),
            ("subject", "é"),
            ("datacontenttype", "text/json"),
            ("datacontenttype", "Application/JSON"),
            ("dataschema", ""),
            ("dataschema", "a b"),
            ("data", []),
            ("data", None),
            ("to", ""),
            ("to", "a b"),
            ("accesscontrol", ""),
            ("accesscontrol", {"role": "clerk"}),
            ("redirectto", "a b"),
            ("executionunits", "1"),
            ("executionunits", True),
            ("executionunits", float("nan")),
            ("executionunits", float("-inf")),
            ("executionunits", LARGEST * 10),
            ("traceparent", ""),
            ("tracestate", ""),
            ("parentid", ""),
            ("domain", ""),
            ("domain", "A"),
            ("domain", "a\n"),
        ],
    )
    def test_invalid_attributes_are_refused(
        self, read: Callable[[dict[str, Any]], ArvoEvent], name: str, value: object
    ) -> None:
        with pytest.raises(InvalidEventError) as caught:
            read(WIRE | {name: value})
        assert list(problems(caught.value)) == [(name,)]
        assert "type='com.order.place'" in str(caught.value) or name == "type"

    @pytest.mark.parametrize(
        "time",
        [
            "2026-01-31T09:30:00Z",
            "2026-01-31T09:30Z",
            "2026-01-31T09:30:00.1Z",
            "2026-01-31T09:30:00.123456789012+05:30",
            "2026-01-31T09:30:00-0530",
            "2026-01-31T23:59:59+23:59",
            "2024-02-29T00:00Z",
            "2000-02-29T00:00Z",
            "0000-02-29T00:00Z",
            "2026-01-31t09:30:00z",
            "2026-01-31T09:30:00.5z",
            "2026-01-31t09:30+01:00",
            "2016-12-31T23:59:60Z",
            "2016-12-31t23:59:60.250z",
            "2016-12-31T15:59:60-08:00",
            "2017-01-01T05:29:60+05:30",
        ],
    )
    def test_valid_times(self, read: Callable[[dict[str, Any]], ArvoEvent], time: str) -> None:
        assert read(WIRE | {"time": time}).time == time

    @pytest.mark.parametrize(
        "time",
        [
            "",
            "2026-01-31",
            "2026-01-31T09:30:00",
            "2026-01-31 09:30:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T09:60:00Z",
            "2026-01-31T09:30:60Z",
            "2016-12-31T23:59:61Z",
            "2016-12-31T23:60:60+01:00",
            "2026-01-31T09:30:00.Z",
            "2026-01-31T09:30:00+05",
            "2026-13-01T00:00Z",
            "2026-00-01T00:00Z",
            "2026-04-31T00:00Z",
            "2026-01-32T00:00Z",
            "2026-02-29T00:00Z",
            "1900-02-29T00:00Z",
            "2026-01-31T09:30:00Z\n",
            "\u0662026-01-31T09:30:00Z",
        ],
    )
    def test_invalid_times_are_refused(
        self, read: Callable[[dict[str, Any]], ArvoEvent], time: str
    ) -> None:
        with pytest.raises(InvalidEventError, match="RFC 3339"):
            read(WIRE | {"time": time})

    @pytest.mark.parametrize("offset", ["+99:99", "+24:00", "+05:60", "-2400"])
    def test_offsets_are_checked(
        self, read: Callable[[dict[str, Any]], ArvoEvent], offset: str
    ) -> None:
        with pytest.raises(InvalidEventError, match="RFC 3339"):
            read(WIRE | {"time": f"2026-01-31T09:30:00{offset}"})

    def test_arvo_events_require_to(self, read: Callable[[dict[str, Any]], ArvoEvent]) -> None:
        with pytest.raises(InvalidEventError) as caught:
            read(WIRE | {"to": None})
        assert problems(caught.value) == {("to",): "is required with Arvo's datacontenttype"}

    def test_other_events_do_not_require_to(
        self, read: Callable[[dict[str, Any]], ArvoEvent]
    ) -> None:
        values = WIRE | {"datacontenttype": "application/json"}
        assert read({key: value for key, value in values.items() if key != "to"}).to is None

    def test_optional_attributes_may_be_absent(
        self, read: Callable[[dict[str, Any]], ArvoEvent]
    ) -> None:
        present = {key: value for key, value in WIRE.items() if value is not None}
        assert read(present).to_dict() == WIRE

    def test_length_is_counted_in_code_points(
        self, read: Callable[[dict[str, Any]], ArvoEvent]
    ) -> None:
        assert len(read(WIRE | {"id": "😀"}).id) == 1


NOT_JSON: dict[str, object] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus-infinity": float("-inf"),
    "lone-surrogate": "a\ud800",
    "beyond-double": LARGEST + 10**300,
}
"""Values that JSON text may contain although they are not JSON."""

PYTHON_ONLY: dict[str, object] = {
    "date": date(2026, 1, 31),
    "datetime": datetime(2026, 1, 31, tzinfo=UTC),
    "bytes": b"x",
    "tuple": (1,),
    "set": {1},
    "decimal": Decimal("0.1"),
    "fraction": Fraction(1, 3),
    "uuid": uuid4(),
    "exception": ValueError("x"),
    "object": object(),
    "proxy": MappingProxyType({}),
    "int-key": {1: "x"},
    "bytes-key": {b"k": "x"},
    "surrogate-key": {"\ud800": "x"},
}
"""Values that only Python has."""


class TestData:
    @pytest.mark.parametrize("value", NOT_JSON.values(), ids=NOT_JSON)
    def test_data_that_is_not_json_is_refused_with_the_path_when_read(
        self, read: Callable[[dict[str, Any]], ArvoEvent], value: object
    ) -> None:
        with pytest.raises(InvalidEventError) as caught:
            read(WIRE | {"data": {"items": [{"ok": 1}, {"price": value}]}})
        assert list(problems(caught.value)) == [("data", "items", 1, "price")]

    @pytest.mark.parametrize("value", (NOT_JSON | PYTHON_ONLY).values(), ids=NOT_JSON | PYTHON_ONLY)
    def test_data_that_is_not_json_is_refused_with_the_path_on_create(self, value: object) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(data={"items": [{"ok": 1}, {"price": value}]})
        assert list(problems(caught.value)) == [("data", "items", 1, "price")]

    def test_data_that_holds_itself_is_refused(self) -> None:
        data: dict[str, Any] = {"list": []}
        data["list"].append(data)
        with pytest.raises(InvalidEventError, match=r"data\.list\.0: the container holds itself"):
            create(data=data)

    def test_one_container_may_be_in_two_places(self) -> None:
        item = {"name": "tea"}
        assert create(data={"a": item, "b": [item]}).data == {"a": item, "b": [item]}

    @pytest.mark.parametrize("leaf", [1, {}, [], "x"], ids=str)
    def test_the_depth_limit_is_the_same_everywhere(self, leaf: object) -> None:
        deepest = create(data=nested(128, leaf))
        assert ArvoEvent.from_json(deepest.to_json()).data == deepest.data
        assert ArvoEvent.from_dict(deepest.to_dict()).data == deepest.data
        assert json_problems(deepest.data) == []
        too_deep = nested(129, leaf)
        assert len(json_problems(too_deep)) == 1
        with pytest.raises(InvalidEventError, match="nested more than 128 levels deep"):
            create(data=too_deep)
        for read in READERS.values():
            with pytest.raises(InvalidEventError, match="nested more than 128 levels deep"):
                read(WIRE | {"data": too_deep})

    @pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
    def test_extreme_nesting_is_refused(self, opening: str, closing: str) -> None:
        absurd = f"{opening * 100_000}1{closing * 100_000}"
        with pytest.raises(InvalidEventError, match="recursion limit"):
            ArvoEvent.from_json(create().to_json().replace('"tea"', absurd))
        with pytest.raises(InvalidEventError, match="nested more than"):
            create(data=nested(5_000, 1))

    @pytest.mark.parametrize("value", [LARGEST, -LARGEST, 2**63, 0, -0.0, 5e-324, 1e308])
    def test_numbers_up_to_the_range_of_a_double_survive(self, value: float) -> None:
        event = ArvoEvent.from_json(create(data={"n": value}).to_json())
        assert event.data["n"] == value
        assert type(event.data["n"]) is type(value)


class TestExtensions:
    def test_extensions_are_recognised_when_read(
        self, read: Callable[[dict[str, Any]], ArvoEvent]
    ) -> None:
        values = {"tenant": "eu", "retries": 2, "share": 0.5, "urgent": True, "note": None, "9": ""}
        event = read(WIRE | values)
        assert event.extensions == values
        assert event.tenant == "eu"  # type: ignore[attr-defined]

    def test_extensions_are_written_between_time_and_to(self) -> None:
        event = create(extensions={"zone": "eu", "area": 1})
        assert ArvoEvent.from_json(event.to_json()).extensions == {"zone": "eu", "area": 1}
        assert list(json.loads(event.to_json())) == [
            "id", "source", "specversion", "type", "subject", "datacontenttype", "dataschema",
            "data", "time", "zone", "area", "to", "accesscontrol", "redirectto", "executionunits",
            "traceparent", "tracestate", "parentid", "domain",
        ]  # fmt: skip
        assert list(json.loads(event.to_json())) == list(event.to_dict())

    @pytest.mark.parametrize("name", list(ArvoEvent.model_fields))
    def test_an_extension_must_not_shadow_an_attribute(self, name: str) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(extensions={name: "x", "fine": 1})
        assert problems(caught.value) == {
            (name,): "an extension may not be named like an attribute"
        }

    def test_shadowing_and_wrong_names_are_reported_together(self) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(extensions={"to": "x", "Bad": 1})
        assert list(problems(caught.value)) == [("to",), ("Bad",)]

    @pytest.mark.parametrize("name", ["", "A", "a-b", "a_b", "a.b", "é", "\u0661", "a\n", "\ud800"])
    def test_names_of_extensions_are_lower_case_letters_and_digits(
        self, read: Callable[[dict[str, Any]], ArvoEvent], name: str
    ) -> None:
        makers: list[Callable[[], ArvoEvent]] = [
            lambda: create(extensions={name: 1}),
            lambda: read(WIRE | {name: 1}),
        ]
        for make in makers:
            with pytest.raises(InvalidEventError, match="consist of a-z and 0-9") as caught:
                make()
            assert list(problems(caught.value)) == [(name,)]
            str(caught.value).encode()

    def test_names_of_extensions_are_strings(self) -> None:
        with pytest.raises(InvalidEventError, match="7: an extension's name"):
            ArvoEvent.from_dict(WIRE | {7: 1})  # type: ignore[arg-type]

    @pytest.mark.parametrize("value", [*NOT_JSON.values(), [], {}], ids=[*NOT_JSON, "list", "dict"])
    def test_values_of_extensions_are_json_scalars(
        self, read: Callable[[dict[str, Any]], ArvoEvent], value: object
    ) -> None:
        makers: list[Callable[[], ArvoEvent]] = [
            lambda: create(extensions={"x": value}),
            lambda: read(WIRE | {"x": value}),
        ]
        for make in makers:
            with pytest.raises(InvalidEventError) as caught:
                make()
            assert list(problems(caught.value)) == [("x",)]

    @pytest.mark.parametrize("value", PYTHON_ONLY.values(), ids=PYTHON_ONLY)
    def test_values_that_only_python_has_are_refused_in_extensions(self, value: object) -> None:
        with pytest.raises(InvalidEventError) as caught:
            create(extensions={"x": value})
        assert list(problems(caught.value)) == [("x",)]

    @pytest.mark.parametrize("name", ["self", "cls", "copy", "extensions"])
    def test_extensions_may_have_names_of_methods(self, name: str) -> None:
        event = create(extensions={name: "x"})
        assert ArvoEvent.from_json(event.to_json()).extensions == {name: "x"}


class TestJson:
    def test_json_is_compact_and_keeps_unicode(self) -> None:
        event = create(data={"name": "café 😀\u2028"})
        assert '"data":{"name":"café 😀\u2028"}' in event.to_json()
        assert event.to_json(indent=2).startswith('{\n  "id": "evt-1",\n')
        assert json.loads(event.to_json(indent=2)) == event.to_dict()

    def test_the_last_of_repeated_members_counts(self) -> None:
        text = create().to_json().replace('"id":"evt-1"', '"id":"evt-1","id":"evt-2"')
        assert ArvoEvent.from_json(text).id == "evt-2"

    @pytest.mark.parametrize("text", ["", "{", "nonsense", "{}x", "\ufeff{}", b"\xff", b"{\xff}"])
    def test_text_that_is_not_json_is_refused(self, text: str | bytes) -> None:
        with pytest.raises(InvalidEventError, match="not an event"):
            ArvoEvent.from_json(text)

    @pytest.mark.parametrize("text", ["null", "[]", "7", '"x"', "NaN"])
    def test_json_that_is_not_an_object_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidEventError, match="expected a JSON object"):
            ArvoEvent.from_json(text)

    def test_a_raw_lone_surrogate_is_refused_with_the_path(self) -> None:
        text = create().to_json().replace("tea", "\ud800")
        with pytest.raises(InvalidEventError, match=r"data\.item: the string holds a lone"):
            ArvoEvent.from_json(text)

    def test_a_number_that_is_too_long_for_python_is_refused(self) -> None:
        text = create().to_json().replace('"tea"', "9" * 5_000)
        with pytest.raises(InvalidEventError):
            ArvoEvent.from_json(text)

    @pytest.mark.parametrize("values", [None, [], "x", 7])
    def test_from_dict_refuses_anything_but_a_mapping(self, values: Any) -> None:
        with pytest.raises(InvalidEventError, match="expected a JSON object"):
            ArvoEvent.from_dict(values)

    def test_to_dict_is_a_copy(self) -> None:
        event = create(data={"items": []})
        event.to_dict()["data"]["items"].append(1)
        assert event.data == {"items": []}


class TestModel:
    def test_an_event_is_frozen(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            create().id = "evt-2"  # type: ignore[misc]

    def test_an_event_is_identified_by_source_and_id(self) -> None:
        event = create()
        assert event == create(data={"item": "milk"})
        assert len({event, create(data={})}) == 1
        assert event != create(id="evt-2")
        assert event != create(source="com.app.other")
        assert event != "evt-1"

    def test_an_event_survives_copying_and_pickling(self) -> None:
        event = create(extensions={"tenant": "eu"})
        for twin in (copy.deepcopy(event), pickle.loads(pickle.dumps(event))):  # noqa: S301
            assert twin.to_dict() == event.to_dict()

    def test_repr_shows_neither_data_nor_access_control(self) -> None:
        event = create(
            data={"password": "hunter2"}, accesscontrol="token-123", extensions={"tenant": "secret"}
        )
        for text in (repr(event), str(event), f"{event}"):
            assert "id='evt-1'" in text
            assert "type='com.order.place'" in text
            assert "extensions=['tenant']" in text
            for secret in ("password", "hunter2", "token-123", "secret"):
                assert secret not in text

    def test_repr_cuts_long_subjects(self) -> None:
        assert len(repr(create(subject="s" * 1_000))) < 400

    def test_errors_never_show_data_or_access_control(self) -> None:
        secrets = {
            "data": {"pin": b"hunter2", "token": "hunter2\ud800"},
            "accesscontrol": ["hunter2"],
        }
        makers: list[Callable[[], ArvoEvent]] = [
            lambda: create(**secrets),
            lambda: create(accesscontrol=["hunter2"]),
            lambda: ArvoEvent.from_dict(WIRE | secrets),
            lambda: ArvoEvent(**(WIRE | {"accesscontrol": ["hunter2"]})),
            lambda: ArvoEvent.from_json('{"data": {"pin": "hunter2"}'),
        ]
        for make in makers:
            with pytest.raises(InvalidEventError) as caught:
                make()
            assert "hunter2" not in str(caught.value) + repr(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__

    def test_errors_name_the_event_even_if_id_and_type_are_wrong(self) -> None:
        with pytest.raises(InvalidEventError, match=r"event \(id=int, type='x'\)"):
            ArvoEvent.from_dict(WIRE | {"id": 10**5_000, "type": "x"})
        with pytest.raises(InvalidEventError, match=r"event \(id=None, type=None\)"):
            ArvoEvent.from_dict({})

    def test_cloudevent_divides_the_event(self) -> None:
        view = create(extensions={"tenant": "eu"}).cloudevent
        assert list(view.attributes) == [
            "id", "source", "specversion", "type", "subject", "datacontenttype", "dataschema", "time"
        ]  # fmt: skip
        assert view.data == {"item": "tea"}
        assert view.extensions["tenant"] == "eu"
        assert view.extensions["to"] == "com.order.place"
        assert {**view.attributes, "data": view.data, **view.extensions} == create(
            extensions={"tenant": "eu"}
        ).to_dict()

    def test_otel_attributes_leave_out_data_and_access_control(self) -> None:
        attributes = create(accesscontrol="token", executionunits=2.5).otel_attributes
        assert attributes["cloudevents.event_id"] == "evt-1"
        assert attributes["cloudevents.arvo.event_to"] == "com.order.place"
        assert attributes["cloudevents.arvo.event_executionunits"] == 2.5
        assert attributes["cloudevents.arvo.event_domain"] == "N/A"
        assert len(attributes) == 13
        assert not any("data" in name.split("_")[-1:] for name in attributes)
        assert "token" not in attributes.values()


# --- any input ---------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-LARGEST, LARGEST) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
json_objects = st.dictionaries(st.text(), json_values, max_size=5)
extension_names = st.text("abcxyz0189", min_size=1).filter(
    lambda name: name not in ArvoEvent.model_fields
)
header_text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))
extension_values = (
    st.none() | st.booleans() | st.integers(-LARGEST, LARGEST) | header_text
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
segments = st.text("abcz019", min_size=1, max_size=5)
event_types = st.lists(segments, min_size=3, max_size=5).map(".".join)
some_text = header_text.filter(bool)

events = st.builds(
    ArvoEvent.create,
    id=some_text.map("evt-{}".format),
    source=some_text,
    type=event_types,
    subject=some_text,
    data=json_objects,
    time=st.datetimes(timezones=st.just(UTC)),
    to=st.none() | st.text(),
    dataschema=st.none() | st.text(),
    accesscontrol=st.none() | some_text,
    redirectto=st.none() | st.text(),
    executionunits=st.none()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False),
    traceparent=st.none() | some_text,
    tracestate=st.none() | some_text,
    parentid=st.none() | header_text,
    domain=st.none() | st.text("abc.019", min_size=1),
    extensions=st.none() | st.dictionaries(extension_names, extension_values, max_size=3),
)

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
    | st.binary() | st.dates() | st.decimals() | st.just(object()) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3)
    | st.tuples(inner)
    | st.dictionaries(st.text(st.characters()) | st.integers() | st.none(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def outcome(make: Callable[[], ArvoEvent]) -> ArvoEvent | InvalidEventError | InvalidUriError:
    try:
        return make()
    except (InvalidEventError, InvalidUriError) as error:
        return error


def check_outcome(event: ArvoEvent | InvalidEventError | InvalidUriError) -> None:
    """Check that it is an event that survives the wire, or an error that names a place."""
    if isinstance(event, ArvoEvent):
        assert ArvoEvent.from_json(event.to_json()).to_dict() == event.to_dict()
    else:
        assert event.problems
        str(event).encode()


@given(events)
def test_any_event_survives_the_wire(event: ArvoEvent) -> None:
    for twin in (
        ArvoEvent.from_json(event.to_json()),
        ArvoEvent.from_json(event.to_json(indent=2).encode()),
        ArvoEvent.from_json(json.dumps(event.to_dict())),
        ArvoEvent.from_dict(event.to_dict()),
        ArvoEvent(**event.to_dict()),
    ):
        assert twin == event
        assert twin.to_dict() == event.to_dict()
        assert twin.to_json() == event.to_json()
        assert twin.extensions == event.extensions


@given(events)
def test_an_event_made_from_its_own_values_is_the_same(event: ArvoEvent) -> None:
    values = event.to_dict()
    extensions = {name: values.pop(name) for name in event.extensions}
    assert ArvoEvent.create(**values, extensions=extensions).to_dict() == event.to_dict()
    for name in ("source", "subject", "to"):
        assert is_valid_uri(values[name])


@given(st.dictionaries(st.sampled_from(list(WIRE)), anything, max_size=3))
def test_no_attribute_value_raises_anything_but_the_documented_errors(
    changes: dict[str, Any],
) -> None:
    for make in (
        lambda: create(**changes),
        lambda: ArvoEvent.from_dict(WIRE | changes),
        lambda: ArvoEvent(**(WIRE | changes)),
    ):
        check_outcome(outcome(make))


@given(st.dictionaries(st.text(st.characters()) | st.integers(), anything, max_size=3))
def test_no_extension_raises_anything_but_the_documented_errors(
    extensions: dict[Any, Any],
) -> None:
    for make in (
        lambda: create(extensions=extensions),
        lambda: ArvoEvent.from_dict({**extensions, **WIRE}),
    ):
        check_outcome(outcome(make))


@given(anything)
def test_data_is_accepted_exactly_when_it_has_no_json_problems(data: Any) -> None:
    if json_problems(data):
        with pytest.raises(InvalidEventError):
            create(data=data)
    else:
        assert create(data=data).data == data


@given(st.text(st.characters()) | st.binary() | json_values.map(json.dumps))
def test_no_text_raises_anything_but_the_documented_error(text: str | bytes) -> None:
    with pytest.raises(InvalidEventError):
        ArvoEvent.from_json(text)


@given(st.data())
def test_a_damaged_event_is_an_event_or_the_documented_error(data: st.DataObject) -> None:
    text = data.draw(events).to_json()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 5)))
    patch = data.draw(st.text(st.characters(), max_size=3) | st.sampled_from(["1e999", "NaN", '"']))
    check_outcome(outcome(lambda: ArvoEvent.from_json(text[:start] + patch + text[end:])))


class Tenanted(ArvoEvent):
    tenant: str

    @model_validator(mode="after")
    def _check_tenant(self) -> Self:
        if self.tenant == "unknown":
            raise ValueError("the tenant is unknown")
        return self


class TestSubclass:
    def test_a_missing_field_of_a_subclass_is_named(self) -> None:
        with pytest.raises(InvalidEventError) as caught:
            Tenanted.create(source="com.a.b", type="com.x.y", subject="s", data={})
        assert [str(problem) for problem in caught.value.problems] == ["tenant: Field required"]

    def test_a_broken_rule_of_a_subclass_is_reported(self) -> None:
        with pytest.raises(InvalidEventError) as caught:
            Tenanted.create(
                source="com.a.b", type="com.x.y", subject="s", data={},
                extensions={"tenant": "unknown"},
            )  # fmt: skip
        assert [str(problem) for problem in caught.value.problems] == [
            "(root): Value error, the tenant is unknown"
        ]
