"""Payloads of plain JSON types are written in one pass, with the result of the longer way."""

import copy
import gc
import json
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired

import pytest
from hypothesis import given, strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    TypeAdapter,
    ValidationError,
    create_model,
)
from typing_extensions import TypedDict

from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    InvalidDataError,
    InvalidEventError,
    Payload,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_core._payload.wire_form import WireForm, event_form, wire_form


class Line(BaseModel):
    sku: str = Field(min_length=1)
    quantity: int = Field(default=1, ge=0)
    price: float | None = None


class Order(BaseModel):
    customer: str = Field(alias="customerName")
    lines: list[Line]
    by_day: dict[str, list[Line]] = {}
    gift: Line | None = None
    paid: bool = False


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = "none"
    sizes: list[float] = []
    lengths: dict[str, int] = Field(default_factory=dict)


class Tree(BaseModel):
    name: str
    above: "Tree | None" = None
    leaves: "list[Tree] | int" = 0


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    kind: Literal["square"]
    side: int | str


class Shapes(RootModel[dict[str, Annotated[Circle | Square, Field(discriminator="kind")]]]):
    pass


class Typed(TypedDict):
    name: str
    note: NotRequired[str | None]


class Free(BaseModel):
    model_config = ConfigDict(extra="allow")

    anything: Any = None
    bare: list = []  # type: ignore[type-arg]
    trees: dict[str, Tree] = {}


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, str_strip_whitespace=True)

    name: str
    number: int | None = None


KINDS: list[Any] = [Order, Whole, Tree, Shapes, TypeAdapter(Typed), Free, Strict]

