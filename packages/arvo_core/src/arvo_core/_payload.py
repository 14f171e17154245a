"""One payload of a contract: parsing wire data into a Python type, and dumping it again."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_json

from ._errors import InvalidContractError, InvalidDataError, field_problems

T = TypeVar("T")

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Payload(Generic[T]):
    """A Python type that reads from and writes to a JSON object.

    Args:
        kind: A pydantic model or a `TypeAdapter` that yields a JSON object.

    Raises:
        InvalidContractError: pydantic cannot build a schema for `kind`.
    """

    __slots__ = ("_adapter", "_validate", "kind", "name")

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
        self.kind = kind
        """The model or adapter the payload was made of."""
        self.name = getattr(kind, "__name__", None) or str(kind)
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
            if isinstance(data, Mapping):
                try:
                    return self._adapter.validate_json(to_json(data))
                except (ValidationError, PydanticSerializationError):
                    pass
            raise InvalidDataError(
                f"data does not match {self.name}", problems=field_problems(error)
            ) from None

    def dump(self, value: T) -> dict[str, Any]:
        """Write a parsed value as a JSON object.

        Aliases are used. A field that was not set and whose default is None is left out, at every
        depth, because an absent optional member is absent on the wire; other defaults are written.

        Raises:
            InvalidDataError: The value cannot be written as a JSON object.
        """
        try:
            dumped = self._adapter.dump_python(value, mode="json", by_alias=True)
        except PydanticSerializationError as error:
            raise InvalidDataError(f"{self.name} cannot be written as JSON: {error}") from error
        if not isinstance(dumped, dict):
            raise InvalidDataError(
                f"{self.name} is written as {type(dumped).__name__}, not as a JSON object"
            )
        _drop_unset(value, dumped)
        return dumped

    def to_wire(self, data: object) -> dict[str, Any]:
        """Validate `data`, a model or a mapping, and dump it.

        Raises:
            InvalidDataError: It does not match, or cannot be written as a JSON object.
        """
        return self.dump(self.parse(data))

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


def _drop_unset(value: object, dumped: object) -> None:
    """Remove from `dumped` what `value` never set and would default to None."""
    match value:
        case RootModel():
            _drop_unset(value.root, dumped)
        case BaseModel() if isinstance(dumped, dict):
            values = value.__dict__
            unset_none = _none_by_default(type(value))
            for name, key in unset_none.items():
                if values.get(name) is None and name not in value.model_fields_set:
                    dumped.pop(key, None)
            for name, key in _keys(type(value)).items():
                item = values.get(name)
                if isinstance(item, _CONTAINERS) and key in dumped:
                    _drop_unset(item, dumped[key])
        case Mapping() if isinstance(dumped, dict):
            for item, item_dumped in zip(value.values(), dumped.values(), strict=False):
                if isinstance(item, _CONTAINERS):
                    _drop_unset(item, item_dumped)
        case list() | tuple() | set() | frozenset() if isinstance(dumped, list):
            for item, item_dumped in zip(value, dumped, strict=False):
                if isinstance(item, _CONTAINERS):
                    _drop_unset(item, item_dumped)
        case _:
            pass


_CONTAINERS = (BaseModel, Mapping, list, tuple, set, frozenset)


@lru_cache(maxsize=1024)
def _none_by_default(model: type[BaseModel]) -> dict[str, str]:
    return {
        name: key for name, key in _keys(model).items() if model.model_fields[name].default is None
    }


@lru_cache(maxsize=1024)
def _keys(model: type[BaseModel]) -> dict[str, str]:
    return {name: _key(name, field) for name, field in model.model_fields.items()}


def _key(name: str, field: FieldInfo) -> str:
    return field.serialization_alias or field.alias or name
