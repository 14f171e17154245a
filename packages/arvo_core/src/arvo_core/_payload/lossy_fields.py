"""Finds fields that, by their type, are not written in the form in which they are read."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import Secret, SecretStr, TypeAdapter

from arvo_core._errors import FieldProblem

from .core_schema import (
    INNER,
    ITEMS,
    MAY_RENAME,
    computed_fields_of,
    fields_of,
    finds_members,
    is_function,
    is_native,
    is_pydantics,
    nodes,
    nodes_of,
    read_names,
    takes_native_values,
)

_MASKED = (
    "is a secret, which pydantic writes as asterisks; use the type inside it, or a "
    "field_serializer that writes get_secret_value()"
)
_EXCLUDED = (
    "is read but never written (exclude=True); write it too, or keep the value in a PrivateAttr"
)
_INIT_ONLY = "is read but never written (InitVar); make it a field"
_JSON_TEXT = "is read as JSON text but written as the value in it (Json); use the type of the value"

_LITERAL = (
    "is written as a string, which its Literal does not read; use the enum itself, or strings"
)
_ENUM = "is written as a string, which its enum does not read; use strings or numbers as its values"


class _Place(NamedTuple):
    """The place of a schema, and what applies there."""

    path: tuple[str | int, ...] = ()
    config: Mapping[str, Any] = MappingProxyType({})
    renamed: bool = False  # whether a user's function may rename members before they are read
    computed: bool = False  # whether it is only written and never read


def lossy_fields(schema: Mapping[str, Any]) -> list[FieldProblem]:
    """List the fields that cannot survive being written and read again, each with a remedy.

    Only certain losses are listed: what a user's function writes is not known before there is a
    value. A class that is used in several places is reported at one of them.
    """
    return list(dict.fromkeys(_problems(schema)))


def _problems(schema: Mapping[str, Any]) -> Iterator[FieldProblem]:
    definitions: dict[str, Mapping[str, Any]] = {}
    # Types that refer to each other may be reached along very many paths.
    seen: set[tuple[str, int, bool, bool]] = set()
    pending = [(schema, _Place())]
    while pending:
        node, place = pending.pop()
        if node["type"] == "definitions":
            definitions |= {item["ref"]: item for item in node["definitions"]}
            pending.append((node["schema"], place))
            continue
        write = node.get("serialization", {}).get("function")
        if write in _masks():
            yield FieldProblem(path=place.path, message=_MASKED)
            continue
        if write is not None and not is_pydantics(write):
            continue
        if node["type"] == "definition-ref":
            pending.append((definitions[node["schema_ref"]], place))
            continue
        place = place._replace(
            config=node.get("config", place.config),
            renamed=place.renamed or node["type"] in MAY_RENAME,
        )
        if reference := node.get("ref"):
            way = (reference, id(place.config), place.renamed, place.computed)
            if way in seen:
                continue
            seen.add(way)
        if not place.computed:
            yield from _problems_of_node(node, place)
        pending += reversed(list(_inside(node, place)))


def _problems_of_node(node: Mapping[str, Any], place: _Place) -> Iterator[FieldProblem]:
    if problem := _problem_of_type(node, place.config):
        yield FieldProblem(path=place.path, message=problem)
    for name, field in fields_of(node).items():
        yield from _field_problems(name, field, place._replace(path=(*place.path, name)))


def _inside(node: Mapping[str, Any], place: _Place) -> Iterator[tuple[Mapping[str, Any], _Place]]:
    for name, field in fields_of(node).items():
        yield field["schema"], place._replace(path=(*place.path, name))
    for field in computed_fields_of(node, place.config):
        path = (*place.path, field["property_name"])
        yield field["return_schema"], place._replace(path=path, computed=True)
    for key in INNER:
        if key in node and key != "fields":
            inside = place._replace(path=(*place.path, "*")) if key in ITEMS else place
            for inner in nodes_of(node[key]):
                yield inner, inside


def _field_problems(name: str, field: Mapping[str, Any], place: _Place) -> Iterator[FieldProblem]:
    if field.get("serialization_exclude"):
        yield FieldProblem(path=place.path, message=_EXCLUDED)
    elif field.get("init_only"):
        yield FieldProblem(path=place.path, message=_INIT_ONLY)
    elif not place.renamed:
        written = field.get("serialization_alias", name)
        if written not in read_names(name, field, place.config):
            yield FieldProblem(
                path=place.path,
                message=f"is written as {written!r}, a name that is not read; "
                "give the field one alias for both",
            )


def _problem_of_type(node: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    match node["type"]:
        case "json":
            return _JSON_TEXT
        case "literal" if not all(map(is_native, node["expected"])):
            return _LITERAL
        case "enum" if not (finds_members(node) or takes_native_values(node)):
            return _ENUM
        case "bytes":
            written = config.get("ser_json_bytes", "utf8")
            read = config.get("val_json_bytes", "utf8")
            if written != read:
                return (
                    f"is written as {written} but read as {read}; "
                    "give ser_json_bytes and val_json_bytes one value"
                )
    return None


@cache
def _masks() -> frozenset[Any]:
    """Return the serializers that write a mask instead of the value."""
    return frozenset(
        node["serialization"]["function"]
        for kind in (SecretStr, Secret[int])
        for node in nodes(TypeAdapter[Any](kind).core_schema)
        if is_function(node.get("serialization"))
    )
