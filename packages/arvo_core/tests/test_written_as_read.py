"""Payloads are read back as they were written; other types and values are refused."""

import math
import re
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from pydantic import (
    AfterValidator,
    AliasPath,
    AnyUrl,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    Tag,
    TypeAdapter,
    WrapSerializer,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
)
from typing_extensions import TypedDict, override

from arvo_core import (
    ArvoContract,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ContractVersion,
    InvalidContractError,
    InvalidDataError,
    OrchestratorVersion,
    Payload,
    SimpleArvoContract,
    SimpleVersion,
)

HOUR = timedelta(hours=1)
WHEN = datetime(2026, 1, 31, tzinfo=UTC)


class Colour(Enum):
    RED = "red"


class Hidden(Enum):
    KEY = Path("key")


class Found(Enum):
    KEY = Path("key")

    @classmethod
    @override
    def _missing_(cls, value: object) -> "Found":
        return cls.KEY


class Cat(BaseModel):
    name: str


class Dog(BaseModel):
    name: str


class Puppy(Dog):
    age: int = 0


class Card(BaseModel):
    number: SecretStr


class Bird(BaseModel):
    kind: Literal["bird"]


class Holder(BaseModel):
    kind: Literal["holder"]
    card: Card


class Tree(BaseModel):
    above: "Tree | int | list[Tree] | None" = None


@dataclass
class Painted:
    colour: Literal[Colour.RED]


class Node(BaseModel):
    next: "Node | None" = None
    key: SecretStr | None = None


class Pair(NamedTuple):
    key: SecretStr
    name: str


class Typed(TypedDict):
    key: SecretStr


class WithExcluded(TypedDict):
    key: Annotated[str, Field(exclude=True)]


@dataclass
class Keyed:
    key: SecretStr


@dataclass
class Prepared:
    name: str
    seed: InitVar[int] = 0


@dataclass
class Counted:
    name: str
    count: int = field(init=False, default=0)


class Rich(BaseModel):
    """Ignores its members when it is compared."""

    name: Annotated[str, PlainSerializer(lambda name: name[:1])]

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rich)

    __hash__ = None  # type: ignore[assignment]


def cut(value: Any) -> Any:
    return round(value, 1) if isinstance(value, float) else value[:1]


def double(value: int) -> int:
    return value * 2


class Cut(BaseModel):
    name: str

    @field_serializer("name")
    def _cut(self, name: str) -> str:
        return name[:1]


class Ring(RootModel["Ring | Cut | list[Ring]"]):
    pass


class Number(RootModel[int]):
    pass


class Word(RootModel[str]):
    pass


class Chained(BaseModel):
    name: Annotated[str, PlainSerializer(cut)] = ""
    next: "Chained | None" = None


class Whole(BaseModel):
    name: str

    @model_serializer
    def _whole(self) -> dict[str, str]:
        return {"name": self.name[:1]}


class Plain:
    """Is compared by identity."""


def one_field(kind: Any, **config: Any) -> type[BaseModel]:
    return create_model(
        "One",
        __config__=ConfigDict(**config),  # type: ignore[typeddict-item]
        value=(kind, ...),
    )


def refusal(kind: Any) -> InvalidContractError:
    with pytest.raises(InvalidContractError) as caught:
        Payload(kind)
    return caught.value