strings = st.text(max_size=3)
scalars = strings | st.integers(-2, 9) | st.floats() | st.booleans() | st.none()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(strings, inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Make objects without some members, and with wrong values of others."""
    return st.fixed_dictionaries(
        {}, optional={name: st.one_of(member, member, scalars) for name, member in members.items()}
    )


lines = some(sku=strings, quantity=st.integers(-1, 9), price=st.none() | st.floats(), more=scalars)
trees: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: some(name=strings, above=st.none() | trees, leaves=st.lists(trees, max_size=2))
)
OBJECTS = {
    "Order": some(
        customerName=strings, customer=strings, lines=st.lists(lines, max_size=3), gift=lines,
        by_day=st.dictionaries(strings, st.lists(lines, max_size=2), max_size=2), paid=st.booleans(),
    ),
    "Whole": some(
        name=strings, sizes=st.lists(st.floats(), max_size=2),
        lengths=st.dictionaries(strings, st.integers(), max_size=2), more=scalars,
    ),
    "Tree": trees,
    "Shapes": st.dictionaries(
        strings,
        some(
            kind=st.sampled_from(["circle", "square"]),
            radius=st.floats(), side=st.integers() | strings,
        ),
        max_size=2,
    ),
    "Typed": some(name=strings, note=st.none() | strings),
    "Free": some(anything=anything, bare=st.lists(anything, max_size=2), more=anything, trees=trees),
    "Strict": some(name=strings, number=st.integers(), more=scalars),
}  # fmt: skip


def name_of(kind: Any) -> str:
    return "Typed" if isinstance(kind, TypeAdapter) else str(kind.__name__)


def written(payload: Payload[Any], data: Any) -> Any:
    """Return the result of `to_wire`, or the paths of the problems if it refuses."""
    try:
        return payload.to_wire(data)
    except InvalidDataError as error:
        return [problem.path for problem in error.problems]


def json_of(wire: Any) -> str:
    """Show types and values, without the order of members, which means nothing in JSON."""
    return json.dumps(wire, sort_keys=True)


def slow(kind: Any) -> Payload[Any]:
    payload = Payload[Any](kind)
    payload._wire_form = None
    return payload


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@given(st.data())
def test_one_pass_writes_what_the_longer_way_writes(kind: Any, data: st.DataObject) -> None:
    value = data.draw(OBJECTS[name_of(kind)])
    payload = Payload[Any](kind)
    assert payload._wire_form is not None
    assert json_of(written(payload, value)) == json_of(written(slow(kind), value))
    if isinstance(kind, TypeAdapter):
        return
    try:
        model = kind.model_validate(value)
    except ValidationError:
        return
    assert json_of(written(payload, model)) == json_of(written(slow(kind), model))
    name = data.draw(st.sampled_from(sorted(kind.model_fields)))
    setattr(model, name, data.draw(anything))
    fast_way, slow_way = written(payload, model), written(slow(kind), model)
    # One pass converts some values, such as 1 to True, that the longer way leaves to the reader.
    assert type(fast_way) is type(slow_way)
    if isinstance(fast_way, dict):
        assert payload.parse(fast_way) == payload.parse(slow_way)


class TestModels:
    def test_a_default_list_that_was_filled_in_place_is_written(self) -> None:
        class Filled(BaseModel):
            lines: list[Line] = []
            note: str | None = None

        filled = Filled()
        filled.lines.append(Line(sku="a"))
        assert Payload(Filled).to_wire(filled) == {"lines": [{"sku": "a", "quantity": 1}]}
        assert Payload(Filled).to_wire({}) == {"lines": []}

    def test_defaults_of_a_subclass_are_written(self) -> None:
        class Base(BaseModel):
            note: str | None = None

        class Holder(BaseModel):
            item: Base

        payload = Payload(Holder)

        class Sub(Base):
            note: str | None = "none given"

        assert payload.to_wire(Holder(item=Sub())) == {"item": {"note": "none given"}}

    def test_the_wire_form_shares_no_containers_with_the_data(self) -> None:
        given_data: dict[str, Any] = {"anything": {"a": [1]}, "bare": [[1]]}
        wire = Payload(Free).to_wire(given_data)
        wire["anything"]["a"].append(2)
        wire["bare"][0].append(2)
        assert given_data == {"anything": {"a": [1]}, "bare": [[1]]}

    def test_a_value_that_is_not_an_object_is_reported_by_the_longer_way(self) -> None:
        class Either(RootModel[list[int] | Line]):
            pass

        assert Payload(Either).to_wire(Either(Line(sku="a"))) == {"sku": "a", "quantity": 1}
        with pytest.raises(InvalidDataError, match="written as list, not as a JSON object"):
            Payload(Either).to_wire(Either([1]))

    @pytest.mark.parametrize("number", [math.nan, math.inf])
    def test_non_finite_numbers_are_reported_by_the_longer_way(self, number: float) -> None:
        for data in ({"sku": "a", "price": number}, Line(sku="a", price=number)):
            with pytest.raises(InvalidDataError, match=r"price: (nan|inf) is not a JSON number"):
                Payload[Any](Line).to_wire(data)


class Part(BaseModel):
    sku: str
    quantity: int = 1
    limit: int | None = 5
    size: float | None
    note: str | None = None
    parts: "list[Part]" = []
    by_name: "dict[str, Part | None]" = {}
    main: "Part | None" = None
    typed: Typed | None = None


class OtherPart(Part):
    """Has other defaults than its base class, and more members."""

    model_config = ConfigDict(extra="allow")

    quantity: int = 2
    limit: int | None = None
    size: float | None = None
    note: str | None = "none given"
    more: str | None = None


parts: st.SearchStrategy[Part] = st.deferred(
    lambda: st.builds(
        lambda kind, values, names: kind.model_construct(_fields_set=names, **values),
        st.sampled_from([Part, OtherPart]),
        st.fixed_dictionaries(
            {"sku": strings, "size": st.none() | st.floats(allow_nan=False)},
            optional={
                "quantity": st.integers(0, 3),
                "limit": st.none() | st.integers(4, 6),
                "note": st.none() | strings,
                "parts": st.lists(parts, max_size=2),
                "by_name": st.dictionaries(strings, st.none() | parts, max_size=2),
                "main": st.none() | parts,
                "typed": st.fixed_dictionaries(
                    {"name": strings}, optional={"note": st.none() | strings}
                ),
            },
        ),
        st.sets(st.sampled_from(sorted(Part.model_fields))),
    )
)


@given(parts)
def test_members_of_a_model_are_written_whatever_fields_set_says(part: Part) -> None:
    holder = Holding(part=part)
    payload = Payload[Any](Holding)
    assert payload._wire_form is not None
    assert payload._wire_form.takes_models
    wire = written(payload, holder)
    assert json_of(wire) == json_of(written(slow(Holding), holder))
    if isinstance(wire, dict):
        read_part = payload.parse(wire).part
        for name, value in part.__dict__.items():
            read = getattr(read_part, name, None)
            if name in Part.model_fields and not isinstance(value, Part | list | dict):
                assert repr(read) == repr(value)


class Holding(BaseModel):
    part: Part
    note: str | None = None


class Op(BaseModel, frozen=True):
    s: str = "a"
    n: int | None = None


def test_a_value_that_was_not_set_in_the_usual_way_is_written() -> None:
    payload = Payload(Op)
    assert payload.to_wire(Op.model_construct(_fields_set=set(), s="zz", n=5)) == {
        "s": "zz",
        "n": 5,
    }
    op = Op()
    object.__setattr__(op, "s", "b")
    assert payload.to_wire(op) == {"s": "b"}
    op = Op(n=None)
    op.__dict__["s"] = "c"
    assert payload.to_wire(op) == {"s": "c", "n": None}


def test_a_subclass_does_not_prevent_writing_in_one_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Part.__subclasses__()
    payload = Payload(Holding)
    monkeypatch.setattr(Payload, "_checked", None)
    holding = Holding(part=Part(sku="a", size=None, parts=[Part(sku="b", size=1.0)]))
    wire = payload.to_wire(holding)
    assert wire["part"]["parts"][0] == {
        "sku": "b", "quantity": 1, "limit": 5, "size": 1.0, "parts": [], "by_name": {}
    }  # fmt: skip


def test_polymorphic_serialization_is_respected() -> None:
    class Shape(BaseModel, polymorphic_serialization=True):
        name: str

    class Round(Shape):
        radius: int

    class Drawing(BaseModel):
        shape: Shape

    drawing = Drawing(shape=Round(name="a", radius=1))
    assert Payload(Drawing).to_wire(drawing) == {"shape": {"name": "a", "radius": 1}}


@pytest.mark.parametrize("as_model", [True, False])
def test_writing_a_payload_makes_no_models(as_model: bool) -> None:
    order = {"customerName": "Ann", "lines": [{"sku": "a", "price": 1.5} for _ in range(1000)]}
    payload = Payload[Any](Order)
    data = Order.model_validate(order) if as_model else order
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        wire = payload.to_wire(data)
        made = len(gc.get_objects()) - before
    finally:
        gc.enable()
    assert wire["lines"][999] == {"sku": "a", "quantity": 1, "price": 1.5}
    # The collector does not track a dict of strings and numbers, but it does track a model.
    assert made < 100


def made(payload: Payload[Any], write: Callable[[Any], dict[str, Any]], value: Any) -> Any:
    """Return the data of an event, or the paths of the problems if it is refused."""
    try:
        data = write(value)
        return ArvoEvent.create(source="com.a", type="com.a.b", subject="s", data=data).data
    except (InvalidDataError, InvalidEventError) as error:
        return type(error).__name__, [problem.path for problem in error.problems]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


class Spots(BaseModel):
    model_config = ConfigDict(extra="allow")

    text: str = ""
    number: int = 0
    numbers: dict[str, int] = {}
    anything: Any = None


UNFIT: list[Any] = [
    "\ud800", 10**400, -(10**400), math.inf, (1,), {1: 2}, {"\ud800": 1},
    nested(15), nested(16), nested(126), nested(127), nested(128), nested(250),
]  # fmt: skip


@pytest.mark.parametrize("name", ["text", "number", "numbers", "anything", "more"])
@pytest.mark.parametrize("unfit", UNFIT, ids=range(len(UNFIT)))
def test_data_that_no_event_may_contain_is_refused_by_both_ways(name: str, unfit: Any) -> None:
    payload = Payload(Spots)
    taken_over = made(payload, payload.to_event_data, {name: unfit})
    assert repr(taken_over) == repr(made(payload, payload.to_wire, {name: unfit}))


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@given(st.data())
def test_an_event_takes_over_only_data_that_it_would_accept(kind: Any, data: st.DataObject) -> None:
    value = data.draw(OBJECTS[name_of(kind)])
    payload = Payload[Any](kind)
    taken_over = made(payload, payload.to_event_data, value)
    copied = made(payload, payload.to_wire, value)
    assert repr(taken_over) == repr(copied)
    assert type(taken_over) is type(copied)
    if isinstance(kind, TypeAdapter):
        return
    try:
        model = kind.model_validate(value)
    except ValidationError:
        return
    assert repr(made(payload, payload.to_event_data, model)) == repr(
        made(payload, payload.to_wire, model)
    )


@pytest.mark.parametrize("name", ["Order", "Free"])
def test_events_share_no_containers_with_the_data_or_each_other(name: str) -> None:
    kind = {item.__name__: item for item in (Order, Free)}[name]
    given_data = {"customerName": "Ann", "lines": [{"sku": "a"}], "bare": [[1]], "more": {"a": {}}}
    for value in (given_data, kind.model_validate(given_data)):
        version = SimpleVersion("1.0.0", accepts=kind, emits=kind)
        contract = SimpleArvoContract(uri="#/a", type="a.b", versions=[version])
        factory = ArvoEventFactory(contract.version(version))
        before = copy.deepcopy(value)
        event, other = (factory.accepts(source="com.a.b", data=value) for _ in range(2))
        assert type(event.data) is dict
        before_clearing = other.to_json()
        for item in event.data.values():
            if isinstance(item, list | dict):
                item.clear()
        assert value == before
        assert other.to_json() == before_clearing


def test_data_of_a_recursive_type_is_checked_before_it_is_taken_over() -> None:
    payload = Payload(Tree)
    tree: dict[str, Any] = {"name": "a"}
    for _ in range(130):
        tree = {"name": "a", "above": tree}
    with pytest.raises(InvalidEventError, match="128 levels"):
        ArvoEvent.create(
            source="com.a", type="com.a.b", subject="s", data=payload.to_event_data(tree)
        )
    assert type(payload.to_event_data({"name": "a"})) is dict


@pytest.mark.parametrize("kind", [Line, Tree])  # a tree has no form of its own for events
def test_the_form_of_events_is_made_once_with_the_first_event(
    kind: type[BaseModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []

    def count(schema: Any, form: WireForm) -> WireForm | None:
        made.append(schema)
        return event_form(schema, form)

    monkeypatch.setattr("arvo_core._payload.payload.event_form", count)
    payload = Payload[Any](kind)
    assert made == []
    data = {"sku": "a"} if kind is Line else {"name": "a"}
    for _ in range(2):
        payload.to_event_data(data)
    assert len(made) == 1


def test_parsing_known_json_copies_containers_without_checking_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arvo_core._payload.payload._copied_object", None)
    data: dict[str, Any] = {"anything": {"a": [1]}, "bare": [{"a": [1]}], "more": {"a": [1]}}
    parsed = Payload(Free).parse(data, is_json=True)
    data["anything"]["a"].append(2)
    data["bare"][0]["a"].append(2)
    data["more"]["a"].append(2)
    one = {"a": [1]}
    assert parsed.model_dump(exclude_unset=True) == {"anything": one, "bare": [one], "more": one}


class Anything(BaseModel):
    lines: list[dict[str, Any]]
    note: str | None = None


def test_a_free_model_is_written_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Payload, "_checked", None)
    value = Anything(lines=[{"a": None, "b": [1.5, {}]}])
    assert Payload(Anything).to_wire(value) == {"lines": [{"a": None, "b": [1.5, {}]}]}
    value = Anything(lines=[], note=None)
    assert Payload(Anything).to_wire(value) == {"lines": [], "note": None}


def test_a_model_within_any_is_written_by_the_longer_way() -> None:
    hidden = Anything(lines=[{"a": Op()}])
    wire = Payload(Anything).to_wire(hidden)
    assert wire == slow(Anything).to_wire(hidden) == {"lines": [{"a": {"s": "a"}}]}


def form(kind: Any) -> WireForm | None:
    return wire_form(TypeAdapter(kind).core_schema)


class Named(BaseModel):
    model_config = ConfigDict(validate_by_name=True)

    name: str = Field(alias="Name")


class Clever(BaseModel):
    number: int = Field(default=3, validate_default=True)


class Far(BaseModel):
    numbers: list[int] = [1]


class Unmeasured(BaseModel):
    value: float = math.nan


class AllClever(BaseModel):
    model_config = ConfigDict(validate_default=True)

    number: int = 3


@pytest.mark.parametrize(
    "kind", [Named, Clever, AllClever, Far, Unmeasured, dict[int, int], tuple[int, ...]], ids=str
)
def test_a_type_that_is_not_written_as_it_is_read_has_no_wire_form(kind: Any) -> None:
    assert form(kind) is None


MEMBERS: list[Any] = [
    str, int, float, bool, int | float, str | None, Literal["a", 1], list[int], dict[str, int],
    Annotated[str, Field(min_length=1)], Annotated[int, Field(gt=0)], Annotated[float, Field(gt=0)],
    Annotated[list[int], Field(min_length=1)], Annotated[dict[str, int], Field(min_length=1)],
    Annotated[str, Field(pattern="^a")], Annotated[str | int, Field(union_mode="left_to_right")],
]  # fmt: skip
DEFAULTS: list[Any] = ["", "a", " a ", "1", 0, 1, True, False, 1.0, 0.5, [], {}]


@given(
    st.sampled_from(MEMBERS), st.sampled_from(DEFAULTS),
    st.sampled_from([{}, {"strict": True}, {"str_strip_whitespace": True}, {"str_min_length": 1}]),
    st.booleans(),
)  # fmt: skip
def test_a_default_that_the_type_does_not_read_is_not_written_in_one_pass(
    member: Any, default: Any, config: Any, optional: bool
) -> None:
    settings = ConfigDict(**config)  # type: ignore[typeddict-item]
    members: Any = {"sku": (str, ...), "value": (member, default)}
    inner: Any = create_model("Inner", __config__=settings, **members)
    members = {"inner": (inner, ...), "again": (list[inner], [])}
    note: Any = (str | None, None) if optional else (str, "a")
    kind = create_model("Outer", **members, note=note)
    data: dict[str, Any] = {"inner": {"sku": "a"}, "again": [{"sku": "a"}]}
    fast, slow_one = Payload[Any](kind), slow(kind)
    for given_data in (data, kind.model_validate(data)):
        assert repr(written(fast, given_data)) == repr(written(slow_one, given_data))


@pytest.mark.parametrize(
    ("member", "default"),
    [
        (Annotated[str, Field(min_length=1)], ""),
        (Annotated[int, Field(gt=0)], 0),
        (int, True),
        (float, 1),
        (Annotated[list[int], Field(min_length=1)], []),
    ],
    ids=str,
)
def test_a_type_with_an_invalid_default_has_no_wire_form(member: Any, default: Any) -> None:
    kind = create_model("Inner", value=(member, default))
    assert form(kind) is None
    assert form(create_model("Fit", value=(str, ""))) is not None


def test_a_default_that_the_receiver_would_refuse_is_not_written() -> None:
    class Unfit(BaseModel):
        sku: str
        quantity: int = Field(default=0, gt=0)

    with pytest.raises(InvalidDataError, match="quantity: Input should be greater than 0"):
        Payload(Unfit).to_wire({"sku": "a"})
