import math
from typing import Any

import pytest
from conformance.comparison import Comparison, Difference
from conformance.expression import evaluate
from conformance.javascript import MISSING, number, text
from conformance.json_schema import normalised
from conformance.schema import payload_type
from conformance.values import (
    encode_subject,
    has_foreign_value,
    with_numbers,
    with_references,
    with_subjects,
)
from pydantic import TypeAdapter

from arvo_core import ContractVersion, InvalidDataError


def wire(schema: Any, data: object) -> Any:
    """Return the wire form of `data` in a contract with this payload."""
    return ContractVersion("1.0.0", accepts=payload_type(schema), emits={}).accepts.to_wire(data)


def member(schema: Any, value: object) -> Any:
    return wire({"obj": {"a": schema}}, {"a": value})["a"]


def paths(schema: Any, data: object) -> set[tuple[str | int, ...]]:
    with pytest.raises(InvalidDataError) as refusal:
        wire(schema, data)
    return {problem.path for problem in refusal.value.problems}


def refused(schema: Any, value: object) -> bool:
    return paths({"obj": {"a": schema}}, {"a": value}) == {("a",)}


def json_schema(schema: Any) -> Any:
    built = payload_type(schema)
    adapter: TypeAdapter[Any] = built if isinstance(built, TypeAdapter) else TypeAdapter(built)
    return normalised(adapter.json_schema())


ACCEPTED = [
    ("string", "x"),
    ("number", 1),
    ("number", 1.5),
    ("boolean", True),
    ("any", {"x": [None]}),
    ("any", None),
    ("unknown", 1),
    ("null", None),
    ({"opt": "string"}, "x"),
    ({"nullable": "string"}, None),
    ({"nullable": {"str": {"min": 1}}}, "x"),
    ({"default": ["number", 3]}, 4),
    ({"arr": "number", "min": 1, "max": 2}, [1, 2]),
    ({"tuple": ["string", "number"]}, ["a", 1]),
    ({"record": "number"}, {"x": 1}),
    ({"enum": ["x", "y"]}, "y"),
    ({"lit": "k"}, "k"),
    ({"lit": 1}, 1),
    ({"lit": 1}, 1.0),
    ({"lit": True}, True),
    ({"lit": None}, None),
    ({"union": ["string", "number"]}, 5),
    ({"union": ["string", {"obj": {"x": "number"}}]}, {"x": 1}),
    ({"str": {"min": 1, "max": 1}}, "\U0001f600"),
    ({"str": {"email": True}}, "a.b+c@d-e.org"),
    ({"str": {"uuid": True}}, "123E4567-e89b-42d3-a456-426614174000"),
    ({"str": {"url": True}}, "https://user@host.org:80/p?q#f"),
    ({"str": {"url": True}}, "mailto:a@b"),
    ({"str": {"url": True}}, "http://[::1]/x"),
    ({"str": {"regex": "b"}}, "abc"),
    ({"str": {"regex": "^(?<x>a)$"}}, "a"),
    ({"str": {"datetime": True}}, "2024-02-29T23:59:59.123Z"),
    ({"str": {"datetime": True}}, "2024-02-29T23:59Z"),
    ({"str": {"datetime": False}}, "x"),
    ({"num": {"int": True, "min": 1, "max": 5}}, 5),
    ({"num": {"int": True}}, 5.0),
    ({"num": {"gt": 0, "lt": 1}}, 0.5),
    ({"num": {"multipleOf": 0.1}}, 0.3),
    ({"describe": ["string", "words"]}, "x"),
]


@pytest.mark.parametrize(("schema", "value"), ACCEPTED, ids=map(str, ACCEPTED))
def test_a_value_that_fits_is_kept(schema: Any, value: object) -> None:
    Comparison().same(value, member(schema, value))


