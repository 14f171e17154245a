"""Every exception that arvo_core raises, and the bases of those of the packages above it.

* ArvoError
  x InvalidValueError           a value breaks a rule; also a `ValueError`
    + InvalidUriError           a string that cannot be read or written as a URI
    + InvalidVersionError       a string that is not a semantic version
    + InvalidSubjectError       not an orchestration subject
    + InvalidContractError      a contract whose definition is wrong
    + InvalidEventError         an event whose attributes or extensions break a rule
    + InvalidDataError          a payload that does not match its contract
    + UnknownVersionError       a contract has no such version
  x ViolationError              must be handled outside the event flow; never becomes an event
"""

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import islice

from typing_extensions import override

from arvo_time.logs import excerpt

MAX_PROBLEMS = 20
"""Number of broken rules that an error lists at most."""
MAX_MESSAGE_BYTES = 4 * 1024
"""Longest message of an error, in bytes of UTF-8."""
_HEAD_BYTES = 1024
_PROBLEM_BYTES = 512
_NAME_BYTES = 256
# Room for the line that says how many more problems there are.
_LAST_LINE_BYTES = 64


def _rebuild(
    kind: type["ArvoError"], args: tuple[object, ...], state: dict[str, object]
) -> "ArvoError":
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ArvoError(Exception):
    """The base of every exception that Arvo raises on purpose.

    The middle is cut out of a message longer than 4 KiB: the refused value may be large, and the
    message goes into logs, spans and replies.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(excerpt(str(message), max_bytes=MAX_MESSAGE_BYTES))

    @override
    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive pickling by default, and these errors cross
        # process boundaries in worker pools.
        return (_rebuild, (type(self), self.args, self.__dict__))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One rule that one field breaks.

    The middle is cut out of a name longer than 256 characters and of a message longer than 512
    bytes.
    """

    path: tuple[str | int, ...]
    """Names and list positions from the root to the field; empty for the whole value."""
    message: str
    """What is wrong, for developers; without the value, unless a validator's message has it."""

    def __post_init__(self) -> None:
        path = tuple(
            excerpt(name, max_bytes=_NAME_BYTES)
            if isinstance(name, str) and len(name) > _NAME_BYTES
            else name
            for name in self.path
        )
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "message", excerpt(self.message, max_bytes=_PROBLEM_BYTES))

    @override
    def __str__(self) -> str:
        place = excerpt(".".join(map(str, self.path)), max_bytes=_PROBLEM_BYTES)
        return f"{place or '(root)'}: {self.message}"


class InvalidValueError(ArvoError, ValueError):
    """A value breaks one or more rules.

    Args:
        message: What is refused.
        problems: The broken rules of the first failing stage. Those after the first 20 are counted
            if `problems` has a length, and not looked for otherwise.
        unlisted: Number of problems besides `problems`; None means an unknown number, at least 1.

    Attributes:
        problems: The first 20, each with the path of its field.
        unlisted: Number of problems besides these; None means an unknown number, at least 1.
    """

    def __init__(
        self,
        message: str,
        *,
        problems: Iterable[FieldProblem] = (),
        unlisted: int | None = 0,
    ) -> None:
        rest = iter(problems)
        self.problems: tuple[FieldProblem, ...] = tuple(islice(rest, MAX_PROBLEMS))
        if isinstance(problems, Sized):
            found = len(problems) - len(self.problems)
            unlisted = None if unlisted is None else unlisted + found
        elif next(rest, None) is not None:
            unlisted = None
        self.unlisted: int | None = unlisted
        super().__init__("\n".join(self._lines(message)))

    def _lines(self, message: str) -> Iterator[str]:
        if not self.problems:
            yield message
            return
        head = excerpt(message, max_bytes=_HEAD_BYTES)
        yield head
        room = MAX_MESSAGE_BYTES - _LAST_LINE_BYTES - _size(head)
        shown = 0
        for problem in self.problems:
            line = f"  {problem}"
            room -= 1 + _size(line)
            if room < 0:
                break
            yield line
            shown += 1
        if self.unlisted is None:
            yield "  and more"
        elif more := len(self.problems) - shown + self.unlisted:
            yield f"  and {more} more"


class InvalidUriError(InvalidValueError):
    """A string cannot be percent-encoded or decoded as by ECMAScript's `encodeURI` family."""


class InvalidVersionError(InvalidValueError):
    """A string is not a semantic version of three dot-separated numbers."""


class InvalidSubjectError(InvalidValueError):
    """A string or its content is not an orchestration subject."""


class InvalidContractError(InvalidValueError):
    """A contract's definition breaks a rule."""


class InvalidEventError(InvalidValueError):
    """An event's attributes, data or extensions break a rule."""


class InvalidDataError(InvalidValueError):
    """A payload does not match the type its contract declares."""


class UnknownVersionError(InvalidValueError):
    """A contract has no such version.

    Attributes:
        contract_uri: URI of the contract.
        version: The version asked for.
        versions: The versions that the contract has, oldest first.
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
    """A failure that the caller of a handler must deal with.

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


def _size(line: str) -> int:
    # The name of a member may hold a lone surrogate, which UTF-8 cannot encode.
    return len(line.encode("utf-8", "backslashreplace"))
