"""The payload of system error events: an exception as data."""

import traceback
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

_MESSAGE_WIDTH = 8 * 1024
_STACK_WIDTH = 64 * 1024


class SystemErrorData(BaseModel):
    """What went wrong in a service, as its system error event tells it.

    TypeScript: `ArvoErrorSchema`, `createArvoError`.

    Example:
        >>> SystemErrorData.from_exception(ValueError("no such order")).error_message
        'no such order'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, populate_by_name=True)

    error_name: str = Field(alias="errorName", description="The name of the error.")
    """The exception's class name."""
    error_message: str = Field(alias="errorMessage", description="The error in words.")
    """The exception's text; may be empty."""
    error_stack: str | None = Field(
        alias="errorStack", description="The stack trace, null when there is none."
    )
    """The traceback as text; None when there is none."""

    @classmethod
    def from_exception(cls, error: BaseException, *, stack: bool = True) -> Self:
        """Describe an exception.

        Of a message above 8192 characters, or a traceback above 65536, the middle is cut out.

        Args:
            error: The exception.
            stack: Whether to include its traceback, which it has once it was raised.
        """
        raised = stack and error.__traceback__ is not None
        trace = "".join(traceback.format_exception(error)) if raised else None
        return cls(
            error_name=_clean(type(error).__name__),
            error_message=_clean(_cut(_message(error), _MESSAGE_WIDTH)),
            error_stack=None if trace is None else _clean(_cut(trace, _STACK_WIDTH)),
        )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        # What failed matters more than that it cannot say why.
        return "<the error's text cannot be read>"


def _cut(text: str, width: int) -> str:
    """Take out the middle of a long text: whole events and records carry it."""
    if len(text) <= width:
        return text
    mark = f"\n... [{len(text) - width} characters cut] ...\n"
    kept = (width - len(mark)) // 2
    return f"{text[:kept]}{mark}{text[-kept:]}"


def _clean(text: str) -> str:
    """Replace lone surrogates, which file names decoded by Python may carry and JSON may not."""
    return text.encode("utf-8", "replace").decode("utf-8")