REFUSED = [
    ("string", 1),
    ("string", None),
    ("number", True),
    ("number", "1"),
    ("number", math.inf),
    ("number", math.nan),
    ("boolean", 1),
    ("null", 0),
    ({"opt": "string"}, None),
    ({"nullable": "string"}, 1),
    ({"default": ["number", 3]}, None),
    ({"arr": "number"}, {}),
    ({"arr": "number", "min": 1}, []),
    ({"arr": "number", "max": 1}, [1, 2]),
    ({"tuple": ["string", "number"]}, ["a"]),
    ({"tuple": ["string", "number"]}, ["a", 1, 2]),
    ({"tuple": ["string"]}, "a"),
    ({"record": "number"}, [1]),
    ({"enum": ["x", "y"]}, "z"),
    ({"lit": 1}, True),
    ({"lit": True}, 1),
    ({"lit": "1"}, 1),
    ({"lit": None}, 0),
    ({"union": ["string", "number"]}, None),
    ({"union": ["string", {"obj": {"x": "number"}}]}, {"x": "y"}),
    ({"str": {"min": 2}}, "\U0001f600"),
    ({"str": {"max": 1}}, "ab"),
    ({"str": {"email": True}}, "a@b"),
    ({"str": {"email": True}}, ".a@b.org"),
    ({"str": {"email": True}}, "a@b.org\n"),
    ({"str": {"uuid": True}}, "123e4567e89b42d3a456426614174000"),
    ({"str": {"url": True}}, "host.org"),
    ({"str": {"url": True}}, "http://"),
    ({"str": {"url": True}}, "http://a b"),
    ({"str": {"regex": "^a+$"}}, "aa\n"),
    ({"str": {"regex": r"^\d$"}}, "\u0661"),
    ({"str": {"datetime": True}}, "2024-02-29T23:59:59+01:00"),
    ({"str": {"datetime": True}}, "2023-02-29T00:00:00Z"),
    ({"str": {"datetime": True}}, "2024-02-29"),
    ({"num": {"int": True}}, 5.5),
    ({"num": {"int": True}}, True),
    ({"num": {"int": True, "min": 1}}, 0),
    ({"num": {"gt": 0}}, 0),
    ({"num": {"lt": 1}}, 1),
    ({"num": {"min": 0.5}}, 0),
    ({"num": {"max": 0.5}}, 1),
    ({"num": {"multipleOf": 2}}, 3),
    ({"describe": ["string", "words"]}, 1),
]


@pytest.mark.parametrize(("schema", "value"), REFUSED, ids=map(str, REFUSED))
def test_a_value_that_does_not_fit_is_refused_at_its_path(schema: Any, value: object) -> None:
    assert refused(schema, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", 0), ("  12 ", 12), ("1e3", 1000), ("0x1F", 31), (".5", 0.5), ("-1.", -1), (None, 0),
        (True, 1), (False, 0), ([], 0), (["7"], 7), (2.5, 2.5),
    ],
    ids=repr,
)  # fmt: skip
def test_coercion_follows_javascript(value: object, expected: float) -> None:
    assert member({"coerce": "number"}, value) == expected


@pytest.mark.parametrize("value", ["x", "1_0", "1,5", {}, [1, 2], "Infinity"], ids=repr)
def test_coercion_refuses_a_value_without_a_number_in_javascript(value: object) -> None:
    assert refused({"coerce": "number"}, value)


def test_coercion_to_string_and_boolean_follows_javascript() -> None:
    assert member({"coerce": "string"}, 1.0) == "1"
    assert member({"coerce": "boolean"}, "") is False
    assert wire({"obj": {"a": {"coerce": "string"}, "b": {"coerce": "boolean"}}}, {}) == {
        "a": "undefined",
        "b": False,
    }


ABSENT = [
    ("any", {}),
    ({"opt": "string"}, {}),
    ({"describe": [{"opt": "string"}, "words"]}, {}),
    ({"nullable": {"opt": "string"}}, {}),
    ({"opt": {"nullable": "string"}}, {}),
    ({"opt": {"default": ["number", 1]}}, {}),
    ({"union": ["string", {"opt": "number"}]}, {}),
    ({"default": ["number", 7]}, {"a": 7}),
    ({"nullable": {"default": ["number", 7]}}, {"a": 7}),
    ({"default": [{"nullable": "number"}, None]}, {"a": None}),
    ({"default": [{"obj": {"x": "number"}}, {"x": 1, "y": 2}]}, {"a": {"x": 1}}),
    ({"default": [{"arr": "number"}, []]}, {"a": []}),
]


@pytest.mark.parametrize(("schema", "expected"), ABSENT, ids=map(str, ABSENT))
def test_an_absent_member_is_left_out_or_gets_its_default(schema: Any, expected: object) -> None:
    assert wire({"obj": {"a": schema}}, {}) == expected


