"""One payload of a contract: parsing wire data into a Python type, and dumping it again."""

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from ._errors import InvalidContractError, InvalidDataError, field_problems
from ._json import json_problems

T = TypeVar("T")

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Payload(Generic[T]):
    """A Python type that reads from and writes to a JSON object.

    Args:
        kind: A pydantic model or a `TypeAdapter` that yields a JSON object.

    Raises:
        InvalidContractError: pydantic cannot build a schema for `kind`.
    """

    __slots__ = ("_adapter", "_serialize", "_validate", "kind", "name")

    def __init__(self, kind: type[T] | TypeAdapter[T]) -> None:
        try:
            self._adapter: TypeAdapter[T] = (
                kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
            )
        except Exception as error:
            raise InvalidContractError(
                f"{kind!r} cannot describe a payload; use a pydantic model or a TypeAdapter"
            ) from error
        self._validate = self._adapter.validator.validate_python
        self._serialize = self._adapter.serializer.to_python
        self.kind: type[T] | TypeAdapter[T] = kind
        """The model or adapter the payload was made of."""
        self.name: str = getattr(kind, "__name__", None) or str(kind)
        """How messages call the type."""

    @property
    def adapter(self) -> TypeAdapter[T]:
        """What parses and dumps."""
        return self._adapter

    def parse(self, data: object) -> T:
        """Parse wire data, or accept an instance of the type.

        The data is JSON, so pydantic's JSON rules decide: a strict model takes a date as text.

        Raises:
            InvalidDataError: The data does not match; `problems` has the path of each field.
        """
        try:
            return self._validate(data)  # type: ignore[no-any-return]
        except ValidationError as error:
            failure = error
        if isinstance(data, Mapping):
            try:
                return self._adapter.validate_json(to_json(data))
            except ValidationError as error:
                # Each reading may stumble over what the other one takes, such as a strict date.
                failure = min(error, failure, key=ValidationError.error_count)
            except ValueError:
                pass  # not JSON, so only the first reading has something to tell
        raise InvalidDataError(
            f"data does not match {self.name}", problems=field_problems(failure)
        ) from None

    def dump(self, value: T) -> dict[str, Any]:
        """Write a parsed value as a JSON object.

        Aliases are used. A field that was not set and whose default is None is left out, at every
        depth, because an absent optional member is absent on the wire; other defaults are written.

        Raises:
            InvalidDataError: The value cannot be written as a JSON object.
        """
        try:
            dumped = self._serialize(value, mode="json", by_alias=True)
        except ValueError as error:
            raise InvalidDataError(f"{self.name} cannot be written as JSON: {error}") from error
        if not isinstance(dumped, dict):
            raise InvalidDataError(
                f"{self.name} is written as {type(dumped).__name__}, not as a JSON object"
            )
        if _needs_restoring(dumped) and _restore(value, dumped):
            raise InvalidDataError(
                f"{self.name} cannot be written as JSON", problems=json_problems(dumped)
            )
        return dumped

    def to_wire(self, data: object) -> dict[str, Any]:
        """Validate `data`, a model or a mapping, and dump it.

        Raises:
            InvalidDataError: It does not match, or cannot be written as a JSON object.
        """
        return self.dump(self.parse(data))

    def member_names(self) -> frozenset[str]:
        """Return the members of the JSON object that the type names, read or written."""
        return frozenset(_member_names(self._adapter.core_schema, {}))

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of what `parse` accepts.

        Raises:
            InvalidContractError: The type holds something JSON Schema cannot express.
        """
        try:
            schema = self._adapter.json_schema(by_alias=True, mode="validation")
        except Exception as error:
            raise InvalidContractError(f"{self.name} has no JSON Schema: {error}") from error
        return {"$schema": JSON_SCHEMA_DIALECT, **schema}


def _needs_restoring(dumped: Any) -> bool:
    """Tell whether there is a null or a number that is no JSON, without which `_restore` is idle.

    Most payloads have neither, and looking takes a tenth of the time of restoring.
    """
    for item in dumped.values() if isinstance(dumped, dict) else dumped:
        if item is None:
            return True
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, (dict, list)) and _needs_restoring(item):
            return True
    return False


def _restore(value: object, dumped: object) -> bool:
    """Make `dumped` say what `value` says, where pydantic would write null.

    What was never set and would default to None is removed; NaN and infinities are put back.

    Returns:
        Whether there are any of the latter.
    """
    match value:
        case RootModel():
            return _restore(value.root, dumped)
        case BaseModel() if isinstance(dumped, dict):
            values = value.__dict__
            for name, key in _none_by_default(type(value)).items():
                unset = values.get(name) is None and name not in value.model_fields_set
                if unset and dumped.get(key) is None:
                    dumped.pop(key, None)
            members = ((key, values.get(name)) for name, key in _keys(type(value)).items())
            lost = _restore_members(members, dumped)
            return _restore_members((value.__pydantic_extra__ or {}).items(), dumped) or lost
        case Mapping() if isinstance(dumped, dict):
            return _restore_members(zip(dumped, value.values(), strict=False), dumped)
        case list() | tuple() | set() | frozenset() if isinstance(dumped, list):
            return _restore_members(zip(range(len(dumped)), value, strict=False), dumped)
        case _:
            return False


def _restore_members(members: Iterable[tuple[Any, object]], dumped: Any) -> bool:
    lost = False
    for key, item in members:
        if not isinstance(item, _WATCHED) or (isinstance(dumped, dict) and key not in dumped):
            continue
        if not isinstance(item, float):
            lost = _restore(item, dumped[key]) or lost
        elif not math.isfinite(item) and isinstance(dumped[key], float | None):
            dumped[key] = item
            lost = True
    return lost


_WATCHED = (float, BaseModel, Mapping, list, tuple, set, frozenset)


@lru_cache(maxsize=1024)
def _none_by_default(model: type[BaseModel]) -> dict[str, str]:
    return {
        name: key for name, key in _keys(model).items() if model.model_fields[name].default is None
    }


@lru_cache(maxsize=1024)
def _keys(model: type[BaseModel]) -> dict[str, str]:
    return {name: _key(name, field) for name, field in model.model_fields.items()}


def _key(name: str, field: FieldInfo) -> str:
    aliases = (field.serialization_alias, field.alias)
    return next((alias for alias in aliases if alias is not None), name)


def _member_names(schema: Any, definitions: dict[str, Any]) -> Iterator[str]:
    """Find the names in the core schema of a model, a typed dict or a dataclass."""
    match schema:
        case {"type": "model-fields" | "typed-dict" | "dataclass-args", "fields": fields}:
            if isinstance(fields, list):
                fields = {field["name"]: field for field in fields}
            for name, field in fields.items():
                yield name
                yield from _aliases(field)
            for field in schema.get("computed_fields", ()):
                yield from _aliases(field)
        case {"type": "definitions", "definitions": list(defined), "schema": inner}:
            yield from _member_names(inner, {item["ref"]: item for item in defined})
        case {"type": "definition-ref", "schema_ref": reference}:
            yield from _member_names(definitions[reference], definitions)
        case {"schema": inner}:
            yield from _member_names(inner, definitions)
        case _:
            pass


def _aliases(field: Mapping[str, Any]) -> Iterator[str]:
    read = field.get("validation_alias")
    paths = read if isinstance(read, list) else [read]
    written = field.get("serialization_alias") or field.get("alias")
    for alias in (written, *(path[0] if isinstance(path, list) else path for path in paths)):
        if isinstance(alias, str):
            yield alias
