"""Normalises JSON schemas of two dialects, so that they can be compared."""

import json
from collections.abc import Mapping
from typing import Any

_DROPPED = {"$defs", "$ref", "$schema", "description", "discriminator", "title"}
_OF_SUBSCHEMAS = {"properties", "patternProperties"}


def normalised(schema: Mapping[str, Any]) -> Any:
    """Return the schema in a normal form.

    References are followed, descriptions are dropped, alternatives become one sorted `anyOf`,
    constants an `enum`, and the two ways to write a tuple become `prefixItems`.
    """
    return _value(schema, schema.get("$defs", {}))


def _value(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    followed = _followed(schema, definitions)
    kept: dict[str, Any] = {}
    for name, value in followed.items():
        match name:
            case _ if name in _DROPPED:
                continue
            case "additionalProperties" if isinstance(value, bool) or value == {}:
                continue
            case "items" if value == {}:
                continue
            case "pattern":
                kept[name] = value.replace(r"\/", "/")
            case "required":
                if value:
                    kept[name] = sorted(value)
            case "default" | "enum" | "const" | "examples":
                kept[name] = value
            case _ if name in _OF_SUBSCHEMAS:
                kept[name] = {key: _value(inner, definitions) for key, inner in value.items()}
            case "items" if isinstance(value, list):
                kept["prefixItems"] = [_value(inner, definitions) for inner in value]
            case "anyOf" | "oneOf" | "allOf" | "prefixItems":
                kept[name] = [_value(inner, definitions) for inner in value]
            case _:
                kept[name] = _value(value, definitions)
    return _with_alternatives(_with_constants(kept))


def _followed(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in schema.items() if name != "$ref"}
    if "$ref" not in schema:
        return own
    target = definitions[schema["$ref"].removeprefix("#/$defs/")]
    return _followed(target, definitions) | own


def _with_constants(schema: dict[str, Any]) -> dict[str, Any]:
    """Write a constant as an enum, whose values imply their types."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is None:
        return schema
    kept = {name: value for name, value in schema.items() if name not in ("const", "enum", "type")}
    return kept | ({"type": "null"} if values == [None] else {"enum": _sorted(values)})


def _with_alternatives(schema: dict[str, Any]) -> dict[str, Any]:
    options = _options(schema)
    if options is None:
        return schema
    for option in options:
        if "default" in option:
            schema = {"default": option["default"], **schema}
    options = [
        {name: value for name, value in option.items() if name != "default"}
        for option in options
        if option != {"not": {}}
    ]
    enums = [option["enum"] for option in options if set(option) == {"enum"}]
    others = [option for option in options if set(option) != {"enum"}]
    if enums:
        others.append({"enum": _sorted([value for values in enums for value in values])})
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf", "type")}
    if len(others) == 1:
        return others[0] | rest
    return rest | {"anyOf": _sorted(others)}


def _options(schema: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    if isinstance(schema.get("type"), list):
        return [{"type": name} for name in schema["type"]]
    listed = schema.get("anyOf", schema.get("oneOf"))
    if listed is None:
        return None
    flat: list[dict[str, Any]] = []
    for option in listed:
        flat += option["anyOf"] if set(option) == {"anyOf"} else [option]
    return flat


def _sorted(values: list[Any]) -> list[Any]:
    unique = {json.dumps(value, sort_keys=True): value for value in values}
    return [unique[key] for key in sorted(unique)]