@pytest.mark.parametrize(
    "schema",
    ["string", {"nullable": "string"}, {"arr": "any"}, {"coerce": "number"}, {"lit": None}],
    ids=str,
)
def test_an_absent_required_member_is_refused(schema: Any) -> None:
    assert paths({"obj": {"a": schema}}, {}) == {("a",)}


def test_an_optional_member_that_is_null_stays() -> None:
    assert member("any", None) is None
    assert member({"opt": {"nullable": "string"}}, None) is None


def test_unknown_keys_are_treated_by_mode() -> None:
    inner = {"a": "number"}
    assert wire({"obj": inner}, {"x": 1, "a": 2}) == {"a": 2}
    kept = wire({"obj": inner, "mode": "passthrough"}, {"x": 1, "a": 2})
    assert list(kept.items()) == [("a", 2), ("x", 1)]
    assert paths({"obj": inner, "mode": "strict"}, {"x": 1, "a": "y"}) == {(), ("a",)}
    nested = {"obj": {"o": {"obj": inner, "mode": "strict"}}}
    assert paths(nested, {"o": {"x": 1, "a": 2}}) == {("o",)}


def test_any_string_can_name_a_member() -> None:
    keys = ["parentSubject", "a-b", "model_config", "_x", "class", "copy", "1", "member_0"]
    data = dict.fromkeys(keys, "x")
    assert wire({"obj": dict.fromkeys(keys, "string")}, data) == data


def test_members_come_in_the_order_of_declaration() -> None:
    assert list(wire({"obj": {"b": "number", "a": "number"}}, {"a": 1, "b": 2})) == ["b", "a"]


@pytest.mark.parametrize("value", [None, [], "x", 1], ids=repr)
def test_a_value_that_is_not_an_object_is_refused_at_the_root(value: object) -> None:
    assert paths({"obj": {}}, value) == {()}


def test_paths_of_lists_and_records() -> None:
    schema = {"obj": {"r": {"arr": "number", "min": 4}, "m": {"record": {"arr": "string"}}}}
    assert paths(schema, {"r": [1, "x", None], "m": {"k": [1]}}) == {
        ("r",), ("r", 1), ("r", 2), ("m", "k", 0),
    }  # fmt: skip


def test_paths_of_tuples() -> None:
    schema = {"obj": {"t": {"tuple": ["number", "string"]}}}
    assert paths(schema, {"t": [1, 2]}) == {("t", 1)}
    assert paths(schema, {"t": ["x"]}) == {("t",)}
    assert paths(schema, {"t": ["x", "y", "z"]}) == {("t",), ("t", 0)}


def test_the_first_option_that_matches_wins() -> None:
    schema = {"union": [{"obj": {"x": "any"}}, {"obj": {"x": "number", "y": "number"}}]}
    assert wire(schema, {"x": 1, "y": 2}) == {"x": 1}


def test_an_option_that_breaks_only_a_bound_speaks_for_the_union() -> None:
    options = ["string", {"obj": {"x": {"str": {"min": 2}}}}]
    assert paths({"obj": {"u": {"union": options}}}, {"u": {"x": "a"}}) == {("u", "x")}
    assert paths({"obj": {"u": {"union": options}}}, {"u": {"x": 1}}) == {("u",)}


def test_the_discriminator_chooses_the_option() -> None:
    schema = {
        "discriminated": [
            "k", [{"obj": {"k": {"lit": "a"}, "x": "number"}}, {"obj": {"k": {"enum": ["b", "c"]}}}]
        ]
    }  # fmt: skip
    assert wire(schema, {"k": "a", "x": 1, "y": 2}) == {"k": "a", "x": 1}
    assert wire(schema, {"k": "c", "x": 1}) == {"k": "c"}
    assert paths(schema, {"k": "a"}) == {("x",)}
    assert paths(schema, {"k": "z"}) == {("k",)}
    assert paths(schema, {}) == {("k",)}
    assert paths(schema, []) == {()}
    assert paths({"obj": {"d": schema}}, {"d": {"k": "a", "x": "y"}}) == {("d", "x")}


