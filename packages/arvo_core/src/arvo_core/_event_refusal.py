"""The error that says why something is not an event."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from ._errors import InvalidEventError
from ._event_limits import DEFAULT_LIMITS, EventLimits
from ._event_rules import attribute_problems, event_name
from ._problems import field_problems

_MANY_ERRORS = 1_000


def refuse(
    kind: type[BaseModel],
    values: object,
    error: ValidationError | None,
    shadowing: Iterable[str] = (),
    limits: EventLimits = DEFAULT_LIMITS,
) -> NoReturn:
    """Raise the error that names the problems of the first failing stage.

    Args:
        kind: The event class that was asked for.
        values: What was given as its attributes and extensions.
        error: What pydantic said of them; None where only `shadowing` is wrong.
        shadowing: Extensions named like an attribute, which therefore are not in `values`.
        limits: How deep the data may be.

    Raises:
        InvalidEventError: Always.
    """
    if not isinstance(values, Mapping):
        raise InvalidEventError(
            f"not an event: expected a JSON object, got {type(values).__name__}"
        ) from None
    failed = _failed(kind, values, error) if error else ()
    found = attribute_problems(values, failed, shadowing, max_depth=limits.max_depth)
    message = f"invalid {event_name(values)}"
    refusal = InvalidEventError(message, problems=found)
    if not refusal.problems and error is not None:
        refusal = InvalidEventError(message, **field_problems(error))
    raise refusal from None


def _failed(
    kind: type[BaseModel], values: Mapping[Any, object], error: ValidationError
) -> set[object]:
    """Name the attributes that validation complains about."""
    if error.error_count() > _MANY_ERRORS:
        # Nearly all of them are about extensions, of which there may be any number.
        fields = {name: value for name, value in values.items() if name in kind.model_fields}
        try:
            kind.__pydantic_validator__.validate_python(fields)
        except ValidationError as fewer:
            error = fewer
        else:
            return set()
    listed = error.errors(include_url=False, include_input=False, include_context=False)
    return {item["loc"][0] for item in listed if item["loc"]}
