"""What counts as JSON: values that every language reads back as they were written (RFC 8259)."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AllowInfNan, Field, GetCoreSchemaHandler, Strict
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from ._errors import FieldProblem

# A length bound makes pydantic look at the characters, and so refuse lone surrogates.
_Text = Annotated[str, Strict(), Field(min_length=0)]

if TYPE_CHECKING:
    _Value: TypeAlias = Any
else:
    # pydantic's own JsonValue lets NaN, Infinity and lone surrogates through.
    _Value = TypeAliasType(
        "_Value",
        Annotated[
            _Text
            | Annotated[int, Strict()]
            | Annotated[float, Strict(), AllowInfNan(allow_inf_nan=False)]
            | Annotated[bool, Strict()]
            | Annotated[list["_Value"], Strict()]
            | Annotated[dict[_Text, "_Value"], Strict()]
            | None,
            Field(union_mode="left_to_right"),
        ],
    )


class _JsonObjectSchema:
    """Validates a dict into fresh containers that hold nothing but JSON."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler.generate_schema(Annotated[dict[_Text, _Value], Strict()])
        # Once validated nothing needs checking on the way out: "any" writes at full speed.
        schema["serialization"] = core_schema.simple_ser_schema("any")  # type: ignore[index]
        return schema


JsonObject: TypeAlias = Annotated[dict[str, Any], _JsonObjectSchema()]
"""A field type: a JSON object, copied when validated and so never aliased to the caller's."""


def json_problems(value: object, path: tuple[str | int, ...] = ()) -> list[FieldProblem]:
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
        case None | bool() | int():
            return
        case str():
            if _has_lone_surrogate(value):
                yield _problem(path, "the text holds a lone surrogate; remove it")
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
                    yield _problem(path, f"key {key!r} is a {name}; JSON object keys are text")
                elif isinstance(key, str) and _has_lone_surrogate(key):
                    yield _problem(path, "a key holds a lone surrogate; remove it")
                else:
                    yield from _walk(item, (*path, key), inside)
        case _:
            yield _problem(
                path,
                f"{type(value).__name__} is not a JSON value; "
                "use text, a number, true, false, null, a list or a dict",
            )


def _has_lone_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _problem(path: tuple[str | int, ...], message: str) -> FieldProblem:
    return FieldProblem(path=path, message=message)


def plain_dict(value: object) -> object:
    """Turn any mapping into a dict; leave everything else to validation."""
    return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value
