"""The error that says why something is not an event."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from ._errors import InvalidEventError
from ._event_limits import DEFAULT_LIMITS, EventLimits
from ._event_rules import attribute_problems, event_name
from ._problems import field_problems

_MAX_LISTED_ERRORS = 1_000


def refuse(
    kind: type[BaseModel],
    values: object,
    error: ValidationError | None,
    shadowing: Iterable[str] = (),
    limits: EventLimits = DEFAULT_LIMITS,
) -> NoReturn:
    """Raise the error that names the problems of the first failing stage.

    Args:
        kind: The class of the event.
        values: The given attributes and extensions.
        error: pydantic's error about them; None if only `shadowing` is wrong.
        shadowing: Extensions named like an attribute, and therefore not in `values`.
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
    """Return the names of the attributes that validation refused."""
    if error.error_count() > _MAX_LISTED_ERRORS:
        # Nearly all are about extensions, whose number is not limited.
        fields = {name: value for name, value in values.items() if name in kind.model_fields}
        try:
            kind.__pydantic_validator__.validate_python(fields)
        except ValidationError as fewer:
            error = fewer
        else:
            return set()
    listed = error.errors(include_url=False, include_input=False, include_context=False)
    return {item["loc"][0] for item in listed if item["loc"]}
