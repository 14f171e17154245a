"""Costs are bounded by the size of the input, for refused values as for accepted ones."""

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import BaseModel, Discriminator, TypeAdapter

from arvo_core import (
    ArvoError,
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestrationSubject,
    DataSchema,
    EventLimits,
    FieldProblem,
    InvalidDataError,
    InvalidEventError,
    InvalidSubjectError,
    InvalidUriError,
    InvalidValueError,
    JsonObject,
    Payload,
    SimpleArvoContract,
    SimpleVersion,
    ViolationError,
    json_problems,
)
from arvo_core._deflated_json import pack
from arvo_core.event_id import EventId, parse_event_id
from arvo_core.semantic_version import SemanticVersion
from arvo_core.uri import decode_uri, encode_uri, ensure_uri, is_valid_uri
from budget import spend

SIZES = [2_000, 60_000]
LONGEST = 131_072

WIRE: dict[str, Any] = ArvoEvent.create(
    id="evt-1",
    source="com.app.main",
    type="com.order.place",
    subject="order/7",
    data={},
    time="2026-01-31T09:30:00.000Z",
).to_dict()
HEAD = json.dumps({name: value for name, value in WIRE.items() if name != "data"})[:-1]


def check_refusal(error: object, kind: type[ArvoError]) -> None:
    """Check that an error lists few problems and is short, also in a traceback."""
    assert isinstance(error, kind)
    assert len(str(error).encode()) <= 4096
    assert len("".join(traceback.format_exception(error)).encode()) <= 16 * 1024
    if isinstance(error, InvalidValueError):
        assert len(error.problems) <= 20
        for problem in error.problems:
            assert len(str(problem).encode()) <= 2048


# --- events --------------------------------------------------------------------------------------


