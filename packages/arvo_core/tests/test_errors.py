"""Errors: their hierarchy, pickling and messages."""

import inspect
import pickle
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from arvo_core import (
    ArvoError,
    FieldProblem,
    InvalidDataError,
    InvalidValueError,
    Payload,
    UnknownVersionError,
    ViolationError,
)

PROBLEMS = [
    FieldProblem(path=("items", 0, "price"), message="must be a number"),
    FieldProblem(path=(), message="is required"),
]


def with_subclasses(kind: type[ArvoError]) -> Iterator[type[ArvoError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from with_subclasses(below)


KINDS = [kind for kind in with_subclasses(ArvoError) if kind.__module__.startswith("arvo_core")]

ARGUMENTS: dict[str, Any] = {
    "problems": PROBLEMS,
    "contract_uri": "#/org/order",
    "version": "9.0.0",
    "versions": ["1.0.0", "2.0.0"],
    "retryable": True,
    "metadata": {"subject": "order/7"},
}
"""A value for each keyword that a constructor may require."""


def make(kind: type[ArvoError]) -> ArvoError:
    parameters = inspect.signature(kind.__init__).parameters
    keywords = {name: value for name, value in ARGUMENTS.items() if name in parameters}
    takes_message = "message" in parameters or "args" in parameters
    return kind(*["it broke"] * takes_message, **keywords)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling_with_its_attributes(kind: type[ArvoError]) -> None:
    error = make(kind)
    error.add_note("while placing order 7")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
        assert type(twin) is kind
        assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_documented(kind: type[ArvoError]) -> None:
    tree = inspect.getdoc(inspect.getmodule(kind))
    assert kind.__doc__
    assert tree is not None
    assert kind.__name__ in tree.split()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, InvalidValueError)])
def test_a_broken_rule_is_a_value_error(kind: type[ArvoError]) -> None:
    assert issubclass(kind, ValueError)


def test_a_users_subclass_survives_pickling() -> None:
    error = OutOfStock("no tea", sku="tea-1")
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (twin.sku, twin.retryable, str(twin)) == ("tea-1", True, "no tea")


class OutOfStock(ViolationError):
    def __init__(self, message: str, *, sku: str) -> None:
        super().__init__(message, retryable=True, metadata={"sku": sku})
        self.sku = sku


def test_problems_are_listed_with_their_paths() -> None:
    error = InvalidValueError("invalid order", problems=PROBLEMS)
    assert error.problems == tuple(PROBLEMS)
    assert str(error) == ("invalid order\n  items.0.price: must be a number\n  (root): is required")


def test_a_message_can_always_be_encoded() -> None:
    problem = FieldProblem(path=("\ud800",), message="is not a name")
    error = InvalidValueError("bad", problems=[problem])
    assert str(error).encode() == b"bad\n  \\ud800: is not a name"
    assert error.problems == (problem,)


def test_unknown_version_error_names_the_contract_and_its_versions() -> None:
    error = UnknownVersionError(
        contract_uri="#/org/order", version="9.0.0", versions=["1.0.0", "2.0.0"]
    )
    assert str(error) == "contract '#/org/order' has no version '9.0.0'; it has 1.0.0, 2.0.0"
    assert (error.contract_uri, error.version) == ("#/org/order", "9.0.0")
    assert error.versions == ("1.0.0", "2.0.0")


def test_a_violation_is_not_retryable_by_default() -> None:
    metadata: dict[str, object] = {"subject": "order/7"}
    error = ViolationError("no", metadata=metadata)
    metadata.clear()
    assert (error.retryable, error.metadata) == (False, {"subject": "order/7"})
    assert ViolationError("no").metadata == {}


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def test_the_tag_of_a_union_is_not_shown() -> None:
    payload = Payload(TypeAdapter(Annotated[Cat | Dog, Field(discriminator="kind")]))
    with pytest.raises(InvalidDataError, match="kind' must be one of 'cat', 'dog'") as caught:
        payload.parse({"kind": "hunter2"})
    assert "hunter2" not in str(caught.value)
