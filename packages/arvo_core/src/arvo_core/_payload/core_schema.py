"""Reads from pydantic's core schema of a type: its classes, their members, what it accepts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

INNER = (
    "schema", "items_schema", "keys_schema", "values_schema", "extras_schema", "lax_schema",
    "strict_schema", "json_schema", "python_schema", "choices", "fields", "definitions", "steps",
)  # fmt: skip
"""The keys of a schema that hold other schemas."""
ITEMS = frozenset({"items_schema", "keys_schema", "values_schema", "extras_schema"})
"""Those of them that describe items of the value, not the value itself."""
MAY_RENAME = frozenset({"function-before", "function-wrap", "function-plain"})
"""Types of schemas with a function that sees the members before they are read."""
_NEVER_AN_OBJECT = frozenset(
    ("list", "tuple", "set", "frozenset", "generator", "none", "bool", "int", "float", "decimal",
     "complex", "str", "bytes", "date", "time", "datetime", "timedelta", "literal", "uuid", "url",
     "multi-host-url")
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMembers:
    """The fields of a model or a dataclass, by their names in Python."""

    names: frozenset[str]
    """All fields."""
    optional: frozenset[str]
    """Fields that are None by default, and are then written as null."""
    unreadable: frozenset[str]
    """Computed fields, if the class forbids unknown members."""


def nodes(schema: object) -> Iterator[dict[str, Any]]:
    """Yield `schema` itself and then every schema within it, each of them once."""
    pending = list(nodes_of(schema))
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            pending += inner_nodes(node)


def inner_nodes(node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schemas directly inside `node`."""
    for key in INNER:
        if key in node:
            yield from nodes_of(node[key])


