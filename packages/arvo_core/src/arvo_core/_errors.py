"""Every exception arvo_core raises, and the roots of those the packages above it raise.

* ArvoError
  x InvalidValueError           a value breaks a rule; also a `ValueError`
    + InvalidUriError           text that cannot be read or written as a URI
    + InvalidVersionError       text that is not a semantic version
    + InvalidSubjectError       not an orchestration subject
    + InvalidContractError      a contract whose definition is wrong
    + InvalidEventError         an event whose attributes or extensions break a rule
    + InvalidDataError          a payload that does not match its contract
    + UnknownVersionError       a contract has no such version
  x ViolationError              needs handling outside the event flow; never becomes an event
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import override


def _rebuild(
    kind: type["ArvoError"], args: tuple[object, ...], state: dict[str, object]
) -> "ArvoError":
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ArvoError(Exception):
    """The root of every exception that Arvo raises on purpose."""

    @override
    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive pickling by default, and these errors cross
        # process boundaries in worker pools.
        return (_rebuild, (type(self), self.args, self.__dict__))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One rule that one field breaks."""

    path: tuple[str | int, ...]
    """Names and list positions from the root to the field; empty for the whole value."""
    message: str
    """What is wrong, in words for a developer; without the value, unless a validator tells it."""

    @override
    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or '(root)'}: {self.message}"


class InvalidValueError(ArvoError, ValueError):
    """A value breaks one or more rules.

    Attributes:
        problems: Every broken rule of the first failing stage, with the path of the field.
    """

    def __init__(self, message: str, *, problems: Iterable[FieldProblem] = ()) -> None:
        self.problems: tuple[FieldProblem, ...] = tuple(problems)
        text = "\n".join([message, *(f"  {problem}" for problem in self.problems)])
        # A path may name a member whose name no output stream can write.
        super().__init__(text.encode("utf-8", "backslashreplace").decode("utf-8"))


class InvalidUriError(InvalidValueError):
    """Text cannot be percent-encoded or decoded as ECMAScript's `encodeURI` family does."""


class InvalidVersionError(InvalidValueError):
    """Text is not a semantic version of three dot-separated numbers."""


class InvalidSubjectError(InvalidValueError):
    """Text or content is not an orchestration subject."""


class InvalidContractError(InvalidValueError):
    """A contract's definition breaks a rule."""


class InvalidEventError(InvalidValueError):
    """An event's attributes, data or extensions break a rule."""


class InvalidDataError(InvalidValueError):
    """A payload does not match the type its contract declares."""


class UnknownVersionError(InvalidValueError):
    """A contract has no such version.

    Attributes:
        contract_uri: The contract asked.
        version: The version asked for.
        versions: The versions it has, oldest first.
    """

    def __init__(self, *, contract_uri: str, version: str, versions: Iterable[str]) -> None:
        self.contract_uri = contract_uri
        self.version = version
        self.versions: tuple[str, ...] = tuple(versions)
        super().__init__(
            f"contract {contract_uri!r} has no version {version!r}; "
            f"it has {', '.join(self.versions)}"
        )


class ViolationError(ArvoError):
    """A failure that whoever calls a handler must deal with itself.

    Raise it, or a subclass, in user code to leave the event flow: nothing is stored or published.

    Attributes:
        retryable: Whether delivering the same event again may succeed.
        metadata: Structured context for logs; JSON-serialisable.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.metadata: dict[str, object] = dict(metadata or {})


def field_problems(error: ValidationError) -> list[FieldProblem]:
    """List what a pydantic error complains about, without the values it saw."""
    return [
        FieldProblem(path=tuple(item["loc"]), message=_message(item))
        for item in error.errors(include_url=False, include_input=False)
    ]


def _message(item: ErrorDetails) -> str:
    if item["type"] != "union_tag_invalid":
        return item["msg"]
    # pydantic's own words show the tag that was given.
    context = item["ctx"]
    return f"{context['discriminator']} must be one of {context['expected_tags']}"