def test_an_unknown_form_is_an_error() -> None:
    for schema in (
        {"new": 1},
        {"str": {"new": 1}},
        {"num": {"new": 1}},
        {"coerce": "new"},
        {"obj": {}, "new": 1},
    ):
        with pytest.raises(ValueError, match="unknown"):
            payload_type(schema)


JSON_SCHEMAS = [
    ("string", {"type": "string"}),
    ("number", {"type": "number"}),
    ("any", {}),
    ({"opt": "number"}, {"type": "number"}),
    ({"opt": {"obj": {"x": "any"}}}, {"type": "object", "properties": {"x": {}}}),
    ({"nullable": "string"}, {"type": ["string", "null"]}),
    ({"nullable": {"enum": ["x"]}}, {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]}),
    ({"default": ["number", 3]}, {"type": "number", "default": 3}),
    ({"default": [{"nullable": "number"}, None]}, {"type": ["number", "null"], "default": None}),
    ({"arr": "string", "min": 1}, {"type": "array", "items": {"type": "string"}, "minItems": 1}),
    (
        {"tuple": ["string", "number"]},
        {"type": "array", "minItems": 2, "maxItems": 2, "items": [{"type": "string"}, {"type": "number"}]},
    ),
    ({"record": "number"}, {"type": "object", "additionalProperties": {"type": "number"}}),
    ({"enum": ["x", "y"]}, {"type": "string", "enum": ["x", "y"]}),
    ({"lit": "k"}, {"type": "string", "const": "k"}),
    ({"union": ["string", "number"]}, {"type": ["string", "number"]}),
    ({"union": [{"lit": 1}, {"lit": 2}]}, {"type": "number", "enum": [1, 2]}),
    ({"str": {"email": True, "min": 3}}, {"type": "string", "minLength": 3, "format": "email"}),
    ({"str": {"uuid": True}}, {"type": "string", "format": "uuid"}),
    ({"str": {"url": True}}, {"type": "string", "format": "uri"}),
    ({"str": {"datetime": True}}, {"type": "string", "format": "date-time"}),
    ({"str": {"regex": "^a+$", "max": 3}}, {"type": "string", "pattern": "^a+$", "maxLength": 3}),
    ({"num": {"int": True, "min": 1, "max": 5}}, {"type": "integer", "minimum": 1, "maximum": 5}),
    (
        {"num": {"gt": 0, "lt": 10, "multipleOf": 2}},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 10, "multipleOf": 2},
    ),
    ({"describe": ["string", "words"]}, {"type": "string", "description": "words"}),
    ({"coerce": "number"}, {"type": "number"}),
    ({"record": "any"}, {"type": "object", "additionalProperties": {}}),
    ({"arr": "any"}, {"type": "array"}),
    ({"lit": None}, {"type": "null"}),
    ({"str": {"regex": "^a/b$"}}, {"type": "string", "pattern": r"^a\/b$"}),
    (
        {"nullable": {"default": ["number", 3]}},
        {"anyOf": [{"type": "number", "default": 3}, {"type": "null"}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), JSON_SCHEMAS, ids=lambda value: str(value))
def test_json_schema_of_a_member(schema: Any, expected: dict[str, Any]) -> None:
    optional = schema == "any" or "opt" in schema or "default" in str(schema)
    whole = {"type": "object", "properties": {"a": expected}, "additionalProperties": False}
    required: dict[str, Any] = {} if optional else {"required": ["a"]}
    assert json_schema({"obj": {"a": schema}}) == normalised({**whole, **required})


def test_json_schema_of_a_discriminated_root() -> None:
    schema = {"discriminated": ["k", [{"obj": {"k": {"lit": "a"}}}, {"obj": {"k": {"lit": "b"}}}]]}
    options = [
        {"type": "object", "properties": {"k": {"type": "string", "const": tag}}, "required": ["k"]}
        for tag in "ab"
    ]
    assert json_schema(schema) == normalised({"anyOf": options})


def test_json_schemas_that_differ_stay_different() -> None:
    one = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}
    for other in (
        {**one, "required": []},
        {**one, "properties": {"a": {"type": "string"}}},
        {**one, "properties": {"b": {"type": ["string", "null"]}}},
        {**one, "additionalProperties": {"type": "string"}},
    ):
        assert normalised(one) != normalised(other)


