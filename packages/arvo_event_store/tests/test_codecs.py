"""Objects as events: dataclasses of JSON values, everything else by pydantic, upcasts."""

import dataclasses
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, TypeVar
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field

from arvo_event_store import (
    Aggregate,
    DataclassCodec,
    IEventCodec,
    InvalidEventError,
    JsonValue,
    MemoryEventStore,
    NewEvent,
    UnknownEventError,
    Upcast,
)
from arvo_event_store.pydantic import PydanticCodec

Key = NewType("Key", str)
T = TypeVar("T")


@dataclass(frozen=True)
class Everything:
    text: str
    number: int
    part: float
    flag: bool
    nothing: None
    maybe: int | None
    several: list[str | int]
    named: dict[str, list[float]]
    kind: Literal["a", 1]
    key: Key
    noted: Annotated[int, "a note"]
    anything: Any
    json: JsonValue
    lists: list  # type: ignore[type-arg] # that is the point
    left_out: str = "default"
    made: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Added:
    amount: int


@dataclass(frozen=True)
class Reset:
    pass


class Booked(BaseModel):
    model_config = ConfigDict(strict=True)

    day: date
    at: datetime
    price: Decimal
    of: UUID
    wishes: set[str] = Field(alias="wishesOf")


GIVEN: dict[str, Any] = {
    "text": "é",
    "number": 2**70,
    "part": 0.1,
    "flag": True,
    "nothing": None,
    "maybe": None,
    "several": ["a", 1],
    "named": {"x": [1.5, 2]},
    "kind": 1,
    "key": Key("k"),
    "noted": 7,
    "anything": {"a": [None]},
    "json": [True],
    "lists": [1, "a"],
}


async def stored(codec: IEventCodec, given: Any) -> Any:
    """Return what comes back of an object, through the log."""
    seen: list[Any] = []

    def evolve(_: None, event: Any) -> None:
        seen.append(event)

    aggregate = Aggregate[None, Any](
        category="c", events=[type(given)], initial=lambda: None, evolve=evolve, codec=codec
    )
    store = MemoryEventStore()
    await aggregate.act(store, "a", lambda _: [given])
    seen.clear()
    await aggregate.load(store, "a")
    (back,) = seen
    return back


async def test_dataclasses_of_json_values_come_back_equal() -> None:
    for given in (
        Everything(**GIVEN),
        Everything(**GIVEN, left_out="given", made=[1, 2]),
        Added(3),
        Reset(),
    ):
        back = await stored(DataclassCodec(), given)
        assert (back, type(back)) == (given, type(given))


async def test_a_field_with_a_default_may_be_missing() -> None:
    """An event stored before the field was added."""
    (kind,) = DataclassCodec().event_types([Everything])
    assert kind.load(GIVEN) == Everything(**GIVEN)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(("text", 1), ("text", None), ("number", 1.0), ("number", True), ("part", "1")),
        *(("part", False), ("flag", 1), ("nothing", 0), ("maybe", "1"), ("several", [None])),
        *(("several", "ab"), ("named", {"x": ["y"]}), ("named", []), ("kind", "b"), ("kind", True)),
        *(("kind", 1.0), ("key", 3), ("noted", "x"), ("lists", {})),
    ],
)
def test_a_value_of_another_type_is_neither_stored_nor_read(member: str, value: Any) -> None:
    (kind,) = DataclassCodec().event_types([Everything])
    wrong = {**GIVEN, member: value}
    with pytest.raises(TypeError, match=f"Everything.{member} must be"):
        kind.load(wrong)
    with pytest.raises(TypeError, match=f"Everything.{member} must be"):
        kind.dump(Everything(**wrong))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "it must be an object, got"),
        ({}, "Added.amount is missing"),
        ({"amount": 1, "more": 2}, "Added has no field 'more'"),
    ],
    ids=["no object", "a member is missing", "a member is unknown"],
)
def test_data_that_does_not_fit_a_dataclass_is_refused(data: Any, message: str) -> None:
    (kind,) = DataclassCodec().event_types([Added])
    with pytest.raises(TypeError, match=message):
        kind.load(data)


@dataclass
class WithDate:
    day: date


@dataclass
class WithNested:
    inner: list[Added]


