"""What counts as JSON: values that every language reads as they were written (RFC 8259)."""

import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

DEEPEST = 255
"""How many levels below the root pydantic's core can go."""
MAX_DEPTH = 128
"""How many levels below the root of an event's data a value may be nested by default."""
MAX_INTEGER = int(sys.float_info.max)
"""The largest integer: beyond the range of a double other languages read infinity."""
ONE_PASS_CHARACTERS = 1024
"""Longest JSON text that pydantic parses and validates in one pass, in characters.

In one pass, a schema that a value does not match copies the value for its error, so a deep value
would be copied at every level. Above about this length two passes are faster, too.
"""
NOT_JSON = "not_json"
"""Type of the single pydantic error that stands for everything in a value that is not JSON."""

# A length bound makes pydantic look at the characters, and thus refuse lone surrogates.
_TEXT = core_schema.str_schema(strict=True, min_length=0)
_INTEGER = core_schema.int_schema(strict=True, ge=-MAX_INTEGER, le=MAX_INTEGER)
_FINITE = core_schema.float_schema(strict=True, allow_inf_nan=False)
# pydantic's strict mode accepts everything that has `__float__`.
_NUMBER = core_schema.json_or_python_schema(
    json_schema=_FINITE,
    python_schema=core_schema.chain_schema([core_schema.is_instance_schema(float), _FINITE]),
)


class _FloatSchema:
    """Validates finite floats only."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return _NUMBER


JsonText: TypeAlias = Annotated[str, Strict(), Field(min_length=0)]
JsonInteger: TypeAlias = Annotated[int, Strict(), Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
JsonFloat: TypeAlias = Annotated[float, _FloatSchema()]


def _first_that_fits(choices: list[CoreSchema | tuple[CoreSchema, str]]) -> CoreSchema:
    """Return a union with one error; otherwise each choice has one, at every level to the root."""
    return core_schema.union_schema(
        choices,
        mode="left_to_right",
        custom_error_type=NOT_JSON,
        custom_error_message="is not JSON, or holds something that is not",
    )


def _value(ref: str, below: CoreSchema | None) -> CoreSchema:
    """Return the schema of a JSON value; `below` is that of its items, None if it must be empty."""
    longest = 0 if below is None else None
    # pydantic's own JsonValue lets NaN, Infinity and lone surrogates through. Every choice that
    # does not match costs an error object, so the most frequent ones come first.
    union = _first_that_fits(
        [
            _TEXT,
            core_schema.dict_schema(_TEXT, below, max_length=longest, strict=True),
            core_schema.list_schema(below, max_length=longest, strict=True),
            _INTEGER,
            _NUMBER,
            core_schema.bool_schema(strict=True),
        ]
    )
    return core_schema.nullable_schema(union, ref=ref)


class _JsonValue:
    """Validates JSON and copies its containers."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        itself = core_schema.definition_reference_schema("arvo_core.JsonValue:0")
        return core_schema.definitions_schema(itself, [_value(itself["schema_ref"], itself)])


class _JsonObjectSchema:
    """Validates a dict that holds nothing but JSON, and copies its containers."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        value = handler.generate_schema(_JsonValue)
        return core_schema.dict_schema(_TEXT, value, strict=True, serialization=_AS_IT_IS)


# Validated data needs no check when it is written: "any" writes at full speed.
_AS_IT_IS = core_schema.simple_ser_schema("any")

JsonObject: TypeAlias = Annotated[dict[str, Any], _JsonObjectSchema()]
"""A field type: a JSON object, copied when validated, so it is never shared with the caller."""


copy_json: Final[Callable[[Any], Any]] = TypeAdapter(JsonObject).serializer.to_python
"""Copies an object that is known to be JSON, four times as fast as validating it."""


class MeasuredData(dict[str, Any]):
    """An event's data that was found to be within limits other than the default ones."""


class WrittenData(dict[str, Any]):
    """An event's data that was just written, and is known to be valid as `EventData`.

    It is for one event, which takes over the containers in it.
    """


class _EventData:
    """Validates a JSON object no deeper than `MAX_DEPTH`, or `MeasuredData`.

    Each level has a schema of its own, so the depth does not need to be measured.
    """

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        levels: list[CoreSchema] = []
        below = None
        for level in range(MAX_DEPTH, 0, -1):
            levels.append(_value(f"arvo_core.JsonValue:{level}", below))
            below = core_schema.definition_reference_schema(f"arvo_core.JsonValue:{level}")
        data = core_schema.dict_schema(_TEXT, below, strict=True)
        measured = core_schema.is_instance_schema(MeasuredData)
        deeper = core_schema.chain_schema([measured, handler.generate_schema(JsonObject)])
        either = _first_that_fits([data, deeper])
        read = core_schema.json_or_python_schema(data, either, serialization=_AS_IT_IS)
        return core_schema.definitions_schema(read, levels)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "object", "additionalProperties": True}


class _SchemaOf:
    """Validates a value by the schema of another class.

    pydantic collects the definitions in the schema of a class, but not in that of an annotation.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return handler.generate_schema(self._kind)


JsonValue: TypeAlias = Annotated[Any, _SchemaOf(_JsonValue)]
"""A field type: JSON, copied when validated."""
EventData: TypeAlias = Annotated[dict[str, Any], _SchemaOf(_EventData)]
"""A field type: a JSON object of at most `MAX_DEPTH` levels, or `MeasuredData`."""


def plain_dict(value: object) -> object:
    """Turn any mapping into a dict; leave everything else to validation."""
    return dict(value) if not isinstance(value, dict) and isinstance(value, Mapping) else value
