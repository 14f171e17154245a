"""Makes the schema of a type's written form, a JSON object, from the type's own schema."""

import math
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

from arvo_core._json import MAX_DEPTH, MAX_INTEGER, EventData, JsonObject, JsonValue

from .core_schema import fields_of, inner_nodes, is_free, nodes

_LEAVES = frozenset({"str", "int", "bool", "none"})
_CONSTANTS = frozenset({str, int, float, bool, type(None)})
_CONTAINERS = (list, dict)
_ANY, _STR = {"type": "any"}, {"type": "str", "strict": True}
_JSON: Any = TypeAdapter(JsonObject).core_schema
_ANYTHING = _JSON["schema"]["values_schema"]
DEEPEST_TYPE = MAX_DEPTH - 16
"""How many levels the type of an event's data may declare; each level below costs a schema."""
_ANYTHING_IN_EVENTS = {
    "type": "definition-ref", "schema_ref": f"arvo_core.JsonValue:{DEEPEST_TYPE + 1}"
}  # fmt: skip
_is_json = TypeAdapter(JsonValue).validator.isinstance_python
_UNSUPPORTED_SETTINGS = (
    "validate_by_name",
    "populate_by_name",
    "validate_by_alias",
    "validate_default",
)
"""Settings with which another name is read, or a default is changed."""


class NoWireForm(Exception):
    """A part of the schema has a written form that differs from what is read."""


