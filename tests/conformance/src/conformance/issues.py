"""What a payload type complains about, and validators that report it where the vectors do."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

# A value of the right shape that breaks a bound. The first option of a union that fails only with
# these speaks for the whole union.
_REFINEMENTS = frozenset(
    {
        "extra_forbidden",
        "format",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "multiple_of",
        "string_too_long",
        "string_too_short",
        "too_long",
        "too_short",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One complaint: its kind, its path in the validated value, and its message."""

    kind: str
    path: tuple[str | int, ...]
    message: str

    @property
    def is_refinement(self) -> bool:
        """Whether the value has the right shape and only breaks a bound."""
        return self.kind in _REFINEMENTS


Rewrite = Callable[[object, list[Issue]], list[Issue]]
"""Takes a refused value and its issues, returns the issues to report instead."""


def issues_of(error: ValidationError) -> list[Issue]:
    """List the complaints of a pydantic error."""
    return [
        Issue(kind=item["type"], path=tuple(item["loc"]), message=item["msg"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def refusal(value: object, issues: Iterable[Issue]) -> ValidationError:
    """Make what a validator raises; pydantic puts the place of the value before the paths."""
    return ValidationError.from_exception_data(
        "payload",
        [
            InitErrorDetails(
                type=PydanticCustomError(issue.kind, "{reason}", {"reason": issue.message}),
                loc=issue.path,
                input=value,
            )
            for issue in issues
        ],
    )


def rewriting(rewrite: Rewrite) -> WrapValidator:
    """Make a validator that passes the complaints of what it wraps through `rewrite`."""

    def validate(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError as error:
            raise refusal(value, rewrite(value, issues_of(error))) from None

    return WrapValidator(validate)