@dataclass
class WithTuple:
    pair: tuple[int, int]


@dataclass
class WithKeys:
    by_number: dict[int, str]


@dataclass
class WithTypeVar:
    of: T  # type: ignore[valid-type] # that is the point


@dataclass
class WithoutInit:
    total: int = field(init=False, default=0)


@dataclass
class WithUnknownName:
    of: "Nowhere"  # type: ignore[name-defined] # noqa: F821 - that is the point


class NoDataclass:
    pass


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WithDate, "WithDate.day: date is not a JSON value"),
        (WithNested, "WithNested.inner: Added is not a JSON value"),
        (WithTuple, "WithTuple.pair: tuple.* is not a JSON value"),
        (WithKeys, "WithKeys.by_number: dict.* is not a JSON value"),
        (WithTypeVar, "WithTypeVar.of: T is not a JSON value"),
        (WithoutInit, "WithoutInit.total is not set by the constructor"),
        (NoDataclass, "NoDataclass must be a dataclass"),
    ],
)
def test_a_class_that_no_dataclass_codec_can_store_is_refused_at_construction(
    kind: type[Any], message: str
) -> None:
    """Naming the field and the way out."""
    with pytest.raises(TypeError, match=message) as caught:
        Aggregate[int, Any](
            category="c", events=[Added, kind], initial=int, evolve=lambda total, _: total
        )
    assert "PydanticCodec" in str(caught.value)


def test_annotations_that_cannot_be_resolved_are_refused() -> None:
    with pytest.raises(TypeError, match="of WithUnknownName cannot be resolved: name 'Nowhere'"):
        DataclassCodec().event_types([WithUnknownName])


async def test_pydantic_stores_everything_else() -> None:
    booked = Booked(
        day=date(2030, 1, 2),
        at=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        price=Decimal("1.10"),
        of=UUID(int=7),
        wishesOf={"quiet"},
    )
    back = await stored(PydanticCodec(), booked)
    assert (back, type(back)) == (booked, Booked)
    nested = await stored(PydanticCodec(), WithNested([Added(1)]))
    assert nested == WithNested([Added(1)])
    (kind,) = PydanticCodec().event_types([Booked])
    assert kind.dump(booked) == {
        "day": "2030-01-02",
        "at": "2030-01-02T03:04:05.678901Z",
        "price": "1.10",
        "of": str(UUID(int=7)),
        "wishesOf": ["quiet"],
    }


def test_pydantic_refuses_what_it_cannot_store() -> None:
    @dataclass
    class WithObject:
        what: NoDataclass

    with pytest.raises(TypeError, match="pydantic cannot store WithObject"):
        PydanticCodec().event_types([WithObject])
    (kind,) = PydanticCodec().event_types([WithNested])
    with pytest.raises(TypeError, match="WithNested cannot be stored"):
        kind.dump(WithNested([7]))  # type: ignore[list-item] # that is the point