def filled(unit: str, size: int) -> str:
    """Repeat a unit up to about `size` characters, without the comma at the end."""
    return (unit * max(1, size // len(unit))).removesuffix(",")


def with_data(data: str) -> str:
    return f'{HEAD},"data":{data}}}'


def in_lists(text: str, depth: int) -> str:
    return with_data(f'{{"x":{"[" * depth}{text}{"]" * depth}}}')


def with_attribute(name: str, value: str) -> str:
    return f'{HEAD},"data":{{}},"{name}":"{value}"}}'


def numbered(template: str, size: int) -> str:
    """Fill in numbers, so that every member has a different name."""
    return ",".join(template % number for number in range(size // len(template)))


NASTY_EVENTS: dict[str, Callable[[int], str]] = {
    "numbers out of range, deep": lambda size: in_lists(filled("1e400,", size), 120),
    "numbers out of range, too deep": lambda size: in_lists(filled("1e400,", size), 190),
    "numbers out of range, flat": lambda size: in_lists(filled("NaN,", size), 1),
    "empty containers, deep": lambda size: in_lists(filled("[],", size), 120),
    "empty containers around one problem": lambda size: in_lists(
        filled("{},", size) + ",NaN", 120
    ),
    "one long integer": lambda size: in_lists("9" * size, 1),
    "many long integers": lambda size: in_lists(filled("9" * 500 + ",", size), 100),
    "a long fraction": lambda size: in_lists("0." + "9" * size, 1),
    "a long exponent": lambda size: in_lists("1e" + "9" * size, 1),
    "nothing but nesting": lambda size: in_lists("", size // 2),
    "nesting without end": lambda size: "[" * size,
    "objects without end": lambda size: '{"a":' * (size // 5),
    "one name again and again": lambda size: with_data("{" + filled('"a":[],', size) + "}"),
    "a long name above many problems": lambda size: with_data(
        f'{{"{"k" * (size // 2)}":[{filled("NaN,", size // 2)}]}}'
    ),
    "long names at every level": lambda size: with_data(
        f'{{"{"k" * (size // 100)}":' * 100 + "NaN" + "}" * 100
    ),
    "lone surrogates": lambda size: in_lists(filled('"\\ud800",', size), 120),
    "names with lone surrogates": lambda size: with_data(
        "{" + numbered('"\\ud800%d":1', size) + "}"
    ),
    "wrong extensions": lambda size: f'{HEAD},"data":{{}},{numbered(chr(34) + "a%d" + chr(34) + ":[]", size)}}}',
    "extensions with wrong names": lambda size: f'{HEAD},"data":{{}},{numbered(chr(34) + "A%d" + chr(34) + ":1", size)}}}',
    "an id of line feeds": lambda size: with_attribute("id", filled("\\n", size)),
    "a long id": lambda size: with_attribute("id", "i" * size),
    "a long type": lambda size: with_attribute("type", filled("a.", size)),
    "a long source": lambda size: with_attribute("source", filled("%C3%A9", size)),
    "a long time": lambda size: with_attribute("time", "2026-01-31T09:30:00." + "0" * size),
    "no JSON": lambda size: filled("x", size),
    "only attributes that are wrong": lambda size: "{" + numbered('"%d":1', size) + "}",
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", NASTY_EVENTS.values(), ids=NASTY_EVENTS)
def test_cost_of_reading_an_event_is_bounded_by_its_size(
    make: Callable[[int], str], size: int
) -> None:
    text = make(size)
    outcome = spend(lambda: ArvoEvent.from_json(text), size=len(text))
    if not isinstance(outcome, ArvoEvent):
        check_refusal(outcome, InvalidEventError)


def test_wrong_attributes_are_reported_despite_many_wrong_extensions() -> None:
    wrong: dict[str, Any] = {f"a{number}": [] for number in range(2_000)}
    with pytest.raises(InvalidEventError) as caught:
        ArvoEvent.from_dict({**WIRE, **wrong, "id": "", "time": "now"})
    assert [problem.path for problem in caught.value.problems] == [("id",), ("time",)]
    with pytest.raises(InvalidEventError) as caught:
        ArvoEvent.from_dict({**WIRE, **wrong})
    assert [problem.path for problem in caught.value.problems] == [
        (f"a{number}",) for number in range(20)
    ]


def test_the_json_schema_of_an_event_is_short() -> None:
    schema = ArvoEvent.model_json_schema()["properties"]["data"]
    assert (schema["type"], schema["additionalProperties"]) == ("object", True)


nasty_values = st.recursive(
    st.sampled_from(
        ["1e400", "NaN", "[]", "{}", '"\\ud800"', "null", "1", '"x"', "-1e-400", "9" * 400]
    ),
    lambda inner: (
        st.builds(
            lambda item, count, depth: (
                "[" * depth + ",".join([item] * min(count, 1 + 20_000 // len(item))) + "]" * depth
            ),
            inner,
            st.sampled_from([1, 2, 50, 500]),
            st.integers(1, 60),
        )
        | st.builds(
            lambda item, name, depth: f'{{"{name}":' * depth + item + "}" * depth,
            inner,
            st.sampled_from(["a", "n" * 300, "\\u0000", "\\ud800"]),
            st.integers(1, 60),
        )
    ),
    max_leaves=3,
)


@settings(max_examples=30)
@given(nasty_values, st.sampled_from(["data", "id", "to", "executionunits", "other"]))
def test_cost_of_any_value_in_an_event_is_bounded_by_its_size(value: str, name: str) -> None:
    text = f'{HEAD},"data":{{"x":{value}}},"{name}":{value}}}'
    outcome = spend(lambda: ArvoEvent.from_json(text), size=len(text))
    if not isinstance(outcome, ArvoEvent):
        check_refusal(outcome, InvalidEventError)


def test_cost_of_refusing_to_create_an_event_is_bounded() -> None:
    data: dict[str, Any] = {"x": [float("nan")] * 20_000}
    outcome = spend(
        lambda: ArvoEvent.create(
            source="é" * LONGEST, type="a" * 100_000, subject="s", data=data, id="\n" * 50
        ),
        size=500_000,
    )
    check_refusal(outcome, InvalidUriError)


class TestSize:
    EIGHT_MIB = 8 * 2**20

    @pytest.mark.parametrize("read", [str, str.encode], ids=["text", "bytes"])
    def test_size_limit_is_8_mib_by_default(self, read: Callable[[str], str | bytes]) -> None:
        text = with_data(f'{{"x":"{"a" * self.EIGHT_MIB}"}}')
        fitting = text.replace("a" * (len(text) - self.EIGHT_MIB), "", 1)
        assert ArvoEvent.from_json(read(fitting)).id == "evt-1"
        with pytest.raises(
            InvalidEventError, match="takes 8388609 bytes; max_bytes of EventLimits allows 8388608"
        ):
            ArvoEvent.from_json(read(fitting.replace('"x"', '"xy"')))

    def test_size_is_counted_in_bytes(self) -> None:
        text = with_data('{"x":"' + "é" * 100 + '"}')
        size = len(text.encode())
        assert ArvoEvent.from_json(text, limits=EventLimits(max_bytes=size)).id == "evt-1"
        with pytest.raises(InvalidEventError, match=f"takes {size} bytes"):
            ArvoEvent.from_json(text, limits=EventLimits(max_bytes=size - 1))

    def test_size_limit_can_be_set(self) -> None:
        text = with_data('{"x":"' + "a" * self.EIGHT_MIB + '"}')
        limits = EventLimits(max_bytes=2 * self.EIGHT_MIB)
        assert len(ArvoEvent.from_json(text, limits=limits).data["x"]) == self.EIGHT_MIB

    def test_size_is_checked_before_the_text_is_parsed(self) -> None:
        text = "[" * 2 * self.EIGHT_MIB
        outcome = spend(lambda: ArvoEvent.from_json(text), size=0)
        assert "max_bytes" in str(outcome)

    def test_a_larger_event_can_be_made_and_written(self) -> None:
        """The limit applies to reading only."""
        event = ArvoEvent.create(
            source="com.a.b", type="com.a.b", subject="s", data={"x": "a" * self.EIGHT_MIB}
        )
        with pytest.raises(InvalidEventError, match="max_bytes"):
            ArvoEvent.from_json(event.to_json())


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return {"in": value}


def create(depth: int, limits: EventLimits) -> ArvoEvent:
    data = nested(depth)
    return ArvoEvent.create(source="com.a.b", type="com.a.b", subject="s", data=data, limits=limits)


class TestDepth:
    MAKERS: ClassVar[dict[str, Callable[[int, EventLimits], ArvoEvent]]] = {
        "create": create,
        "from_dict": lambda depth, limits: ArvoEvent.from_dict(
            WIRE | {"data": nested(depth)}, limits=limits
        ),
        "from_json": lambda depth, limits: ArvoEvent.from_json(
            json.dumps(WIRE | {"data": nested(depth)}), limits=limits
        ),
    }

    @pytest.mark.parametrize("deepest", [1, 7, 127, 128, 129, 201, 248])
    @pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
    def test_depth_limit_can_be_set(
        self, make: Callable[[int, EventLimits], ArvoEvent], deepest: int
    ) -> None:
        limits = EventLimits(max_depth=deepest)
        event = make(deepest, limits)
        assert event.data == nested(deepest)
        assert ArvoEvent.from_json(event.to_json(), limits=limits).data == event.data
        message = f"nested more than {deepest} levels deep; flatten the data, or raise max_depth"
        with pytest.raises(InvalidEventError, match=message) as caught:
            make(deepest + 1, limits)
        assert caught.value.problems[0].path[:2] == ("data", "in")

    def test_problems_of_attributes_are_reported_before_depth(self) -> None:
        with pytest.raises(InvalidEventError) as caught:
            ArvoEvent.from_dict(
                WIRE | {"data": nested(9), "id": ""}, limits=EventLimits(max_depth=3)
            )
        assert [problem.path for problem in caught.value.problems] == [("id",)]

    def test_data_is_copied_under_other_limits_too(self) -> None:
        data = {"rows": [1]}
        event = ArvoEvent.create(
            source="com.a.b", type="com.a.b", subject="s", data=data,
            limits=EventLimits(max_depth=200),
        )  # fmt: skip
        data["rows"].append(2)
        assert event.data == {"rows": [1]}
        assert type(event.data) is dict

    def test_invalid_data_is_refused_under_other_limits_too(self) -> None:
        for given_data in (None, [1], "x", {"x": float("nan")}):
            with pytest.raises(InvalidEventError) as caught:
                ArvoEvent.from_dict(WIRE | {"data": given_data}, limits=EventLimits(max_depth=9))
            assert caught.value.problems[0].path[0] == "data"
        with pytest.raises(InvalidEventError, match="expected a JSON object, got list"):
            ArvoEvent.from_json("[]", limits=EventLimits(max_depth=9))

    def test_a_uri_is_encoded_under_other_limits_too(self) -> None:
        limits = EventLimits(max_depth=3)
        made = ArvoEvent.create(
            source="my app", type="com.a.b", subject="s", data={}, limits=limits
        )
        assert made.source == "my%20app"
        with pytest.raises(InvalidEventError, match="nested more than 3 levels"):
            ArvoEvent.create(
                source="my app", type="com.a.b", subject="s", data=nested(4), limits=limits
            )

    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    def test_extreme_nesting_is_refused_under_other_limits_too(self, opening: str) -> None:
        with pytest.raises(InvalidEventError, match="nested more than 200 levels deep"):
            ArvoEvent.from_json(opening * 100_000, limits=EventLimits(max_depth=200))

    def test_a_factory_accepts_limits(self) -> None:
        class Tree(BaseModel):
            root: JsonObject

        version = SimpleVersion("1.0.0", accepts=Tree, emits=Tree)
        contract = SimpleArvoContract(uri="#/tree", type="tree.read", versions=[version])
        factory = ArvoEventFactory(contract.version(version))
        data = {"root": nested(140)}
        with pytest.raises(InvalidEventError, match="nested more than 128 levels"):
            factory.accepts(source="com.app.main", data=data)
        limits = EventLimits(max_depth=141)
        assert factory.accepts(source="com.app.main", data=data, limits=limits).data == data


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_bytes": 0}, "max_bytes must be a positive integer, got 0"),
        ({"max_bytes": 1.5}, "max_bytes must be a positive integer, got 1.5"),
        ({"max_bytes": True}, "max_bytes must be a positive integer, got True"),
        ({"max_depth": -1}, "max_depth must be a positive integer, got -1"),
        ({"max_depth": "9"}, "max_depth must be a positive integer, got '9'"),
        ({"max_depth": 249}, "max_depth must be at most 248, got 249"),
    ],
)
def test_wrong_limits_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EventLimits(**setting)


# --- headers -------------------------------------------------------------------------------------

BREAKS = {"\r": "a carriage return", "\n": "a line feed", "\0": "a NUL"}
STRINGS = ["id", "accesscontrol", "traceparent", "tracestate", "parentid"]


@pytest.mark.parametrize("broken", BREAKS, ids=["CR", "LF", "NUL"])
class TestHeaderBreaks:
    @pytest.mark.parametrize("name", [*STRINGS, "tenant"])
    def test_header_breaks_are_refused_in_attributes(self, name: str, broken: str) -> None:
        value = f"a{broken}Set-Cookie: x"
        message = f"holds {BREAKS[broken]} at position 1, which would end a header; remove it"
        extension = name == "tenant"
        with pytest.raises(InvalidEventError) as on_read:
            ArvoEvent.from_json(json.dumps(WIRE | {name: value}))
        with pytest.raises(InvalidEventError) as on_create:
            ArvoEvent.create(
                source="com.a.b", type="com.a.b", subject="s", data={},
                **({"extensions": {name: value}} if extension else {name: value}),
            )  # fmt: skip
        for caught in (on_read, on_create):
            assert caught.value.problems == (FieldProblem(path=(name,), message=message),)

    @pytest.mark.parametrize(
        "name", ["source", "type", "subject", "datacontenttype", "dataschema", "time", "to",
                 "redirectto", "domain", "specversion"],
    )  # fmt: skip
    def test_header_breaks_are_refused_in_attributes_with_a_pattern(
        self, name: str, broken: str
    ) -> None:
        for value in (f"{WIRE[name] or 'a'}{broken}", f"{broken}{WIRE[name] or 'a'}"):
            with pytest.raises(InvalidEventError) as caught:
                ArvoEvent.from_json(json.dumps(WIRE | {name: value}))
            assert [problem.path for problem in caught.value.problems] == [(name,)]

    def test_header_breaks_are_encoded_in_uris_of_created_events(self, broken: str) -> None:
        event = ArvoEvent.create(
            source=f"a{broken}b", type="com.a.b", subject=f"c{broken}", data={}
        )
        assert (event.source, event.subject) == (
            f"a%{ord(broken):02X}b", f"c%{ord(broken):02X}"
        )  # fmt: skip

    def test_header_breaks_are_allowed_in_data_and_managed_ids(self, broken: str) -> None:
        managed_id = EventId.arvo_managed(f"a{broken}b")
        event = ArvoEvent.create(
            source="com.a.b", type="com.a.b", subject="s", data={"x": broken}, id=managed_id
        )
        assert ArvoEvent.from_json(event.to_json()).data == {"x": broken}
        managed = parse_event_id(event.id)
        assert managed is not None
        assert managed.value == f"a{broken}b"


@pytest.mark.parametrize(
    "name", [*STRINGS, "source", "type", "subject", "datacontenttype", "dataschema", "time", "to",
             "redirectto", "domain", "tenant"],
)  # fmt: skip
def test_an_attribute_has_at_most_131072_characters(name: str) -> None:
    shapes = {
        "type": "a.b.", "time": "2026-01-31T09:30:00.", "datacontenttype": "application/json"
    }  # fmt: skip
    head, tail = shapes.get(name, ""), "Z" if name == "time" else ""
    filling = "0" if name in {"type", "time", "domain"} else "a"
    longest = head + filling * (LONGEST - len(head) - len(tail)) + tail
    assert ArvoEvent.from_json(json.dumps(WIRE | {name: longest})).to_dict()[name] == longest
    longer = head + filling + longest.removeprefix(head)
    with pytest.raises(InvalidEventError) as caught:
        ArvoEvent.from_json(json.dumps(WIRE | {name: longer}))
    message = "takes 131073 characters; at most 131072 are allowed"
    assert caught.value.problems == (FieldProblem(path=(name,), message=message),)


def test_the_longest_subject_fits_an_event() -> None:
    noise = "".join(chr(0x100 + number * 7919 % 40_000) for number in range(21_700))
    subject = ArvoOrchestrationSubject.new(
        orchestrator="com.a.b", version="1.0.0", initiator="com.a.b", meta={"noise": noise}
    )
    assert len(subject) > 60_000
    event = ArvoEvent.create(source="com.a.b", type="com.a.b", subject=subject, data={})
    assert ArvoEvent.from_json(event.to_json()).subject == subject


# --- subjects, ids, URIs, versions ---------------------------------------------------------------

NASTY_SUBJECTS = {
    "numbers out of range": '{"x":' + "[" * 180 + "1e400," * 9_000 + "1" + "]" * 180 + "}",
    "invalid members": "{" + ",".join(f'"{n}":1e400' for n in range(4_000)) + "}",
    "wrong meta": '{"meta":{' + ",".join(f'"{n}":1' for n in range(6_000)) + "}}",
    "a long name": '{"orchestrator":{"name":"' + "a." * 30_000 + '"}}',
    "a long version": '{"orchestrator":{"name":"a.b.c","version":"' + "9" * 60_000 + '"}}',
    "nesting without end": "[" * 60_000,
    "text": '"' + "a" * 60_000 + '"',
}


@pytest.mark.parametrize("content", NASTY_SUBJECTS.values(), ids=NASTY_SUBJECTS)
def test_cost_of_a_subject_is_bounded_by_its_inflated_size(content: str) -> None:
    text = pack(content.encode())
    outcome = spend(lambda: ArvoOrchestrationSubject.parse(text), size=65_536)
    check_refusal(outcome, InvalidSubjectError)


def test_subjects_with_long_json_are_not_cached() -> None:
    content = {
        "orchestrator": {"name": "com.a.b", "version": "1.0.0"},
        "execution": {"id": "1", "initiator": "com.a.b", "domain": None},
        "meta": {},
        "x": [[]] * 20_000,
    }
    small = ArvoOrchestrationSubject.create({**content, "x": []})
    large = ArvoOrchestrationSubject.create(content)
    assert len(large) < 400
    parse = ArvoOrchestrationSubject.parse
    assert parse(small) is parse(small)
    assert parse(large) is not parse(large)


LONG = 10_000_000
NASTY_STRINGS: dict[str, Callable[[], object]] = {
    "ensure_uri": lambda: ensure_uri("a" * LONG),
    "ensure_uri with much to encode": lambda: ensure_uri("é" * LONG),
    "encode_uri": lambda: encode_uri("\ud800" * LONG),
    "encode_uri with a long result": lambda: encode_uri("é" * 100_000),
    "decode_uri": lambda: decode_uri("%41" * LONG),
    "a subject": lambda: ArvoOrchestrationSubject.parse("A" * LONG),
    "a version": lambda: SemanticVersion.parse("9" * LONG),
    "an execution id": lambda: ArvoOrchestrationSubject.new(
        orchestrator="com.a.b", version="1.0.0", initiator="com.a.b", execution_id="e" * LONG
    ),
}


@pytest.mark.parametrize("call", NASTY_STRINGS.values(), ids=NASTY_STRINGS)
def test_a_string_of_10_mb_is_refused_immediately(call: Callable[[], object]) -> None:
    outcome = spend(call, size=LONG // 5)
    check_refusal(outcome, InvalidValueError)


def test_other_functions_return_immediately_for_a_string_of_10_mb() -> None:
    text = "A" * LONG
    assert spend(lambda: is_valid_uri(text), size=0) is False
    assert spend(lambda: parse_event_id(text), size=0) is None
    assert spend(lambda: DataSchema.parse(text), size=LONG // 5) is None


def test_errors_name_the_limit_of_uris() -> None:
    assert ensure_uri("a" * LONGEST) == "a" * LONGEST
    with pytest.raises(InvalidUriError, match="at most 131072 characters, got 131073: 'aaa"):
        ensure_uri("a" * (LONGEST + 1))
    with pytest.raises(InvalidUriError) as caught:
        ArvoEvent.create(
            source="é" * 100_000, type="com.a.b", subject="é" * 100_000, to="x", data={}
        )
    assert {problem.path: problem.message for problem in caught.value.problems} == {
        ("source",): "takes more than 131072 characters",
        ("subject",): "takes more than 131072 characters",
    }


# --- contracts -----------------------------------------------------------------------------------


class Rows(BaseModel):
    rows: list[int]


class Choices(BaseModel):
    rows: list[int | bool | Literal["b"] | Rows]


class Free(BaseModel):
    rows: JsonObject


def wide(size: int) -> dict[str, Any]:
    return {"rows": ["a"] * (size // 4)}


NASTY_PAYLOADS: dict[str, tuple[Any, Callable[[int], dict[str, Any]]]] = {
    "a list": (Rows, wide),
    "choices": (Choices, wide),
    "a mapping": (
        TypeAdapter(dict[str, int]),
        lambda size: {str(number): "a" for number in range(size // 8)},
    ),
    "free JSON": (Free, lambda size: {"rows": {"x": [float("inf")] * (size // 4)}}),
    "free JSON, deep": (Free, lambda size: {"rows": {"x": deep([float("inf")] * (size // 4))}}),
    "unknown names": (
        TypeAdapter(dict[Literal["a"], int]),
        lambda size: {f"{number}": 1 for number in range(size // 8)},
    ),
}


def deep(value: Any) -> Any:
    for _ in range(100):
        value = [value]
    return value


@pytest.mark.parametrize("size", [2_000, 40_000])
@pytest.mark.parametrize(("kind", "make"), NASTY_PAYLOADS.values(), ids=NASTY_PAYLOADS)
def test_cost_of_a_payload_is_bounded_by_its_size(
    kind: Any, make: Callable[[int], dict[str, Any]], size: int
) -> None:
    payload, data = Payload[Any](kind), make(size)
    outcome = spend(lambda: payload.parse(data), size=size)
    check_refusal(outcome, InvalidDataError)
    assert isinstance(outcome, InvalidDataError)
    assert outcome.problems


def test_problems_within_free_json_have_their_path() -> None:
    with pytest.raises(InvalidDataError) as caught:
        Payload(Free).parse({"rows": {"x": [1, float("nan")], "y": object()}})
    assert [str(problem) for problem in caught.value.problems] == [
        "rows.x.1: nan is not a JSON number; use null or leave it out",
        "rows.y: object is not a JSON value; use a string, a number, true, false, null, a list or a dict",
    ]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({f"x{number}": float("nan") for number in range(1_500)}, id="many"),
        pytest.param({"x0": deep(deep(deep(1)))}, id="deeper than pydantic can go"),
        pytest.param({"x0": nested(256)["in"]}, id="a level deeper than pydantic can go"),
    ],
)
def test_the_member_is_named_if_places_within_free_json_cannot_be(rows: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError) as caught:
        Payload(Free).parse({"rows": rows})
    assert caught.value.problems[0].path[:2] == ("rows", "x0")
    assert "data does not match Free" in str(caught.value)


@pytest.mark.parametrize(("count", "listed"), [(1_500, 20), (30_000, 1)])
def test_first_problems_of_many_are_listed(count: int, listed: int) -> None:
    with pytest.raises(InvalidDataError) as caught:
        Payload(Rows).parse({"rows": ["a"] * count})
    problems = caught.value.problems
    assert len(problems) == listed
    if listed > 1:
        assert [problem.path for problem in problems] == [("rows", n) for n in range(20)]
        assert caught.value.unlisted == count - 20
        assert str(caught.value).endswith(f"\n  and {count - 20} more")
    else:
        assert str(problems[0]) == f"(root): {count} values are invalid, too many to list"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Zoo(BaseModel):
    animals: list[Annotated[Cat | Dog, Discriminator("kind")]]


@pytest.mark.parametrize("count", [1, 1_500])
def test_a_wrong_tag_is_not_shown(count: int) -> None:
    with pytest.raises(InvalidDataError) as caught:
        Payload(Zoo).parse({"animals": [{"kind": "secret"}] * count})
    assert "secret" not in str(caught.value)
    assert "must be one of" in str(caught.value)


# --- errors --------------------------------------------------------------------------------------


def endless() -> Iterator[FieldProblem]:
    number = 0
    while True:
        yield FieldProblem(path=("rows", number), message="is wrong")
        number += 1


class TestMessages:
    def test_an_error_lists_20_problems_and_looks_for_no_more(self) -> None:
        error = InvalidValueError("no", problems=endless())
        assert len(error.problems) == 20
        assert error.unlisted is None
        assert str(error).splitlines()[-1] == "  and more"

    def test_further_problems_are_counted_if_their_number_is_known(self) -> None:
        problem = FieldProblem(path=("a",), message="is wrong")
        error = InvalidValueError("no", problems=[problem] * 33)
        assert error.unlisted == 13
        assert str(error).splitlines()[-1] == "  and 13 more"
        again = InvalidValueError("still", problems=error.problems, unlisted=error.unlisted)
        assert (again.unlisted, str(again).splitlines()[-1]) == (13, "  and 13 more")

    def test_up_to_20_problems_are_all_shown(self) -> None:
        error = InvalidValueError("no", problems=[FieldProblem(path=(), message="x")] * 20)
        assert str(error) == "\n".join(["no", *["  (root): x"] * 20])
        assert error.unlisted == 0

    @given(
        st.text(st.characters()).map(lambda text: text * 1_000),
        st.lists(
            st.builds(
                lambda path, message: FieldProblem(path=tuple(path), message=message * 200),
                st.lists(st.text(st.characters()).map(lambda name: name * 300) | st.integers()),
                st.text(st.characters()),
            ),
            max_size=25,
        ),
    )
    def test_no_message_is_longer_than_4_kib(self, text: str, problems: list[FieldProblem]) -> None:
        for error in (
            InvalidValueError(text, problems=problems),
            ArvoError(text),
            ViolationError(text),
        ):
            assert len(str(error).encode()) <= 4096

    def test_both_ends_of_a_long_message_are_kept(self) -> None:
        error = ViolationError("begin" + "é" * 9_000 + "end")
        assert str(error).startswith("beginéé")
        assert str(error).endswith("ééend")
        assert "...[cut, 9008 characters in all]..." in str(error)

    def test_only_long_names_in_a_path_are_cut(self) -> None:
        assert FieldProblem(path=("\ud800", 3, "x" * 256), message="").path == (
            "\ud800", 3, "x" * 256
        )  # fmt: skip
        assert len(FieldProblem(path=("x" * 9_000,), message="").path[0]) <= 256  # type: ignore[arg-type]

    def test_json_problems_lists_20(self) -> None:
        assert len(json_problems({"x": [float("nan")] * 500})) == 20
