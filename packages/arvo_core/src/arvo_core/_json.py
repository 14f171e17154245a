"""What counts as JSON: values that every language reads back as they were written (RFC 8259)."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field, GetCoreSchemaHandler, Strict
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from ._errors import FieldProblem

_MAX_DEPTH = 255  # as far below the root as pydantic's core goes
_MAX_INTEGER = int(sys.float_info.max)
LONE_SURROGATE = "the text holds a lone surrogate; remove it"
"""What is wrong with text that `has_lone_surrogate`."""


class _FloatSchema:
    """Validates finite floats only; pydantic's strict mode takes all that has `__float__`."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        number = core_schema.float_schema(strict=True, allow_inf_nan=False)
        return core_schema.json_or_python_schema(
            json_schema=number,
            python_schema=core_schema.chain_schema([core_schema.is_instance_schema(float), number]),
        )


# A length bound makes pydantic look at the characters, and so refuse lone surrogates.
JsonText: TypeAlias = Annotated[str, Strict(), Field(min_length=0)]
# Beyond the range of a double other languages read infinity.
JsonInteger: TypeAlias = Annotated[int, Strict(), Field(ge=-_MAX_INTEGER, le=_MAX_INTEGER)]
JsonFloat: TypeAlias = Annotated[float, _FloatSchema()]

if TYPE_CHECKING:
    JsonValue: TypeAlias = Any
else:
    # pydantic's own JsonValue lets NaN, Infinity and lone surrogates through. Every member that
    # does not fit costs an error object, so those that stand in most payloads come first.
    JsonValue = TypeAliasType(
        "JsonValue",
        Annotated[
            JsonText
            | Annotated[dict[JsonText, "JsonValue"], Strict()]
            | Annotated[list["JsonValue"], Strict()]
            | JsonInteger
            | JsonFloat
            | Annotated[bool, Strict()]
            | None,
            Field(union_mode="left_to_right"),
        ],
    )


class _JsonObjectSchema:
    """Validates a dict into fresh containers that hold nothing but JSON."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler.generate_schema(Annotated[dict[JsonText, JsonValue], Strict()])
        # Once validated nothing needs checking on the way out: "any" writes at full speed.
        schema["serialization"] = core_schema.simple_ser_schema("any")  # type: ignore[index]
        return schema


JsonObject: TypeAlias = Annotated[dict[str, Any], _JsonObjectSchema()]
"""A field type: a JSON object, copied when validated and so never aliased to the caller's."""


def json_problems(value: object, *, path: tuple[str | int, ...] = ()) -> list[FieldProblem]:
    """List every place where `value` is not a JSON object; empty when it is one.

    Args:
        value: What was given as an event's data.
        path: Where it stands; leads every reported path.
    """
    if not isinstance(value, dict):
        return [_problem(path, f"expected a JSON object, got {type(value).__name__}")]
    return list(_walk(value, path, frozenset()))


def _walk(
    value: object, path: tuple[str | int, ...], parents: frozenset[int]
) -> Iterator[FieldProblem]:
    match value:
        case _ if len(parents) > _MAX_DEPTH:
            yield _problem(path, f"nested more than {_MAX_DEPTH} levels deep; flatten the data")
        case None | bool():
            return
        case int():
            if abs(value) > _MAX_INTEGER:
                yield _problem(path, "the integer is beyond 1.8e308, a double; use text")
        case str():
            if has_lone_surrogate(value):
                yield _problem(path, LONE_SURROGATE)
        case float():
            if not math.isfinite(value):
                yield _problem(path, f"{value} is not a JSON number; use null or leave it out")
        case dict() | list() if id(value) in parents:
            yield _problem(path, "the container holds itself")
        case dict() | list():
            inside = parents | {id(value)}
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(value, dict) and not isinstance(key, str):
                    name = type(key).__name__
                    yield _problem(path, f"a key is of type {name}; JSON object keys are text")
                elif isinstance(key, str) and has_lone_surrogate(key):
                    yield _problem(path, "a key holds a lone surrogate; remove it")
                else:
                    yield from _walk(item, (*path, key), inside)
        case _:
            yield _problem(
                path,
                f"{type(value).__name__} is not a JSON value; "
                "use text, a number, true, false, null, a list or a dict",
            )


def has_lone_surrogate(text: str) -> bool:
    """Tell whether `text` holds half of a pair, which UTF-8 and so JSON cannot express."""
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _problem(path: tuple[str | int, ...], message: str) -> FieldProblem:
    return FieldProblem(path=path, message=message)


def plain_dict(value: object) -> object:
    """Turn any mapping into a dict; leave everything else to validation."""
    return dict(value) if not isinstance(value, dict) and isinstance(value, Mapping) else value