def without_address(value: object) -> str:
    """Name a parameter in the same way in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))


class TestTypesThatAreRefused:
    """They are refused when the contract is made, with the path of the field and a remedy."""

    @pytest.mark.parametrize(
        ("kind", "path"),
        [
            (SecretStr, ("value",)),
            (SecretBytes, ("value",)),
            (Secret[date], ("value",)),
            (SecretStr | None, ("value",)),
            (list[SecretStr], ("value", "*")),
            (dict[str, SecretStr], ("value", "*")),
            (tuple[int, SecretStr], ("value", "*")),
            (Sequence[SecretStr], ("value", "*")),
            (Card, ("value", "number")),
            (list[Cat | Card], ("value", "*", "number")),
            (Annotated[Cat, Tag("cat")] | Annotated[Card, Tag("card")], ("value", "number")),
            (Node, ("value", "key")),
            (Pair, ("value", "key")),
            (Typed, ("value", "key")),
            (Keyed, ("value", "key")),
            (RootModel[dict[str, Card]], ("value", "*", "number")),
            (RootModel[Card], ("value", "number")),
            (Annotated[Bird | Holder, Field(discriminator="kind")], ("value", "card", "number")),
            (Annotated[SecretStr, AfterValidator(lambda key: key)], ("value",)),
        ],
        ids=without_address,
    )
    def test_a_secret_is_refused_anywhere_in_a_type(self, kind: Any, path: tuple[str, ...]) -> None:
        error = refusal(one_field(kind))
        assert [problem.path for problem in error.problems] == [path]
        assert "writes get_secret_value()" in str(error)

    @pytest.mark.parametrize(
        ("kind", "path"),
        [
            (SecretStr, ("token",)),
            (SecretStr | None, ("token",)),
            (list[SecretStr], ("token", "*")),
            (Card, ("token", "number")),
            (Node, ("token", "key")),
        ],
        ids=str,
    )
    def test_a_computed_secret_is_refused(self, kind: Any, path: tuple[str, ...]) -> None:
        class Signed(BaseModel):
            key: str

            @computed_field(return_type=kind)
            def token(self) -> Any:
                return None

        class Forbidding(Signed):
            model_config = ConfigDict(extra="forbid")

        [problem] = refusal(Signed).problems
        assert problem.path == path
        assert "is a secret" in problem.message
        [problem] = refusal(one_field(list[Signed])).problems
        assert problem.path == ("value", "*", *path)
        # A field that is not written is not checked.
        assert Payload(Forbidding).to_wire(Forbidding(key="a")) == {"key": "a"}

    def test_a_computed_field_need_not_be_read(self) -> None:
        class Signed(BaseModel):
            key: str

            @computed_field  # type: ignore[prop-decorator]
            @property
            def token(self) -> Json[int] | SecretStr | int:
                return 7

            @field_serializer("token")
            def _write_token(self, token: object) -> object:
                return token

        class Coloured(BaseModel):
            key: str

            @computed_field  # type: ignore[prop-decorator]
            @property
            def colour(self) -> Literal[Colour.RED]:
                return Colour.RED

        assert Payload(Signed).to_wire({"key": "a"}) == {"key": "a", "token": 7}
        assert Payload(Coloured).to_wire({"key": "a"}) == {"key": "a", "colour": "red"}

    @pytest.mark.parametrize(
        "kind",
        [
            create_model("Excluded", key=(str, Field(exclude=True))),
            create_model("ExcludedDefault", key=(str, Field(default="", exclude=True))),
            TypeAdapter(WithExcluded),
        ],
        ids=str,
    )
    def test_an_excluded_field_is_refused(self, kind: Any) -> None:
        [problem] = refusal(kind).problems
        assert problem.path == ("key",)
        assert "exclude=True" in problem.message

    def test_an_init_var_is_refused(self) -> None:
        [problem] = refusal(Prepared).problems
        assert (problem.path, "InitVar" in problem.message) == (("seed",), True)

    def test_json_text_is_refused(self) -> None:
        [problem] = refusal(one_field(Json[list[int]])).problems
        assert "use the type of the value" in problem.message

    @pytest.mark.parametrize("kind", [Literal["red", Colour.RED], Literal[b"red"]], ids=str)
    def test_a_literal_that_is_not_json_is_refused(self, kind: Any) -> None:
        [problem] = refusal(one_field(kind | None)).problems
        assert "use the enum itself, or strings" in problem.message

    def test_an_enum_whose_values_are_not_json_is_refused(self) -> None:
        [problem] = refusal(one_field(Hidden)).problems
        assert "use strings or numbers as its values" in problem.message

    @pytest.mark.parametrize(
        "config",
        [
            {"ser_json_bytes": "base64"},
            {"val_json_bytes": "hex"},
            {"ser_json_bytes": "base64", "val_json_bytes": "hex"},
        ],
        ids=str,
    )
    def test_bytes_in_two_encodings_are_refused(self, config: Any) -> None:
        [problem] = refusal(one_field(list[bytes], **config)).problems
        assert problem.path == ("value", "*")
        assert "give ser_json_bytes and val_json_bytes one value" in problem.message

    def test_a_serializer_of_another_field_does_not_hide_unread_names(self) -> None:
        class Renamed(BaseModel):
            path: Path
            count: int = Field(default=0, serialization_alias="number")
            first: int = Field(default=0, validation_alias=AliasPath("list", 0))

            @field_serializer("path")
            def _write_path(self, path: Path) -> str:
                return str(path)

        assert [problem.path for problem in refusal(Renamed).problems] == [("count",), ("first",)]

    def test_every_lossy_field_is_listed_once(self) -> None:
        class Many(BaseModel):
            one: Card
            two: Card
            three: Json[int]

        assert [problem.path for problem in refusal(Many).problems] == [
            ("one", "number"), ("three",)
        ]  # fmt: skip

    def test_errors_name_the_version_and_the_role_of_the_type(self) -> None:
        for make, where in (
            (lambda: SimpleVersion("1.2.0", accepts=Card, emits=Cat), "version 1.2.0, accepts: "),
            (lambda: SimpleVersion("1.2.0", accepts=Cat, emits=Card), "version 1.2.0, emits: "),
            (
                lambda: ContractVersion("1.0.0", accepts=Cat, emits={"evt.a.b": Card}),
                "version 1.0.0, emits 'evt.a.b': ",
            ),
            (lambda: OrchestratorVersion("1.0.0", init=Card, complete=Cat), "version 1.0.0, init"),
            (lambda: OrchestratorVersion("1.0.0", init=Cat, complete=Card), "1.0.0, complete: "),
        ):
            with pytest.raises(InvalidContractError, match=re.escape(where)) as caught:
                make()
            assert "Card has fields" in str(caught.value)
            assert "\n  number: is a secret" in str(caught.value)


class TestTypesThatAreAccepted:
    @pytest.mark.parametrize(
        ("kind", "value", "written"),
        [
            (UUID, UUID(int=1), str(UUID(int=1))),
            (Decimal, Decimal("1.10"), "1.10"),
            (datetime, datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00Z"),
            (timedelta, timedelta(microseconds=1), "PT0.000001S"),
            (Colour, Colour.RED, "red"),
            (Literal["a", 1], 1, 1),
            (Path, Path("/a"), "/a"),
            (IPv4Address, IPv4Address("1.2.3.4"), "1.2.3.4"),
            (AnyUrl, AnyUrl("http://a"), "http://a/"),
            (ByteSize, ByteSize(1000), 1000),
            (Base64Bytes, b"aGVsbG8=", "aGVsbG8="),
            (re.Pattern, re.compile("a"), "a"),
            (bytes, b"a", "a"),
            (complex, 1 + 2j, "1+2j"),
            (set[str], {"a"}, ["a"]),
            (dict[int, int], {7: 1}, {"7": 1}),
            (dict[int | str, int], {"a": 1}, {"a": 1}),
            (dict[Colour, int], {Colour.RED: 1}, {"red": 1}),
            (int | str | list[int] | Cat | None, Cat(name="a"), {"name": "a"}),
            (Literal["auto"] | int, "auto", "auto"),
            (Cat | Dog, Cat(name="a"), {"name": "a"}),
            (Tree, Tree(above=Tree(above=[Tree(above=1)])), {"above": {"above": [{"above": 1}]}}),
            (Found, Found.KEY, "key"),
            (datetime | str, "soon", "soon"),
            (SerializeAsAny[Dog], Dog(name="a"), {"name": "a"}),
            (Any, [1, (2, {"a": None})], [1, [2, {"a": None}]]),
            (Annotated[str, AfterValidator(str.strip)], " a ", "a"),
            (
                Annotated[SecretStr, PlainSerializer(lambda key: key.get_secret_value())],
                SecretStr("a"),
                "a",
            ),
            (Annotated[int, WrapSerializer(lambda number, write: write(number))], 1, 1),
        ],
        ids=without_address,
    )
    def test_accepted_types_are_written_and_read(self, kind: Any, value: Any, written: Any) -> None:
        model = one_field(kind)
        assert Payload(model).to_wire(model(value=value)) == {"value": written}

    def test_a_class_with_a_secret_may_be_written_by_a_serializer(self) -> None:
        name_only = PlainSerializer(lambda node: {"key": node.key.get_secret_value()})

        # Not Node: pydantic gives a recursive class the serializer for good, also for other tests.
        class Leaf(BaseModel):
            next: "Leaf | None" = None
            key: SecretStr | None = None

        class Two(BaseModel):
            one: Annotated[Leaf, name_only]
            two: Annotated[Leaf, name_only]

        node = Leaf(key=SecretStr("a"))
        assert Payload(Two).to_wire(Two(one=node, two=node)) == {
            "one": {"key": "a"}, "two": {"key": "a"}
        }  # fmt: skip

    def test_bytes_with_one_encoding_for_both_directions_are_accepted(self) -> None:
        model = one_field(bytes, ser_json_bytes="base64", val_json_bytes="base64")
        assert Payload(model).to_wire(model(value=b"a")) == {"value": "YQ=="}

    def test_private_attributes_and_computed_fields_are_not_compared(self) -> None:
        class Square(BaseModel):
            model_config = ConfigDict(extra="allow")

            side: int
            _drawn: bool = PrivateAttr(default=False)

            @computed_field  # type: ignore[prop-decorator]
            @property
            def area(self) -> int:
                return self.side**2

        square = Square(side=2, more=[1])
        square._drawn = True
        assert Payload(Square).to_wire(square) == {"side": 2, "more": [1], "area": 4}

    def test_only_declared_fields_of_a_subclass_are_compared(self) -> None:
        model = one_field(Annotated[Dog, AfterValidator(lambda dog: dog)])
        assert Payload(model).to_wire(model(value=Puppy(name="a", age=1))) == {
            "value": {"name": "a"}
        }

    def test_a_set_that_was_given_as_a_list_is_accepted(self) -> None:
        class Tagged(BaseModel):
            tags: set[str]
            path: Path = Path("/a")

        tagged = Tagged(tags={"a"})
        tagged.__dict__["tags"] = ["b"]
        assert Payload(Tagged).to_wire(tagged) == {"tags": ["b"], "path": "/a"}

    def test_sets_may_be_written_in_any_order(self) -> None:
        class Tagged(BaseModel):
            tags: set[str]

            @field_serializer("tags")
            def _backwards(self, tags: set[str]) -> list[str]:
                # The order differs the second time, as it may with any set.
                self.__dict__["tags"] = dict.fromkeys(sorted(tags))
                return sorted(tags, reverse=len(self.__pydantic_fields_set__) == 1)

        assert sorted(Payload(Tagged).to_wire(Tagged(tags={"a", "b"}))["tags"]) == ["a", "b"]

    def test_instances_without_equality_are_compared_by_their_written_form(self) -> None:
        class Holder(BaseModel):
            value: Annotated[
                Any, PlainSerializer(lambda _: "plain"), BeforeValidator(lambda _: Plain())
            ]

        assert Payload(Holder).to_wire(Holder(value="a")) == {"value": "plain"}


class Berlin(tzinfo):
    """Lacks the hour from 2 to 3 on 2026-03-29, and repeats it on 2026-10-25."""

    @override
    def utcoffset(self, when: datetime | None) -> timedelta:
        assert when is not None
        begins = datetime(2026, 3, 29, 2, tzinfo=UTC)
        ends = datetime(2026, 10, 25, 3, tzinfo=UTC)
        if when.fold:
            begins, ends = begins + HOUR, ends - HOUR
        return HOUR * (2 if begins <= when.replace(tzinfo=UTC, fold=0) < ends else 1)

    @override
    def dst(self, when: datetime | None) -> timedelta:
        return self.utcoffset(when) - HOUR

    @override
    def tzname(self, when: datetime | None) -> str:
        return "Berlin"

    @override
    def fromutc(self, when: datetime) -> datetime:
        raise NotImplementedError


class At(BaseModel, frozen=True):
    when: datetime


class TestValuesThatPythonFindsDifferent:
    """They count as unchanged, although `==` is false."""

    @given(
        st.sampled_from([date(2026, 3, 29), date(2026, 10, 25)]),
        st.integers(0, 180),
        st.booleans(),
    )
    def test_datetimes_in_the_hour_when_clocks_are_changed_are_accepted(
        self, day: date, minutes: int, fold: bool
    ) -> None:
        hour, minute = divmod(60 + minutes, 60)
        when = datetime.combine(day, time(hour, minute, fold=fold, tzinfo=Berlin()))

        class Meeting(BaseModel):
            room: Path = Path("/a")
            when: datetime
            others: set[datetime]
            models: frozenset[At]
            pair: tuple[datetime, int]
            by_time: dict[datetime, datetime]
            free: Any

        meeting = Meeting(
            when=when, others={when}, models=frozenset({At(when=when)}), pair=(when, 1),
            by_time={when: when}, free={"a": [when]},
        )  # fmt: skip
        written = Payload(Meeting).to_wire(meeting)
        assert Payload(Meeting).parse(written).when.astimezone(UTC) == when.astimezone(UTC)

    @pytest.mark.parametrize(
        "value", [Decimal("NaN"), Decimal("-NaN12"), Decimal("Infinity")], ids=str
    )
    def test_decimals_that_are_not_finite_are_accepted(self, value: Decimal) -> None:
        class Measured(BaseModel):
            path: Path = Path("/a")
            value: Annotated[Decimal, Field(allow_inf_nan=True)]

        assert Payload(Measured).to_wire(Measured.model_construct(value=value)) == {
            "path": "/a", "value": str(value)
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("kind", "value", "written"),
        [
            (complex, complex(math.nan, 1), "NaN+1j"),
            (Annotated[float, PlainSerializer(str)], math.nan, "nan"),
            (set[Annotated[float, PlainSerializer(str)]], {math.nan}, ["nan"]),
        ],
        ids=str,
    )
    def test_nan_that_is_written_as_a_string_is_accepted(
        self, kind: Any, value: Any, written: Any
    ) -> None:
        model = one_field(kind)
        assert Payload(model).to_wire(model(value=value)) == {"value": written}


class TestValuesThatChange:
    """Values that no type vouches for are compared when written, and refused with their path."""

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            (Cat | Dog, Dog(name="a")),
            (datetime | str, datetime(2026, 1, 31, tzinfo=UTC)),
            (float | Decimal, Decimal("0.1")),
            (Number | int, Number(5)),
            (list[str | Word], [Word("a")]),
            (Ring | Word | str, Word("a")),
            (dict[int | str, int], {7: 1}),
            (Any, SecretStr("hunter2")),
            (Any, [Card(number=SecretStr("hunter2"))]),
            (Any, {7: 1}),
            (Any, {SecretStr("hunter2")}),
            (Any, Painted(Colour.RED)),
            (re.Pattern, re.compile("a", re.IGNORECASE)),
            (Annotated[datetime, PlainSerializer(lambda when: when + HOUR)], WHEN),
            (
                Annotated[set[datetime], PlainSerializer(lambda days: [d + HOUR for d in days])],
                {WHEN},
            ),
            (
                Annotated[dict[datetime, int], PlainSerializer(lambda days: {WHEN + HOUR: 1})],
                {WHEN: 1},
            ),
            (SerializeAsAny[Dog], Puppy(name="a", age=1)),
            (Annotated[float, PlainSerializer(lambda number: round(number, 1))], 1.25),
            (Annotated[str, PlainSerializer(lambda _: "***")], "hunter2"),
            (Annotated[int, AfterValidator(lambda number: number * 2)], 2),
            (Annotated[list[int], PlainSerializer(lambda numbers: numbers[::-1])], [1, 2]),
            (Rich, Rich(name="hunter2")),
            (list[Rich], [Rich(name="hunter2")]),
        ],
        ids=without_address,
    )
    def test_values_that_change_are_refused(self, kind: Any, value: Any) -> None:
        model = one_field(kind)
        with pytest.raises(InvalidDataError, match="changes when it is written") as caught:
            Payload(model).to_wire(model(value=value))
        assert {problem.path[0] for problem in caught.value.problems} == {"value"}
        assert "hunter2" not in str(caught.value)

    def test_a_field_without_init_that_was_changed_is_refused(self) -> None:
        counted = Counted("a")
        assert Payload(Counted).to_wire(counted) == {"name": "a", "count": 0}
        counted.count = 3
        with pytest.raises(InvalidDataError) as caught:
            Payload(Counted).to_wire(counted)
        assert [problem.path for problem in caught.value.problems] == [("count",)]

    def test_durations_written_in_one_unit_and_read_in_another_are_refused(self) -> None:
        model = one_field(timedelta, ser_json_temporal="milliseconds")
        with pytest.raises(InvalidDataError, match="value: is read back as a different value"):
            Payload(model).to_wire(model(value=timedelta(seconds=5)))

    def test_a_value_that_exclude_if_leaves_out_is_refused(self) -> None:
        model = create_model(
            "Some",
            note=(str, Field(default="", exclude_if=lambda note: note.startswith("draft"))),
        )
        payload = Payload(model)
        assert payload.to_wire(model(note="done")) == {"note": "done"}
        with pytest.raises(InvalidDataError) as caught:
            payload.to_wire(model(note="draft 1"))
        assert [problem.path for problem in caught.value.problems] == [("note",)]

    def test_a_member_that_a_model_serializer_leaves_out_is_refused(self) -> None:
        class Small(BaseModel):
            name: str
            note: str = ""

            @model_serializer
            def _name_only(self) -> dict[str, str]:
                return {"name": self.name}

        assert Payload(Small).to_wire(Small(name="a")) == {"name": "a"}
        with pytest.raises(InvalidDataError, match="note: is read back as a different value"):
            Payload(Small).to_wire(Small(name="a", note="b"))

    def test_the_serializer_that_rounds_is_named_with_the_remedy(self) -> None:
        class Stamped(BaseModel):
            when: datetime

            @field_serializer("when")
            def _in_milliseconds(self, when: datetime) -> str:
                return when.isoformat(timespec="milliseconds")

        payload = Payload(Stamped)
        assert payload.to_wire(Stamped(when=WHEN.replace(microsecond=5000))) == {
            "when": "2026-01-31T00:00:00.005+00:00"
        }
        with pytest.raises(InvalidDataError) as caught:
            payload.to_wire(Stamped(when=WHEN.replace(microsecond=5678)))
        [problem] = caught.value.problems
        assert problem.path == ("when",)
        assert problem.message.endswith(
            ": if the serializer Stamped._in_milliseconds rounds it or leaves something out, let a "
            "validator do that when the value is made, so that the value kept is the value sent"
        )

        class Rounding(Stamped):
            @field_validator("when")
            @classmethod
            def _to_milliseconds(cls, when: datetime) -> datetime:
                return when.replace(microsecond=when.microsecond // 1000 * 1000)

        rounded = Rounding(when=WHEN.replace(microsecond=5678))
        assert Payload(Rounding).to_wire(rounded)["when"] == "2026-01-31T00:00:00.005+00:00"

    @pytest.mark.parametrize(
        ("kind", "value", "path", "function"),
        [
            (list[Annotated[float, PlainSerializer(cut)]], [1.25], ("value", 0), "serializer cut "),
            (dict[str, Cut], {"a": Cut(name="ab")}, ("value", "a", "name"), "serializer Cut._cut "),
            (Cut | None, Cut(name="ab"), ("value", "name"), "serializer Cut._cut "),
            (Chained, Chained(next=Chained(name="ab")), ("value", "next", "name"), "serializer cut "),
            (Whole, Whole(name="ab"), ("value", "name"), "serializer Whole._whole "),
            (Ring, Ring(Cut(name="ab")), ("value", "root", "name"), "serializer Cut._cut "),
            (Annotated[int, AfterValidator(double)], 2, ("value",), "validator double "),
            (Annotated[float, PlainSerializer(partial(round, ndigits=1))], 1.25, ("value",),
             "serializer partial "),
        ],
        ids=without_address,
    )  # fmt: skip
    def test_the_function_that_changed_a_value_is_named(
        self, kind: Any, value: Any, path: Any, function: str
    ) -> None:
        model = one_field(kind)
        with pytest.raises(InvalidDataError) as caught:
            Payload(model).to_wire(model(value=value))
        messages = {problem.path: problem.message for problem in caught.value.problems}
        assert f"the {function}" in messages[path]

    def test_no_function_is_named_if_there_is_none(self) -> None:
        model = one_field(Cat | Dog)
        with pytest.raises(InvalidDataError) as caught:
            Payload(model).to_wire(model(value=Dog(name="a")))
        assert [problem.message for problem in caught.value.problems] == [
            "is read back as a different value"
        ]

    def test_a_value_whose_comparison_fails_is_refused(self) -> None:
        class Matrix:
            @override
            def __eq__(self, other: object) -> bool:
                raise TypeError("ambiguous")

            __hash__ = None  # type: ignore[assignment]

        class Holder(BaseModel):
            value: Annotated[Any, PlainSerializer(lambda _: "matrix")]

        with pytest.raises(InvalidDataError, match="value: is read back as a different value"):
            Payload(Holder).to_wire(Holder(value=Matrix()))

    def test_a_factory_names_the_event(self) -> None:
        version = SimpleVersion("1.0.0", accepts=one_field(Cat | Dog), emits=Cat)
        contract = SimpleArvoContract(uri="#/pet", type="pet.groom", versions=[version])
        with pytest.raises(
            InvalidDataError, match=r"com\.pet\.groom of #/pet/1\.0\.0: One changes"
        ):
            ArvoEventFactory(contract.version("1.0.0")).accepts(
                source="com.app.main", data={"value": Dog(name="a")}
            )


class TestNamesThatWouldBePrefixedTwice:
    VERSION = SimpleVersion("1.0.0", accepts=Cat, emits=Dog)

    @pytest.mark.parametrize(
        ("type", "meant"),
        [("com.p.c", "p.c"), ("com.p", "p"), ("evt.p.c", "p.c"), ("com.com.p.c", "com.p.c")],
    )
    def test_the_type_of_a_simple_contract_is_refused(self, type: str, meant: str) -> None:
        with pytest.raises(InvalidContractError, match=f"write {meant!r}"):
            SimpleArvoContract(uri="#/p", type=type, versions=[self.VERSION])

    def test_the_name_of_an_orchestrator_is_refused(self) -> None:
        version = OrchestratorVersion("1.0.0", init=Cat, complete=Dog)
        with pytest.raises(InvalidContractError, match="write 'order'"):
            ArvoOrchestratorContract(uri="#/p", name="arvo.orc.order", versions=[version])

    @pytest.mark.parametrize("type", ["command.run", "events.keep", "a.com.b"])
    def test_types_that_only_resemble_a_prefix_are_accepted(self, type: str) -> None:
        contract = SimpleArvoContract(uri="#/p", type=type, versions=[self.VERSION])
        assert contract.type == f"com.{type}"

    def test_a_contract_that_adds_no_prefix_accepts_any_type(self) -> None:
        version = ContractVersion("1.0.0", accepts=Cat, emits={"evt.com.p": Dog})
        assert ArvoContract(uri="#/p", type="com.com.p", versions=[version]).type == "com.com.p"
