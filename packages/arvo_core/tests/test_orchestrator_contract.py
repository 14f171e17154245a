"""Contracts of workflows."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, computed_field
from typing_extensions import TypedDict

from arvo_core import (
    PARENT_SUBJECT,
    ArvoOrchestratorContract,
    InitPayload,
    InvalidContractError,
    InvalidDataError,
    OrchestratorEventTypes,
    OrchestratorVersion,
    SimpleVersion,
)


class Order(BaseModel):
    item: str
    note: str | None = None


class Shipped(BaseModel):
    tracking: str


V1 = OrchestratorVersion("1.0.0", init=Order, complete=Shipped)


def contract(**changes: Any) -> ArvoOrchestratorContract:
    values: dict[str, Any] = {"uri": "#/org/order", "name": "order.full", "versions": [V1]}
    return ArvoOrchestratorContract(**(values | changes))


class TestContract:
    def test_types_follow_from_the_name(self) -> None:
        order = contract()
        assert order.type == "arvo.orc.order.full"
        assert order.complete_type == "arvo.orc.order.full.done"
        assert order.system_error_type == "sys.arvo.orc.order.full.error"
        assert list(order.version(V1).emits) == [order.complete_type]
        assert OrchestratorEventTypes.of("order.full") == OrchestratorEventTypes(
            init=order.type, complete=order.complete_type, system_error=order.system_error_type
        )

    def test_metadata_names_the_kind_of_contract(self) -> None:
        assert contract(metadata={"team": "sales"}).metadata == {
            "team": "sales",
            "contractType": "ArvoOrchestratorContract",
            "rootType": "order.full",
            "completeEventType": "arvo.orc.order.full.done",
            "initEventType": "arvo.orc.order.full",
        }

    @pytest.mark.parametrize("name", ["", "Order", "order_full", "order\n", "order-full"])
    def test_name_is_checked(self, name: str) -> None:
        with pytest.raises(InvalidContractError, match="must consist of a-z, 0-9 and dots"):
            contract(name=name)

    @pytest.mark.parametrize("name", [".", "order.", "a..b"])
    def test_name_has_no_empty_segment(self, name: str) -> None:
        with pytest.raises(InvalidContractError, match="three or more segments"):
            contract(name=name)

    def test_versions_of_other_kinds_are_refused(self) -> None:
        wrong = SimpleVersion("1.0.0", accepts=Order, emits=Shipped)
        with pytest.raises(InvalidContractError, match="use OrchestratorVersion"):
            contract(versions=[wrong])


class ByAlias(BaseModel):
    parent: str | None = Field(default=None, alias=PARENT_SUBJECT)


class Read(BaseModel):
    parent: str | None = Field(
        default=None, validation_alias=AliasChoices("parent", PARENT_SUBJECT)
    )


class Written(BaseModel):
    @computed_field(alias=PARENT_SUBJECT)  # type: ignore[prop-decorator]
    @property
    def parent(self) -> str:
        return "x"


class Tagged(BaseModel):
    kind: Literal["tagged"]
    parent: str | None = Field(default=None, alias=PARENT_SUBJECT)


class Other(BaseModel):
    kind: Literal["other"]


Union = TypeAdapter(Annotated[Tagged | Other, Field(discriminator="kind")])
Typed = TypedDict("Typed", {"item": str, PARENT_SUBJECT: str})  # type: ignore[misc]


@pytest.mark.parametrize(
    "init",
    [ByAlias, Read, Written, Typed, TypeAdapter(Typed), Union, TypeAdapter(Other | ByAlias)],
    ids=str,
)
def test_init_must_not_define_the_parents_subject(init: Any) -> None:
    with pytest.raises(
        InvalidContractError, match=r"defines 'parentSubject\$\$'.*remove the field"
    ):
        OrchestratorVersion("1.0.0", init=init, complete=Shipped)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class TestInitPayload:
    PAYLOAD = InitPayload(Order)

    @pytest.mark.parametrize("parent", [None, "eJw="])
    def test_the_parents_subject_is_not_part_of_the_model(self, parent: str | None) -> None:
        order = self.PAYLOAD.parse({PARENT_SUBJECT: parent, "item": "tea"})
        assert order == Order(item="tea")

    def test_an_instance_is_returned_as_it_is(self) -> None:
        order = Order(item="tea")
        assert self.PAYLOAD.parse(order) is order

    def test_the_parents_subject_is_required(self) -> None:
        with pytest.raises(InvalidDataError, match=r"parentSubject\$\$: is required; null"):
            self.PAYLOAD.parse({"item": "tea"})

    @pytest.mark.parametrize("parent", ["", 7, []])
    def test_the_parents_subject_is_a_string_or_null(self, parent: object) -> None:
        with pytest.raises(InvalidDataError, match="non-empty string or null"):
            self.PAYLOAD.parse({PARENT_SUBJECT: parent, "item": "tea"})

    def test_all_problems_are_reported_together(self) -> None:
        with pytest.raises(InvalidDataError) as caught:
            self.PAYLOAD.parse({})
        assert [problem.path for problem in caught.value.problems] == [
            (PARENT_SUBJECT,), ("item",)
        ]  # fmt: skip

    def test_problems_of_the_model_are_reported_alone(self) -> None:
        with pytest.raises(InvalidDataError) as caught:
            self.PAYLOAD.parse({PARENT_SUBJECT: None})
        assert [problem.path for problem in caught.value.problems] == [("item",)]

    def test_the_parents_subject_is_the_first_member(self) -> None:
        wire = self.PAYLOAD.to_wire(Order(item="tea"), parent_subject="eJw=")
        assert list(wire.items()) == [(PARENT_SUBJECT, "eJw="), ("item", "tea")]

    def test_the_parent_in_the_data_takes_precedence(self) -> None:
        data = {PARENT_SUBJECT: None, "item": "tea"}
        assert self.PAYLOAD.to_wire(data, parent_subject="eJw=")[PARENT_SUBJECT] is None

    def test_an_empty_parent_is_refused(self) -> None:
        for data in (Order(item="tea"), {"item": "tea"}):
            with pytest.raises(InvalidDataError, match="non-empty string or null"):
                self.PAYLOAD.to_wire(data, parent_subject="")

    def test_the_parents_subject_is_refused_as_an_extra_member(self) -> None:
        data = Open.model_validate({PARENT_SUBJECT: "eJw="})
        with pytest.raises(InvalidDataError, match="must not be in the data; pass parent_subject"):
            InitPayload(Open).to_wire(data)

    def test_json_schema_has_the_parents_subject(self) -> None:
        schema = self.PAYLOAD.json_schema()
        assert schema["required"] == [PARENT_SUBJECT, "item"]
        assert list(schema["properties"]) == [PARENT_SUBJECT, "item", "note"]

    def test_json_schema_has_the_parents_subject_in_each_branch_of_a_union(self) -> None:
        class Forbidding(BaseModel):
            model_config = ConfigDict(extra="forbid")

            kind: Literal["a"]

        class Nested(BaseModel):
            model_config = ConfigDict(extra="forbid")

            kind: Literal["b"]
            inner: Forbidding

        union: Any = Annotated[Forbidding | Nested, Field(discriminator="kind")]
        schema = InitPayload[Any](TypeAdapter(union)).json_schema()
        assert [list(branch["properties"]) for branch in schema["oneOf"]] == [
            [PARENT_SUBJECT, "kind"], [PARENT_SUBJECT, "kind", "inner"]
        ]  # fmt: skip
        assert all(PARENT_SUBJECT in branch["required"] for branch in schema["oneOf"])
        assert PARENT_SUBJECT not in schema.get("properties", {})
        assert list(schema["$defs"]["Forbidding"]["properties"]) == ["kind"]

    def test_json_schema_of_a_recursive_type_has_the_parents_subject(self) -> None:
        class Node(BaseModel):
            model_config = ConfigDict(extra="forbid")

            next: "Node | None" = None

        schema = InitPayload(Node).json_schema()
        assert list(schema["properties"]) == [PARENT_SUBJECT, "next"]
        assert list(schema["$defs"]["Node"]["properties"]) == ["next"]

    def test_a_changed_model_is_refused(self) -> None:
        order = Order(item="tea")
        order.item = 7  # type: ignore[assignment]
        with pytest.raises(InvalidDataError, match="item: Input should be a valid string"):
            self.PAYLOAD.to_wire(order)