ENVIRONMENT = {
    "n": 2, "t": "x", "e": "", "z": None, "f": False, "l": [1, 2, 3], "o": {"p": {"q": 1}}, "d.k": 9
}  # fmt: skip
EXPRESSIONS = [
    (1, 1),
    ([{"$get": "n"}, {"$get": "missing"}], [2, None]),
    ({"a": {"$get": "n"}, "b": {"$get": "missing"}}, {"a": 2}),
    ({"$get": "o.p.q"}, 1),
    ({"$get": "l.1"}, 2),
    ({"$get": "l.7"}, MISSING),
    ({"$get": "t.p.q"}, MISSING),
    ({"$get": "z.p"}, MISSING),
    ({"$get": ""}, ENVIRONMENT),
    ({"$getk": ["d.k"]}, 9),
    ({"$getk": ["l", {"$sub": [{"$get": "n"}, 1]}]}, 2),
    ({"$lit": {"$get": "n"}}, {"$get": "n"}),
    ({"$not": {"$get": "e"}}, True),
    ({"$not": []}, False),
    ({"$not": {}}, False),
    ({"$not": {"$get": "missing"}}, True),
    ({"$not": 0}, True),
    ({"$len": {"$get": "l"}}, 3),
    ({"$len": {"$get": "missing"}}, 0),
    ({"$len": "\U0001f600"}, 2),
    ({"$exists": {"$get": "z"}}, False),
    ({"$exists": {"$get": "missing"}}, False),
    ({"$exists": {"$get": "f"}}, True),
    ({"$last": {"$get": "l"}}, 3),
    ({"$last": []}, MISSING),
    ({"$eq": [1, 1.0]}, True),
    ({"$eq": [1, True]}, False),
    ({"$eq": [1, "1"]}, False),
    ({"$eq": [{"$get": "z"}, {"$get": "missing"}]}, False),
    ({"$eq": [{"$get": "missing"}, {"$get": "missing"}]}, True),
    ({"$eq": [{"$get": "o"}, {"$get": "o"}]}, False),
    ({"$ne": [[], []]}, True),
    ({"$gt": [2, 1]}, True),
    ({"$gt": [1, 1]}, False),
    ({"$gte": [1, 1]}, True),
    ({"$gte": ["a", "b"]}, False),
    ({"$lt": ["10", "9"]}, True),
    ({"$lt": [10, 9]}, False),
    ({"$sub": [1, 2.5]}, -1.5),
    ({"$if": [{"$get": "t"}, 1, 2]}, 1),
    ({"$if": [{"$get": "e"}, 1, 2]}, 2),
    ({"$if": [{"$get": "e"}, 1]}, MISSING),
    ({"$add": [1, 2, 3]}, 6),
    ({"$add": [1, 2, "x"]}, "3x"),
    ({"$add": ["x", 1, None]}, "x1null"),
    ({"$add": [0.5, 0.5]}, 1),
    ({"$mul": [2, 3, 4]}, 24),
    ({"$concat": [1.0, " ", None, True, {"$get": "missing"}, [1, None], {"a": 1, "b": 2}]},
     "1 nulltrueundefined1,[object Object]"),
    ({"$and": [1, "x", []]}, True),
    ({"$and": [1, ""]}, False),
    ({"$or": [0, None, "x"]}, True),
    ({"$or": []}, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "expected"), EXPRESSIONS, ids=lambda value: repr(value)[:60]
)
def test_an_expression_has_its_value(expression: object, expected: object) -> None:
    result = evaluate(expression, ENVIRONMENT)
    assert result == expected
    assert type(result) is type(expected)


