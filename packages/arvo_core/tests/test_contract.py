"""Contracts of services: `ArvoContract` and `SimpleArvoContract`."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter

from arvo_core import (
    ArvoContract,
    ContractVersion,
    InvalidContractError,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
    UnknownVersionError,
    is_orchestrator_event_type,
)


class Place(BaseModel):
    item: str


class Placed(BaseModel):
    id: str
    note: str | None = None


class Rejected(BaseModel):
    reason: str


V1 = ContractVersion("1.0.0", accepts=Place, emits={"evt.order.placed": Placed})
V2 = ContractVersion(
    "2.0.0", accepts=Place, emits={"evt.order.placed": Placed, "evt.order.rejected": Rejected}
)
V10 = ContractVersion("10.0.0", accepts=Place, emits={})


def contract(**changes: Any) -> ArvoContract:
    values: dict[str, Any] = {"uri": "#/org/order", "type": "com.order.place", "versions": [V1, V2]}
    return ArvoContract(**(values | changes))


def version(text: str) -> ContractVersion[Place]:
    return ContractVersion(text, accepts=Place, emits={})


class TestVersions:
    def test_versions_are_ordered_by_number(self) -> None:
        order = contract(versions=[V10, V2, V1])
        assert order.versions == ("1.0.0", "2.0.0", "10.0.0")
        assert order.version("latest").version == "10.0.0"
        assert order.version("any").version == "10.0.0"
        assert order.version("oldest").version == "1.0.0"

    def test_versions_are_found_by_object_and_by_string(self) -> None:
        order = contract()
        assert order.version(V1) is order.version("1.0.0")
        assert order.version(V1).definition is V1

    @pytest.mark.parametrize("text", ["3.0.0", "0.0.0", "1.0", "01.0.0", ""])
    def test_error_about_an_unknown_version_names_the_known_ones(self, text: str) -> None:
        with pytest.raises(UnknownVersionError, match=r"it has 1\.0\.0, 2\.0\.0") as caught:
            contract().version(text)
        assert caught.value.version == text

    def test_a_definition_of_another_contract_is_unknown(self) -> None:
        with pytest.raises(UnknownVersionError, match="accepts=Place"):
            contract().version(version("1.0.0"))
        with pytest.raises(UnknownVersionError):
            contract().version(V10)

    @pytest.mark.parametrize(
        "text", ["", "1", "1.0", "v1.0.0", "1.0.0-beta", "1.0.0 garbage", "1.0.0\n", "\u0661.0.0"]
    )
    def test_malformed_versions_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidContractError, match="must be three numbers"):
            contract(versions=[version(text)])

    @pytest.mark.parametrize("text", ["0.0.0", "00.0.0", "0.000.0"])
    def test_every_spelling_of_the_wildcard_is_reserved(self, text: str) -> None:
        with pytest.raises(InvalidContractError, match="reserved for 'any version'"):
            contract(versions=[version(text)])

    @pytest.mark.parametrize("text", ["1.0.0", "01.0.0", "1.00.0"])
    def test_equal_numbers_are_the_same_version(self, text: str) -> None:
        with pytest.raises(InvalidContractError, match="are the same; keep one"):
            contract(versions=[V1, version(text)])

    def test_at_least_one_version_is_needed(self) -> None:
        with pytest.raises(InvalidContractError, match="at least one version"):
            contract(versions=[])

    @pytest.mark.parametrize(
        "wrong",
        ["1.0.0", Place, SimpleVersion("1.0.0", accepts=Place, emits=Placed)],
        ids=["string", "model", "another-kind"],
    )
    def test_versions_must_be_of_the_contracts_kind(self, wrong: Any) -> None:
        with pytest.raises(InvalidContractError, match="use ContractVersion"):
            contract(versions=[wrong])


class TestDefinition:
    @pytest.mark.parametrize("uri", ["", "a b", "é", "%2F", "#/org/[x]"])
    def test_uri_is_percent_encoded_and_not_empty(self, uri: str) -> None:
        with pytest.raises(InvalidContractError, match="non-empty and percent-encoded"):
            contract(uri=uri)

    @pytest.mark.parametrize(
        "type", ["", "order", "order.place", "com.Order.place", "com..place", "com.order.place\n"]
    )
    def test_type_has_three_segments_or_more(self, type: str) -> None:
        with pytest.raises(InvalidContractError, match="three or more segments"):
            contract(type=type)

    @pytest.mark.parametrize("domain", ["", "Partner", "a_b", "a\n"])
    def test_domain_is_checked(self, domain: str) -> None:
        with pytest.raises(InvalidContractError, match="the domain"):
            contract(domain=domain)

    @pytest.mark.parametrize("domain", ["partner.eu", "domain.contract.self.inherit", "a"])
    def test_domain_may_be_symbolic(self, domain: str) -> None:
        assert contract(domain=domain).version(V1).domain == domain

    def test_the_reserved_prefix_ends_at_a_dot(self) -> None:
        assert contract(type="arvo.orchard.pick").type == "arvo.orchard.pick"
        assert contract(type="arvo.orcs.pick").type == "arvo.orcs.pick"
        assert not is_orchestrator_event_type("arvo.orchard.pick")
        with pytest.raises(InvalidContractError, match="use ArvoOrchestratorContract"):
            contract(type="arvo.orc.pick")

    def test_the_reserved_prefix_holds_for_emitted_types_too(self) -> None:
        emits = {"arvo.orchard.picked": Placed}
        fine = ContractVersion("1.0.0", accepts=Place, emits=emits)
        assert list(contract(versions=[fine]).version(fine).emits) == ["arvo.orchard.picked"]
        emits = {"arvo.orc.pick.done": Placed}
        with pytest.raises(InvalidContractError, match="reserved for orchestrators"):
            contract(versions=[ContractVersion("1.0.0", accepts=Place, emits=emits)])

    @pytest.mark.parametrize("type", ["order.placed", "Evt.order.placed", "evt.order.placed\n"])
    def test_emitted_types_are_checked(self, type: str) -> None:
        wrong = ContractVersion("1.0.0", accepts=Place, emits={type: Placed})
        with pytest.raises(InvalidContractError, match=r"version 1\.0\.0: emitted type"):
            contract(versions=[wrong])

    def test_the_first_broken_rule_is_reported(self) -> None:
        values: dict[str, Any] = {"type": "arvo.orc.x", "uri": "", "domain": "A", "versions": []}
        reported = []
        for name, fixed in (
            ("versions", []), ("type", "x"), ("uri", "#/x"), ("type", "com.a.b"), ("domain", None)
        ):  # fmt: skip
            values[name] = fixed
            with pytest.raises(InvalidContractError) as caught:
                contract(**values)
            reported.append(str(caught.value).partition(": ")[2].split()[:2])
        assert reported == [
            ["types", "that"], ["the", "uri"], ["the", "type"], ["the", "domain"], ["at", "least"]
        ]  # fmt: skip

    def test_messages_name_the_contract(self) -> None:
        with pytest.raises(
            InvalidContractError, match=r"'#/org/order' of type 'com\.order\.place'"
        ):
            contract(versions=[])

    def test_metadata_is_a_copy_that_cannot_be_changed(self) -> None:
        metadata = {"team": "sales"}
        order = contract(metadata=metadata)
        metadata["team"] = "other"
        assert order.metadata == {"team": "sales"}
        with pytest.raises(TypeError):
            order.metadata["team"] = "other"  # type: ignore[index]


class TestVersioned:
    def test_a_version_has_the_attributes_of_its_contract(self) -> None:
        order = contract(description="Places orders.", metadata={"team": "sales"}, domain="eu")
        one = order.version(V1)
        assert one.contract is order
        assert (one.uri, one.type, one.version) == ("#/org/order", "com.order.place", "1.0.0")
        assert (one.description, one.metadata) == ("Places orders.", {"team": "sales"})
        assert one.dataschema == "#/org/order/1.0.0"
        assert one.system_error_dataschema == "#/org/order/0.0.0"
        assert one.system_error_type == order.system_error_type == "sys.com.order.place.error"
        assert list(one.emits) == ["evt.order.placed"]
        assert one.accepts.parse({"item": "tea"}) == Place(item="tea")

    def test_one_definition_in_two_contracts_gives_two_dataschemas(self) -> None:
        a, b = contract(uri="#/a"), contract(uri="#/b")
        assert a.version(V1).dataschema != b.version(V1).dataschema

    def test_repr_names_contract_and_version(self) -> None:
        assert repr(contract()) == (
            "ArvoContract('#/org/order', type='com.order.place', versions=1.0.0, 2.0.0)"
        )
        assert "'#/org/order/1.0.0'" in repr(contract().version(V1))
        assert repr(V1) == "ContractVersion('1.0.0', accepts=Place)"


class TestJsonSchema:
    def test_json_schema_describes_every_version(self) -> None:
        schema = contract(versions=[V2, V1], metadata={"team": "sales"}).to_json_schema()
        assert json.loads(json.dumps(schema)) == schema
        assert schema["uri"] == "#/org/order"
        assert [item["version"] for item in schema["versions"]] == ["2.0.0", "1.0.0"]
        first = schema["versions"][0]
        assert first["accepts"]["type"] == "com.order.place"
        assert first["accepts"]["schema"]["required"] == ["item"]
        assert [item["type"] for item in first["emits"]] == [
            "evt.order.placed", "evt.order.rejected"
        ]  # fmt: skip
        assert first["systemError"]["type"] == "sys.com.order.place.error"
        assert set(first["systemError"]["schema"]["properties"]) == {
            "errorName", "errorMessage", "errorStack"
        }  # fmt: skip

    def test_json_schema_describes_one_version(self) -> None:
        schema = contract(description="Places orders.").version(V1).to_json_schema()
        assert (schema["uri"], schema["version"]) == ("#/org/order", "1.0.0")
        assert schema["description"] == "Places orders."

    def test_a_type_without_json_schema_is_refused(self) -> None:
        class Handle(BaseModel):
            model_config = ConfigDict(arbitrary_types_allowed=True)

            owner: ArvoContract

        order = contract(versions=[ContractVersion("1.0.0", accepts=Handle, emits={})])
        with pytest.raises(InvalidContractError, match="Handle has no JSON Schema"):
            order.to_json_schema()


class TestSimple:
    ONE = SimpleVersion("1.0.0", accepts=Place, emits=Placed)

    def test_event_types_follow_from_the_root_type(self) -> None:
        simple = SimpleArvoContract(uri="#/org/order", type="order.place", versions=[self.ONE])
        assert simple.type == "com.order.place"
        assert simple.system_error_type == "sys.com.order.place.error"
        assert list(simple.version(self.ONE).emits) == ["evt.order.place.success"]

    def test_one_definition_serves_several_contracts(self) -> None:
        emitted = [
            list(
                SimpleArvoContract(uri="#/x", type=root, versions=[self.ONE])
                .version("latest")
                .emits
            )
            for root in ("a.b", "c.b")
        ]
        assert emitted == [["evt.a.b.success"], ["evt.c.b.success"]]

    def test_metadata_names_the_kind_of_contract(self) -> None:
        simple = SimpleArvoContract(
            uri="#/x", type="a.b", versions=[self.ONE], metadata={"team": "x", "rootType": "mine"},
            domain="eu", description="d",
        )  # fmt: skip
        assert simple.metadata == {
            "team": "x", "contractType": "SimpleArvoContract", "rootType": "a.b"
        }  # fmt: skip
        assert (simple.domain, simple.description) == ("eu", "d")

    @pytest.mark.parametrize(
        "wrong", [V1, OrchestratorVersion("1.0.0", init=Place, complete=Placed)]
    )
    def test_versions_of_other_kinds_are_refused(self, wrong: Any) -> None:
        with pytest.raises(InvalidContractError, match="use SimpleVersion"):
            SimpleArvoContract(uri="#/x", type="a.b", versions=[wrong])


class Ping(BaseModel):
    n: int


PING_V1 = SimpleVersion("1.0.0", accepts=Ping, emits=TypeAdapter(Ping))
PING = SimpleArvoContract(uri="#/ping", type="a.ping", versions=[PING_V1], metadata={"x": 1})


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda contract: pickle.loads(pickle.dumps(contract))],  # noqa: S301
    ids=["deepcopy", "pickle"],
)
def test_contracts_can_be_copied(copied: Callable[[ArvoContract], ArvoContract]) -> None:
    twin = copied(PING)
    assert twin.to_json_schema() == PING.to_json_schema()
    assert copied(PING).version("1.0.0").accepts.parse({"n": "1"}) == Ping(n=1)