def test_without_pydantic_the_command_is_named() -> None:
    code = (
        "import sys; sys.modules['pydantic'] = None\n"
        "try: import arvo_event_store.pydantic\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'arvo-event-store[pydantic]'" in done.stdout


async def test_data_that_pydantic_refuses_is_an_unknown_event() -> None:
    aggregate = Aggregate[int, Booked](
        category="c",
        events=[Booked],
        initial=int,
        evolve=lambda total, _: total + 1,
        codec=PydanticCodec(),
    )
    store = MemoryEventStore()
    await store.append("c-a", [NewEvent("Booked", {"day": "soon"})])
    with pytest.raises(UnknownEventError, match=r"'c-a', version 0: the data of 'Booked'"):
        await aggregate.load(store, "a")


# --- names and upcasts ------------------------------------------------------


@pytest.mark.parametrize("codec", [DataclassCodec, PydanticCodec])
async def test_an_event_may_have_another_name_than_its_class(codec: Any) -> None:
    store = MemoryEventStore()
    aggregate = Aggregate[int, Added | Reset](
        category="c",
        events=[Added, Reset],
        initial=int,
        evolve=lambda total, event: total + event.amount if isinstance(event, Added) else 0,
        codec=codec(names={Added: "amount added"}),
    )
    await aggregate.act(store, "a", lambda _: [Added(1), Reset(), Added(2)])
    assert [event.name async for event in store.read("c-a")] == [
        *("amount added", "Reset", "amount added"),
    ]
    assert (await aggregate.load(store, "a")).state == 2


@pytest.mark.parametrize("codec", [DataclassCodec, PydanticCodec])
async def test_older_data_goes_through_the_upcasts_from_its_schema(codec: Any) -> None:
    upcasts = [
        Upcast(event="Added", since=2, function=lambda data: {"amount": data["cents"] // 100}),
        Upcast(event="Added", since=1, function=lambda data: {"cents": data["n"] * 100}),
    ]
    store = MemoryEventStore()
    await store.append("c-a", [NewEvent("Added", {"n": 1})])
    await store.append("c-a", [NewEvent("Added", {"cents": 200}, meta={"schema": 1})])
    aggregate = Aggregate[list[int], Added](
        category="c",
        events=[Added],
        initial=list,
        evolve=lambda found, event: [*found, event.amount],
        codec=codec(upcasts=upcasts),
    )
    await aggregate.act(store, "a", lambda _: [Added(3)])
    events = [event async for event in store.read("c-a")]
    assert [event.meta for event in events] == [{}, {"schema": 1}, {"schema": 2}]
    assert (await aggregate.load(store, "a")).state == [1, 2, 3]
    await store.append("c-a", [NewEvent("Added", {"amount": 1}, meta={"schema": 3})])
    with pytest.raises(UnknownEventError, match="has schema 3, and this program knows it up to 2"):
        await aggregate.load(store, "a")


async def test_an_upcast_that_fails_is_an_unknown_event() -> None:
    upcast = Upcast(event="Added", since=1, function=lambda data: {"amount": data["n"]})
    (kind,) = DataclassCodec(upcasts=[upcast]).event_types([Added])
    aggregate = Aggregate[int, Added](
        category="c",
        events=[Added],
        initial=int,
        evolve=lambda total, event: total + event.amount,
        codec=DataclassCodec(upcasts=[upcast]),
    )
    store = MemoryEventStore()
    await store.append("c-a", [NewEvent("Added", {"m": 1})])
    with pytest.raises(UnknownEventError, match="does not fit: 'n'") as caught:
        await aggregate.load(store, "a")
    assert isinstance(caught.value.__cause__, KeyError)
    assert len(kind.upcasts) == 1


def _upcast(**changes: Any) -> Upcast:
    return dataclasses.replace(Upcast(event="Added", since=1, function=dict), **changes)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: _upcast(since=0), ValueError, "since must be at least 1"),
        (lambda: _upcast(since="1"), TypeError, "since must be an int"),
        (lambda: _upcast(event=""), InvalidEventError, "event must not be empty"),
        (lambda: _upcast(function=7), TypeError, "function must be callable"),
        (lambda: DataclassCodec(upcasts=[7]), TypeError, "upcasts must be a list of Upcast"),  # type: ignore[list-item]
        (lambda: DataclassCodec(upcasts=[_upcast(since=2)]), ValueError, "1 is missing or comes"),
        (lambda: DataclassCodec(upcasts=[_upcast(), _upcast()]), ValueError, "2 is missing or"),
        (lambda: DataclassCodec(names={"Added": Added}), TypeError, "names must be a type"),  # type: ignore[dict-item]
        (lambda: DataclassCodec(names={Added: ""}), InvalidEventError, "names must not be empty"),
        (lambda: DataclassCodec(names=[Added]), TypeError, "names must be a Mapping"),  # type: ignore[arg-type]
        (
            lambda: DataclassCodec(names={Reset: "r"}).event_types([Added]),
            ValueError,
            "names has classes that are not in events: Reset",
        ),
        (
            lambda: DataclassCodec(upcasts=[_upcast(event="Aded")]).event_types([Added]),
            ValueError,
            "upcasts for events that nobody has: Aded",
        ),
        (
            lambda: Aggregate[int, Any](
                category="c",
                events=[Added, Reset],
                initial=int,
                evolve=lambda total, _: total,
                codec=DataclassCodec(names={Reset: "Added"}),
            ),
            ValueError,
            "two classes must not have the same event name: Added, Added",
        ),
    ],
    ids=range(13),
)
def test_a_wrong_codec_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