def test_an_unknown_operation_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\$new"):
        evaluate({"$new": 1}, {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"), (1e21, "1e+21"), (123456789012345680000, "123456789012345680000"),
        (1e-7, "1e-7"), (1e-6, "0.000001"), (-1.5e-10, "-1.5e-10"), (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"), (-0.0, "0"), (100, "100"),
        (123456789.123, "123456789.123"), (math.nan, "NaN"), (-math.inf, "-Infinity"),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers_are_written_as_javascript_writes_them(value: float, expected: str) -> None:
    assert text(value) == expected
    assert math.isnan(value) or number(expected) == float(value)


def test_values_json_cannot_hold() -> None:
    value = with_numbers({"a": [{"$js": "-0"}, {"$js": "Infinity"}], "b": {"$js": "NaN"}})
    assert math.copysign(1, value["a"][0]) == -1
    assert value["a"][1] == math.inf
    assert math.isnan(value["b"])
    assert not has_foreign_value({"a": [{"$js": "-0"}]})
    assert has_foreign_value({"a": [{"$js": "undefined"}]})


def test_names_of_subjects_and_events() -> None:
    content = {"orchestrator": {"name": "a.b.c"}}
    subject = encode_subject(content)
    named = with_subjects({"$subj:S1": ["read $subj:S1 -> null"]}, {"S1": content})
    assert named == {subject: [f"read {subject} -> null"]}
    steps = [[{"id": "x", "data": {"n": [5]}}]]
    assert with_references({"a": "$ref:s0.e0.id"}, steps) == {"a": "x"}
    assert with_references("$ref:s0.e0.data.n.0", steps) == 5
    assert with_references("<$ref:s0.e0.id>", steps) == "<x>"


A, B = "11111111-1111-4111-8111-111111111111", "22222222-2222-5222-8222-222222222222"


def test_ids_are_compared_up_to_a_consistent_renaming() -> None:
    expected = [{"id": "<id:1>"}, {"parentid": "<id:1>"}, {"id": "<id:2>"}]
    Comparison().same(expected, [{"id": A}, {"parentid": A}, {"id": B}])
    for other in ([A, B, B], [A, A, A], [A, A, "x"], [A, B, A]):
        actual = [{"id": other[0]}, {"parentid": other[1]}, {"id": other[2]}]
        with pytest.raises(Difference):
            Comparison().same(expected, actual)


def test_names_that_stand_for_ids() -> None:
    Comparison().same({"<id:1>": 1, "<id:2>": 2}, {A: 2, B: 1})
    Comparison().same(["<id:2>", {"<id:1>": 1, "<id:2>": 2}], [A, {A: 2, B: 1}])
    with pytest.raises(Difference):
        Comparison().same(["<id:1>", {"<id:1>": 1}], [A, {B: 1}])


def test_subjects_are_compared_by_what_they_hold() -> None:
    subject = encode_subject({"execution": {"id": A}, "meta": {}})
    shown = {"<subject:2>": {"execution": {"id": "<id:1>"}, "meta": {}}}
    Comparison(shown).same(["<subject:2>", "<subject:2>", "<id:1>"], [subject, subject, A])
    with pytest.raises(Difference):
        Comparison(shown).same("<subject:2>", encode_subject({"execution": {"id": A}}))
    with pytest.raises(Difference):
        Comparison(shown).same(["<id:1>", "<subject:2>"], [B, subject])


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, True), (True, 1), (1, "1"), (None, 0), ("", None), ([], {}), ([1], [1, 2]),
        ({"a": 1}, {"a": 1, "b": 1}), ({"a": 1, "b": 1}, {"a": 1}), ("<time>", "2024-01-01"),
        ("<stack>", ""), ("<stack>", None), ("a <id:1>", f"b {A}"), (1.5, 1.25),
    ],
    ids=repr,
)  # fmt: skip
def test_values_that_differ(expected: object, actual: object) -> None:
    with pytest.raises(Difference):
        Comparison().same(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, 1.0), (123456789012345680000, 1.2345678901234568e20), (math.nan, math.nan), (0, -0.0),
        ("<time>", "2024-01-01T00:00:00.000+00:00"), ("<stack>", "Traceback\n"), ([1], (1,)),
        (f"a <id:1> {A}", f"a {B} {A}"), ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
    ids=repr,
)  # fmt: skip
def test_values_that_are_the_same(expected: object, actual: object) -> None:
    Comparison().same(expected, actual)


def test_json_texts_are_compared_by_value_and_order() -> None:
    compare = Comparison().same_json_text
    compare('{"1":0,"b":1e21,"a":[{}]}', '{"b":1e+21,"a":[{}],"1":0}')
    for other in ('{"a":[{}],"b":1e21,"1":0}', '{"1":0,"b":2,"a":[{}]}'):
        with pytest.raises(Difference):
            compare('{"1":0,"b":1e21,"a":[{}]}', other)
