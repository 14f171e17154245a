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

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import islice

from typing_extensions import override

from arvo_time.logs import excerpt

MAX_PROBLEMS = 20
"""How many broken rules an error lists."""
MAX_MESSAGE_BYTES = 4 * 1024
"""How long the text of an error is, in bytes of UTF-8."""
_HEAD_BYTES = 1024
_PROBLEM_BYTES = 512
_NAME_BYTES = 256
# Room for the line that says how many problems there are beside those shown.
_LAST_LINE_BYTES = 64


def _rebuild(
    kind: type["ArvoError"], args: tuple[object, ...], state: dict[str, object]
) -> "ArvoError":
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ArvoError(Exception):
    """The root of every exception that Arvo raises on purpose.

    Of a text that takes more than 4 KiB the middle is cut out: what is refused may be large, and
    what is said of it goes into logs, spans and answers.
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

    Of a name longer than 256 characters, and of a message of more than 512 bytes, the middle is
    cut out.
    """

    path: tuple[str | int, ...]
    """Names and list positions from the root to the field; empty for the whole value."""
    message: str
    """What is wrong, in words for a developer; without the value, unless a validator tells it."""

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
            where the number is at hand, and not even looked for otherwise.
        unlisted: How many there are beside `problems`; None for an unknown number, but some.

    Attributes:
        problems: The first 20 of them, with the path of the field.
        unlisted: How many there are besides; 0 for none, None for an unknown number, but some.
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


def _size(text: str) -> int:
    # A path may name a member whose name no output stream can write.
    return len(text.encode("utf-8", "backslashreplace"))