class WireSchemaMaker:
    """Replaces the classes in a schema by the JSON objects that they are written as."""

    def __init__(
        self, shared: frozenset[str], *, of_held: bool = False, for_event: bool = False
    ) -> None:
        self._of_held = of_held  # whether to read the members of models that are not None
        self._for_event = for_event  # whether to accept only valid data of events
        self._anything = _ANYTHING_IN_EVENTS if for_event else _ANYTHING
        self._shared = shared  # the types used in several places; they are defined once
        self._named: dict[str, Mapping[str, Any]] = {}  # the schemas of those found so far
        # For each class: a schema of the members that have a default, and those defaults.
        self._defaults: list[tuple[Any, dict[str, Any]]] = []
        self.has_optional = False  # whether a member is None by default
        self.is_free = False  # whether any JSON is accepted somewhere
        self.levels = math.inf  # how many levels of containers the type declares

    def make_all(self, schema: Mapping[str, Any]) -> Any:
        """Make a whole schema, with the definitions that it refers to.

        Raises:
            NoWireForm: The written form of a part of the type differs from what is read.
        """
        made = self._make(schema)
        defined: dict[str, Any] = {}
        while missing := [name for name in self._named if name not in defined]:
            for name in missing:
                defined[name] = {**self._make(self._named[name]), "ref": name}
        definitions = list(defined.values())
        if self.is_free:
            definitions += _event_levels() if self._for_event else _JSON["definitions"]
        if not self._defaults_are_read_as_they_are(definitions):
            raise NoWireForm
        self.levels = _Levels(defined).of(made)
        return _with_definitions(made, definitions)

    def _defaults_are_read_as_they_are(self, definitions: list[Any]) -> bool:
        # A default is not validated when it is filled in, but the receiver validates it.
        owners = {str(index): owner for index, (owner, _) in enumerate(self._defaults)}
        given = {str(index): values for index, (_, values) in enumerate(self._defaults)}
        schema: Any = _with_definitions(_object_of(owners), definitions)
        try:
            read = SchemaValidator(schema).validate_python(given, strict=True)
        except ValueError:
            return False
        return all(
            type(value) is type(read[index][name]) and value == read[index][name]
            for index, values in given.items()
            for name, value in values.items()
        )

    def make(self, node: Mapping[str, Any]) -> Any:
        """Make the schema of a part, or a reference to it."""
        name = node.get("ref")
        if name not in self._shared:
            return self._make(node)
        self._named.setdefault(name, node)
        return {"type": "definition-ref", "schema_ref": name}

    def _make(self, node: Mapping[str, Any]) -> Any:
        if is_free(node):
            self.is_free = True
        match node["type"]:
            case "any":
                return self._anything
            case "definitions":
                self._named.update((item["ref"], item) for item in node["definitions"])
                return self.make(node["schema"])
            case "definition-ref":
                return _copied(node)
            case "model":
                return self._model(node)
            case "typed-dict":
                return self._object(node, node.get("config") or {})
            case "nullable":
                return _copied(node, schema=self.make(node["schema"]))
            case "list":
                return _copied(node, items_schema=self.make(node.get("items_schema", _ANY)))
            case "dict" if node.get("keys_schema", _STR)["type"] == "str":
                return _copied(
                    node,
                    keys_schema=self.make(node.get("keys_schema", _STR)),
                    values_schema=self.make(node.get("values_schema", _ANY)),
                )
            case "union":
                choices = [item[0] if isinstance(item, tuple) else item for item in node["choices"]]
                return _copied(node, choices=[self.make(choice) for choice in choices])
            case "tagged-union":
                tagged = {tag: self.make(choice) for tag, choice in node["choices"].items()}
                return _copied(node, choices=tagged)
            case "literal" if all(type(item) in _CONSTANTS for item in node["expected"]):
                if self._for_event and not _is_json(node["expected"]):
                    raise NoWireForm
                return _copied(node)
            case "str" if self._for_event:
                # The length bound makes pydantic refuse lone surrogates.
                return _copied(node, min_length=node.get("min_length") or 0)
            case "int" if self._for_event:
                least, most = node.get("ge", -MAX_INTEGER), node.get("le", MAX_INTEGER)
                return _copied(node, ge=max(least, -MAX_INTEGER), le=min(most, MAX_INTEGER))
            case "float":
                return _copied(node, allow_inf_nan=False)
            case kind if kind in _LEAVES:
                return _copied(node)
            case _:
                raise NoWireForm

    def _model(self, node: Mapping[str, Any]) -> Any:
        inner = node["schema"]
        if node.get("root_model"):
            return self.make(inner)
        return self._object(inner, node.get("config") or {})

    def _object(self, owner: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
        """Describe a JSON object, by the names under which its members are written."""
        if owner.get("computed_fields") or any(name in config for name in _UNSUPPORTED_SETTINGS):
            raise NoWireForm
        fields, defaults = {}, {}
        for name, field in fields_of(owner).items():
            written = field.get("serialization_alias", name)
            if written != field.get("validation_alias", name):
                raise NoWireForm
            fields[written] = self._held(field) if self._of_held else self._member(field)
            filled = fields[written]["schema"]
            if filled["type"] == "default" and not self._of_held:
                defaults[written] = filled
        if defaults:
            read_as = _object_of({name: item["schema"] for name, item in defaults.items()}, config)
            values = {name: _filled_in(item) for name, item in defaults.items()}
            self._defaults.append((read_as, values))
        made = {"type": "typed-dict", "fields": fields, "config": dict(config)}
        behavior = owner.get("extra_behavior") or config.get("extra_fields_behavior", "ignore")
        if behavior == "allow":
            made["extras_schema"] = self.make(owner.get("extras_schema", _ANY))
        return {**made, "extra_behavior": behavior}

    def _held(self, field: Mapping[str, Any]) -> dict[str, Any]:
        member = self._member(field)
        schema = member["schema"]
        if schema["type"] == "default":
            schema = schema["schema"]
        elif not member["required"]:
            return member
        return _field({"type": "default", "schema": schema, "default": None}, required=False)

    def _member(self, field: Mapping[str, Any]) -> dict[str, Any]:
        schema = field["schema"]
        if schema["type"] != "default":
            return _field(self.make(schema), required=field.get("required", True))
        if schema.get("validate_default"):
            raise NoWireForm
        inner = self.make(schema["schema"])
        default = schema.get("default", ...)
        if default is None:
            self.has_optional = True
            return _field(inner, required=False)
        if type(default) in _CONSTANTS and (type(default) is not float or math.isfinite(default)):
            filled = {"default": default}
        elif (made := _empty_container(schema)) is not None:
            filled = {"default_factory": made}
        else:
            raise NoWireForm
        return _field({"type": "default", "schema": inner, **filled}, required=False)


class _Levels:
    """Counts the levels of containers that a made schema declares."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._known: dict[str, float] = {}

    def of(self, node: Mapping[str, Any]) -> float:
        """Return the number of levels; infinity for a type that contains itself."""
        if node["type"] == "definition-ref":
            return self._of_named(node["schema_ref"])
        own = node["type"] in {"list", "dict", "typed-dict"}
        return own + max(map(self.of, inner_nodes(node)), default=0)

    def _of_named(self, name: str) -> float:
        if name not in self._named:
            return 0  # anything, which has a limit of its own
        if name not in self._known:
            self._known[name] = math.inf  # for the way back to itself
            self._known[name] = self.of(self._named[name])
        return self._known[name]


@cache
def _event_levels() -> list[Any]:
    """Return the schemas of anything at each level below the deepest type."""
    every = cast("Any", TypeAdapter(EventData).core_schema)["definitions"]
    return [level for level in every if int(level["ref"].rpartition(":")[2]) > DEEPEST_TYPE]


def shared_types(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the references of the types that are used in several places."""
    places = Counter(
        inner["ref"] for node in nodes(schema) for inner in inner_nodes(node) if "ref" in inner
    )
    return frozenset(reference for reference, count in places.items() if count > 1)


def _empty_container(schema: Mapping[str, Any]) -> type | None:
    """Return list or dict if the default is an empty one; None for any other default."""
    factory, default = schema.get("default_factory"), schema.get("default")
    return next(
        (
            kind
            for kind in _CONTAINERS
            if factory is kind or (type(default) is kind and not default)
        ),
        None,
    )


def _filled_in(default: Mapping[str, Any]) -> Any:
    return default["default_factory"]() if "default_factory" in default else default["default"]


def _field(schema: Any, *, required: bool = True) -> dict[str, Any]:
    return {"type": "typed-dict-field", "schema": schema, "required": required}


def _object_of(members: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> Any:
    fields = {name: _field(schema) for name, schema in members.items()}
    return {"type": "typed-dict", "fields": fields, "config": dict(config or {})}


def _with_definitions(schema: Any, definitions: list[Any]) -> Any:
    if not definitions:
        return schema
    return {"type": "definitions", "schema": schema, "definitions": definitions}


def _copied(node: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    copied = {key: item for key, item in node.items() if key not in {"metadata", "ref"}}
    return {**copied, **changes}
