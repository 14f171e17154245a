"""Whether what is written of a payload is sure to be read as the same value: decided per schema."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from .core_schema import finds_members, is_free, nodes, takes_native_values

_NATIVE = frozenset({"str", "int", "float", "bool", "none", "literal"})
_OBJECTS = frozenset({"model", "dataclass", "typed-dict", "dict"})
_ARRAYS = frozenset({"list", "tuple", "set", "frozenset", "deque", "named-tuple"})
_TEXTS = frozenset({"date", "time", "datetime", "decimal", "uuid"})
_STRUCTURE = frozenset(
    ("model-fields", "model-field", "dataclass-args", "dataclass-field", "typed-dict-field",
     "named-tuple-field", "definitions", "definition-ref", "nullable", "default")
)  # fmt: skip
_SURE = _NATIVE | _OBJECTS | _ARRAYS | _TEXTS | _STRUCTURE
"""Types whose values are read as they were written, whatever they are."""
_FORMATS = frozenset(
    ("ser_json_timedelta", "ser_json_temporal", "ser_json_bytes", "ser_json_inf_nan",
     "val_json_bytes", "val_temporal_unit", "polymorphic_serialization")
)  # fmt: skip
"""Settings by which a class writes or reads in its own way."""


class Fidelity(NamedTuple):
    """How far a schema vouches for its values."""

    sure: bool
    """Whether every value is read as it was written, so that none needs to be compared."""
    writes_its_own_way: bool
    """Whether functions have a say, or what is written is not what the type declares, so that only
    writing again tells what became of a value."""
    tells_apart: bool
    """Whether that is so but for what stands where anything may."""
    free: bool
    """Whether anything may stand somewhere, as in an `Any`, and is read as plain JSON there."""
    equality_tells: bool
    """Whether equal values hold the same, as no class of the user's says what equal is."""


def fidelity(schema: Mapping[str, Any]) -> Fidelity:
    """Judge a schema by its types."""
    every = list(nodes(schema))
    definitions = {node["ref"]: node for node in every if "ref" in node}
    free = any(map(is_free, every))
    own_way = any(map(_is_written_its_own_way, every))
    tells_apart = not own_way and all(
        is_free(node) or _is_sure(node, definitions) for node in every
    )
    return Fidelity(
        sure=tells_apart and not free,
        tells_apart=tells_apart,
        writes_its_own_way=own_way,
        free=free,
        equality_tells=not own_way
        and all(
            node["type"] == "model" and node["cls"].__eq__ is BaseModel.__eq__
            for node in every
            if "cls" in node and node["type"] in {"model", "dataclass"}
        ),
    )


def _is_written_its_own_way(node: Mapping[str, Any]) -> bool:
    return (
        node["type"].startswith("function-")
        or "serialization" in node
        or callable(node.get("discriminator"))
        or any(node.get(name) for name in ("serialization_exclude_if", "post_init", "custom_init"))
    )


def _is_sure(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    if not _FORMATS.isdisjoint(node.get("config") or {}):
        return False
    match node["type"]:
        case "union":
            return node.get("mode", "smart") == "smart" and _tells_apart(
                [_resolved(choice, definitions) for choice in node["choices"]]
            )
        case "tagged-union":
            return True
        case "enum":
            return not finds_members(node) and takes_native_values(node)
        case "dict":
            # Keys are written as text, which a union may take for another of its members.
            return node["keys_schema"]["type"] in _NATIVE | _TEXTS | {"enum"}
        case "dataclass-field":
            return bool(node.get("init", True))
        case kind:
            return kind in _SURE


def _tells_apart(choices: list[Mapping[str, Any]]) -> bool:
    """Return whether what is written tells which of a union's members it was."""
    # A root model is written as what it holds, which another member may take for its own.
    kinds = ["root" if choice.get("root_model") else choice["type"] for choice in choices]
    objects = sum(kind in _OBJECTS or kind == "tagged-union" for kind in kinds)
    arrays = sum(kind in _ARRAYS for kind in kinds)
    native = sum(kind in _NATIVE for kind in kinds)
    return objects <= 1 and arrays <= 1 and objects + arrays + native == len(kinds)


def _resolved(choice: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = choice[0] if isinstance(choice, tuple) else choice
    while schema["type"] in {"nullable", "default", "definition-ref"}:
        schema = (
            definitions[schema["schema_ref"]]
            if schema["type"] == "definition-ref"
            else schema["schema"]
        )
    return schema
