"""Payload types of objects: pydantic models made at run time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from .issues import Issue, issues_of, refusal
from .schema_scalars import Annotation


class Presence(Enum):
    """How an absent member is treated."""

    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Default:
    """An absent member gets this value."""

    value: object
    shown: bool = True
    """Whether the JSON schema shows it."""


Absence = Presence | Default


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A declared member of an object."""

    annotation: Annotation
    absence: Absence


_UNKNOWN_KEYS: Mapping[str, Literal["ignore", "forbid", "allow"]] = {
    "strip": "ignore",
    "strict": "forbid",
    "passthrough": "allow",
}


def object_model(members: Mapping[str, Member], mode: str) -> type[BaseModel]:
    """Make the model of an object.

    Any text can be a key, so fields have names of their own and the keys are their aliases.
    """
    fields: dict[str, Any] = {
        f"member_{position}": (member.annotation, _field(key, member.absence))
        for position, (key, member) in enumerate(members.items())
    }
    optional = [key for key, member in members.items() if member.absence is Presence.OPTIONAL]
    config = ConfigDict(extra=_UNKNOWN_KEYS[mode], json_schema_extra=_hiding_defaults(optional))
    validators: dict[str, Any] = {"refuse_unknown_keys": _REFUSING} if mode == "strict" else {}
    return create_model("Payload", __config__=config, __validators__=validators, **fields)


def _field(key: str, absence: Absence) -> FieldInfo:
    options: dict[str, Any] = {"alias": key}
    match absence:
        case Presence.REQUIRED:
            pass
        case Presence.OPTIONAL:
            options["default"] = None
        case Default(value=None):
            # A plain default of None means that the member stays absent.
            options |= {"default_factory": _null, "json_schema_extra": {"default": None}}
        case Default(value=value):
            options |= {"default": value, "validate_default": True}
    if isinstance(absence, Default) and not absence.shown:
        options["json_schema_extra"] = _hide_default
    field: FieldInfo = Field(**options)
    return field


def _null() -> None:
    return None


def _hide_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _hiding_defaults(keys: list[str]) -> Callable[[dict[str, Any]], None]:
    def hide(schema: dict[str, Any]) -> None:
        for key in keys:
            schema["properties"][key].pop("default", None)

    return hide


def _refusing_unknown_keys(
    cls: type[BaseModel], value: Any, handler: ModelWrapValidatorHandler[BaseModel]
) -> BaseModel:
    try:
        return handler(value)
    except ValidationError as error:
        raise refusal(value, map(_at_object, issues_of(error))) from None


_ON_CLASS: Any = classmethod(_refusing_unknown_keys)
_REFUSING = model_validator(mode="wrap")(_ON_CLASS)


def _at_object(issue: Issue) -> Issue:
    """Report an unknown key at the object that has it, not at the key."""
    if issue.kind == "extra_forbidden" and len(issue.path) == 1:
        return Issue(kind=issue.kind, path=(), message=f"unknown key {issue.path[0]!r}")
    return issue