def nodes_of(item: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas that a key of a schema holds: one, a list of them, or a dict."""
    match item:
        case {"type": str()}:
            yield item
        case dict():
            for inner in item.values():
                yield from nodes_of(inner)
        case list() | tuple():
            for inner in item:
                yield from nodes_of(inner)
        case _:  # the label of a union's member
            pass


def class_members(schema: object) -> dict[type, ClassMembers]:
    """Describe every class that the schema writes."""
    found = {}
    for node in nodes(schema):
        if node["type"] in {"model", "dataclass"} and (inner := _owner_of_fields(node)):
            fields = fields_of(inner)
            forbids = node.get("config", {}).get("extra_fields_behavior") == "forbid"
            computed = inner.get("computed_fields", ()) if forbids else ()
            found[node["cls"]] = ClassMembers(
                names=frozenset(fields),
                optional=frozenset(name for name, field in fields.items() if _is_optional(field)),
                unreadable=frozenset(field["property_name"] for field in computed),
            )
    return found


def keeps_containers(schema: object) -> bool:
    """Return whether validation may keep a dict or a list as it was given."""
    return any(_keeps_containers(node) for node in nodes(schema))


def is_free(node: Mapping[str, Any]) -> bool:
    """Return whether a schema accepts anything, itself or as its items or members."""
    if (
        node.get("extra_behavior") == "allow"
        or (node.get("config") or {}).get("extra_fields_behavior") == "allow"
    ):
        return True
    match node["type"]:
        case "any":
            return True
        case "list" | "set" | "frozenset" | "deque":
            return "items_schema" not in node
        case "dict":
            return "values_schema" not in node or "keys_schema" not in node
        case _:
            return False


def class_taken_as_it_is(schema: Mapping[str, Any]) -> type | None:
    """Return the class whose instances validation returns unread; None if it reads them."""
    if schema["type"] == "definitions":
        named = {item["ref"]: item for item in schema["definitions"]}
        schema = schema["schema"]
        schema = named.get(schema.get("schema_ref"), schema)
    if schema["type"] != "model":
        return None
    config = schema.get("config") or {}
    rereads = schema.get("revalidate_instances") or config.get("revalidate_instances", "never")
    return schema["cls"] if rereads == "never" else None


def is_never_an_object(schema: Mapping[str, Any]) -> bool:
    """Return whether no value of the type is written as a JSON object."""
    return _is_never_an_object(schema, _Definitions())


def member_names(schema: Mapping[str, Any]) -> Iterator[str]:
    """Find the names of the JSON object's own members, read or written, in any union branch."""
    return _member_names(schema, _Definitions())


def is_function(serialization: Mapping[str, Any] | None) -> bool:
    """Return whether a function writes the value."""
    return serialization is not None and serialization["type"].startswith("function-")


def is_pydantics(function: object) -> bool:
    """Return whether a serializer or a validator is part of pydantic."""
    return str(getattr(function, "__module__", "")).startswith("pydantic.")


def is_native(value: object) -> bool:
    """Return whether a member of an enum or a `Literal` is written as it is."""
    return value is None or isinstance(value, str | int | float)


def finds_members(enum: Mapping[str, Any]) -> bool:
    """Return whether the enum defines `_missing_`, which may find members by other values."""
    return bool(enum["cls"]._missing_.__func__ is not Enum.__dict__["_missing_"].__func__)


def takes_native_values(enum: Mapping[str, Any]) -> bool:
    """Return whether an enum reads what it writes, because its values are strings and numbers."""
    return all(is_native(member.value) for member in enum["members"])


def fields_of(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the schemas of the fields that a schema declares, by their names in Python."""
    if schema["type"] not in {"model-fields", "dataclass-args", "typed-dict", "named-tuple"}:
        return {}
    fields = schema["fields"]
    return {field["name"]: field for field in fields} if isinstance(fields, list) else fields


def computed_fields_of(
    schema: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterable[dict[str, Any]]:
    """Return the computed fields that are written; none if the class forbids unknown members."""
    forbids = config.get("extra_fields_behavior") == "forbid"
    return () if forbids else schema.get("computed_fields", ())


def read_names(name: str, field: Mapping[str, Any], config: Mapping[str, Any]) -> set[str]:
    """Return the names under which a field is read."""
    alias = field.get("validation_alias")
    if alias is None:
        return {name}
    read = {name} if config.get("validate_by_name") or config.get("populate_by_name") else set()
    if config.get("validate_by_alias", True):
        paths = [[alias]] if isinstance(alias, str) else alias
        paths = paths if all(isinstance(path, list) for path in paths) else [paths]
        read |= {path[0] for path in paths if len(path) == 1}
    return read


class _Definitions:
    """Schemas of classes and other named types, each of which is followed only once.

    They may refer to each other in circles, and along any number of paths.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}
        self._followed: set[str] = set()

    def add(self, definitions: list[dict[str, Any]]) -> None:
        self._known.update((item["ref"], item) for item in definitions)

    def __getitem__(self, reference: str) -> Any:
        return self._known[reference]

    def is_done(self, reference: str) -> bool:
        """Return whether a type was followed before, and mark it as followed."""
        done = reference in self._followed
        self._followed.add(reference)
        return done


def _is_never_an_object(schema: Any, definitions: _Definitions) -> bool:
    match schema:
        case {"ref": str(reference)} if definitions.is_done(reference):
            return True  # whether it may be an object is decided where it was followed first
        case {"serialization": serialization} if is_function(serialization):
            return False
        case {"type": "definitions", "definitions": list(defined), "schema": inner}:
            definitions.add(defined)
            return _is_never_an_object(inner, definitions)
        case {"type": "definition-ref", "schema_ref": reference}:
            return _is_never_an_object(definitions[reference], definitions)
        case {"type": "union", "choices": list(choices)}:
            return all(
                _is_never_an_object(item[0] if isinstance(item, tuple) else item, definitions)
                for item in choices
            )
        case {"type": "model", "root_model": True, "schema": inner}:
            return _is_never_an_object(inner, definitions)
        case {"type": "default" | "nullable" | "function-before", "schema": inner}:
            return _is_never_an_object(inner, definitions)
        case {"type": kind}:
            return kind in _NEVER_AN_OBJECT
        case _:
            return False


def _member_names(schema: Any, definitions: _Definitions) -> Iterator[str]:
    match schema:
        case {"ref": str(reference)} if definitions.is_done(reference):
            pass
        case {"type": "model-fields" | "typed-dict" | "dataclass-args"}:
            for name, field in fields_of(schema).items():
                yield name
                yield from _aliases(field)
            for field in schema.get("computed_fields", ()):
                yield from _aliases(field)
        case {"type": "definitions", "definitions": list(defined), "schema": inner}:
            definitions.add(defined)
            yield from _member_names(inner, definitions)
        case {"type": "definition-ref", "schema_ref": reference}:
            yield from _member_names(definitions[reference], definitions)
        case {"choices": choices}:
            for item in choices.values() if isinstance(choices, dict) else choices:
                branch = item[0] if isinstance(item, tuple) else item
                yield from _member_names(branch, definitions)
        case {"schema": inner}:
            yield from _member_names(inner, definitions)
        case _:
            pass


def _owner_of_fields(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema with the fields of a class, below the user's validators."""
    inner: dict[str, Any] | None = dict(node)
    while inner is not None and inner["type"] not in {"model-fields", "dataclass-args"}:
        inner = inner.get("schema")
        if inner is not None and inner["type"] in {"model", "dataclass"}:
            return None  # the root of a root model is another class
    return inner


def _is_optional(field: Mapping[str, Any]) -> bool:
    by_default = False
    schema = field["schema"]
    while True:
        if _is_called_for_none(schema.get("serialization")):
            return False
        if schema["type"] == "default":
            by_default = "default" in schema and schema["default"] is None
        elif not schema["type"].startswith("function-"):
            return by_default
        if "schema" not in schema:
            return by_default
        schema = schema["schema"]


def _is_called_for_none(serialization: Mapping[str, Any] | None) -> bool:
    if serialization is None or not is_function(serialization):
        return False
    return not serialization.get("when_used", "always").endswith("unless-none")


def _keeps_containers(node: Mapping[str, Any]) -> bool:
    if node["type"] == "is-instance":
        return isinstance([], node["cls"]) or isinstance({}, node["cls"])
    return is_free(node) or node["type"] in {"function-wrap", "function-plain"}


def _aliases(field: Mapping[str, Any]) -> Iterator[str]:
    read = field.get("validation_alias")
    paths = read if isinstance(read, list) else [read]
    written = field.get("serialization_alias") or field.get("alias")
    for alias in (written, *(path[0] if isinstance(path, list) else path for path in paths)):
        if isinstance(alias, str):
            yield alias
