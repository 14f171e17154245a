"""The payload of system error events: an exception as data."""

import traceback
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

_MESSAGE_CHARACTERS = 8 * 1024
_STACK_CHARACTERS = 64 * 1024


class SystemErrorData(BaseModel):
    """What went wrong in a service, as its system error event reports it.

    TypeScript: `ArvoErrorSchema`, `createArvoError`.

    Example:
        >>> SystemErrorData.from_exception(ValueError("no such order")).error_message
        'no such order'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, populate_by_name=True)

    error_name: str = Field(alias="errorName", description="The name of the error.")
    """The exception's class name."""
    error_message: str = Field(alias="errorMessage", description="The error in words.")
    """The exception's message; may be empty."""
    error_stack: str | None = Field(
        alias="errorStack", description="The stack trace, null when there is none."
    )
    """The formatted traceback, or None."""

    @classmethod
    def from_exception(cls, error: BaseException, *, stack: bool = True) -> Self:
        """Describe an exception.

        The middle is cut out of a message longer than 8192 characters, and of a traceback longer
        than 65536.

        Args:
            error: The exception to describe.
            stack: Whether to include the traceback, which the exception has after it was raised.
        """
        raised = stack and error.__traceback__ is not None
        trace = "".join(traceback.format_exception(error)) if raised else None
        return cls(
            error_name=_clean(type(error).__name__),
            error_message=_clean(_cut(_message(error), _MESSAGE_CHARACTERS)),
            error_stack=None if trace is None else _clean(_cut(trace, _STACK_CHARACTERS)),
        )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        # The failure must be reported even if its message cannot be read.
        return "<the error's text cannot be read>"


def _cut(text: str, width: int) -> str:
    """Cut the middle out of a long string, because events and records carry all of it."""
    if len(text) <= width:
        return text
    mark = f"\n... [{len(text) - width} characters cut] ...\n"
    half = (width - len(mark)) // 2
    return f"{text[:half]}{mark}{text[-half:]}"


def _clean(text: str) -> str:
    """Replace lone surrogates, which JSON cannot express and decoded file names may contain."""
    return text.encode("utf-8", "replace").decode("utf-8")
