"""The time to make a contract grows with its types, not with the paths through them."""

from typing import Any

import pytest
from pydantic import BaseModel, Field, RootModel, SecretStr, create_model

from arvo_core import InvalidContractError, Payload
from budget import spend

WIDTH = 3


def layers(depth: int, last: Any) -> type[BaseModel]:
    """Models in layers of three, each of which refers to all of the next layer."""
    layer = [create_model(f"Leaf{index}", value=(last, ...)) for index in range(WIDTH)]
    for level in range(depth):
        fields: dict[str, Any] = {kind.__name__.lower(): (kind, ...) for kind in layer}
        layer = [create_model(f"L{level}N{index}", **fields) for index in range(WIDTH)]
    return layer[0]


def clique(count: int) -> type[BaseModel]:
    """Models that all refer to each other and to themselves."""
    names = [f"M{index}" for index in range(count)]
    fields: dict[str, Any] = {
        f"f_{name.lower()}": (list[name], Field(default=[]))  # type: ignore[valid-type]
        for name in names
    }
    known: dict[str, Any] = {}
    for name in names:
        known[name] = create_model(name, **fields)
    for kind in known.values():
        kind.model_rebuild(_types_namespace=known)
    first: type[BaseModel] = known[names[0]]
    return first


def roots(depth: int, last: Any) -> type[RootModel[Any]]:
    """Root models in layers of three, each of which may be any of the next layer."""
    layer: list[Any] = [last] * WIDTH
    for level in range(depth):
        either = layer[0] | layer[1] | layer[2]
        layer = [
            type(f"R{level}N{index}", (RootModel[either],), {"__module__": __name__})  # type: ignore[valid-type]
            for index in range(WIDTH)
        ]
    kind: type[RootModel[Any]] = layer[0]
    return kind


class Loop(RootModel["Loop | int"]):
    pass


class Chain(RootModel["list[int] | Chain | Leaf"]):
    pass


class Leaf(BaseModel):
    name: str


@pytest.mark.parametrize(
    "kind",
    [layers(14, str), clique(14), roots(12, Leaf), roots(12, dict[str, int])],
    ids=["layers", "clique", "models", "dicts"],
)
def test_cost_of_types_that_refer_to_each_other_is_bounded(kind: Any) -> None:
    payload = spend(lambda: Payload(kind), size=1_000)
    assert isinstance(payload, Payload)
    spend(payload.member_names, size=1_000)


def test_a_field_reached_along_many_paths_is_reported_once() -> None:
    error = spend(lambda: Payload(layers(8, SecretStr)), size=1_000)
    assert isinstance(error, InvalidContractError)
    assert len(error.problems) == WIDTH
    assert {problem.path[-1] for problem in error.problems} == {"value"}


def test_many_root_models_without_an_object_are_refused() -> None:
    error = spend(lambda: Payload(roots(12, int)), size=1_000)
    assert isinstance(error, InvalidContractError)
    assert "is not written as a JSON object" in str(error)


def test_root_models_may_refer_to_themselves() -> None:
    with pytest.raises(InvalidContractError, match="Loop is not written as a JSON object"):
        Payload(Loop)
    assert Payload(Chain).member_names() == {"name"}
