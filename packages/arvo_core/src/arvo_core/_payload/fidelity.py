"""Decides, per schema, whether written values are certain to be read back as the same values."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from .core_schema import finds_members, is_free, nodes, takes_native_values

_NATIVE = frozenset({"str", "int", "float", "bool", "none", "literal"})
_OBJECTS = frozenset({"model", "dataclass", "typed-dict", "dict"})
_ARRAYS = frozenset({"list", "tuple", "set", "frozenset", "deque", "named-tuple"})
_WRITTEN_AS_STRINGS = frozenset({"date", "time", "datetime", "decimal", "uuid"})
_STRUCTURE = frozenset(
    ("model-fields", "model-field", "dataclass-args", "dataclass-field", "typed-dict-field",
     "named-tuple-field", "definitions", "definition-ref", "nullable", "default")
)  # fmt: skip
_SURE = _NATIVE | _OBJECTS | _ARRAYS | _WRITTEN_AS_STRINGS | _STRUCTURE
"""Types whose values are always read back as they were written."""
_FORMATS = frozenset(
    ("ser_json_timedelta", "ser_json_temporal", "ser_json_bytes", "ser_json_inf_nan",
     "val_json_bytes", "val_temporal_unit", "polymorphic_serialization")
)  # fmt: skip
"""Settings with which a class writes or reads in its own way."""


class Fidelity(NamedTuple):
    """How far a schema guarantees that its values are read back unchanged."""

    sure: bool
    """True if every value is read back as it was written, so none needs to be compared."""
    writes_its_own_way: bool
    """True if functions are involved, or values are not written as the type declares, so that only
    writing again shows what became of a value."""
    tells_apart: bool
    """True if `sure` holds except where the type accepts anything."""
    free: bool
    """True if the type accepts anything somewhere, as in an `Any`, and reads plain JSON there."""
    equality_tells: bool
    """True if equal values have equal content, since no class of the user's redefines equality."""


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
            # Keys are written as strings, which a union may read as another of its members.
            return node["keys_schema"]["type"] in _NATIVE | _WRITTEN_AS_STRINGS | {"enum"}
        case "dataclass-field":
            return bool(node.get("init", True))
        case kind:
            return kind in _SURE


def _tells_apart(choices: list[Mapping[str, Any]]) -> bool:
    """Return whether the written form shows which of a union's members it is."""
    # A root model is written as its root, which another member may accept.
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
