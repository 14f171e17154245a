"""Requests, and what all decoders do with a line."""

import json
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NoReturn, Protocol

from arvo_cli._errors import RejectedLineError, one_line
from arvo_cli._terminal._report import counted
from arvo_core import ArvoEvent, EventLimits

from ._lines import Line

_REMEDY_IN_CODE: Final = ", or raise max_depth of EventLimits"
"""The part of messages that a user of the command cannot follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An event to run, made of one line."""

    event: ArvoEvent
    answer_to: str
    """The address that its answer will have."""
    repeated: bool
    """Whether an earlier line held the same event."""


class Decoder(Protocol):
    """Makes requests of lines."""

    def decode(self, line: Line) -> Request:
        """Make a request of a line.

        Raises:
            RejectedLineError: The line cannot be run; the message says why.
        """
        ...


class Occurrences:
    """Counts how often each item occurred; keeps a digest of each, not the item itself."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()

    def add(self, *parts: str) -> int:
        """Count an item and return how often it has occurred, this time included."""
        digest = blake2b(repr(parts).encode(), digest_size=12).digest()
        self._counts[digest] += 1
        return self._counts[digest]


def check_length(line: Line) -> None:
    """Check that the line is complete.

    Raises:
        RejectedLineError: It is longer than a line may be.
    """
    if line.excess:
        raise RejectedLineError(
            f"the line is too long by {counted(line.excess, 'byte')}; --max-line-bytes raises the limit"
        )


def load_json(line: Line, limits: EventLimits) -> Any:
    """Read a line as JSON (RFC 8259).

    Args:
        line: The line.
        limits: Named in the message about a line that is nested too deeply. They are not checked
            here: only Python's parser, which goes deeper than any limit, refuses depth.

    Raises:
        RejectedLineError: It is not JSON, or nested too deeply for Python's parser.
    """
    try:
        return json.loads(str(line.content, "utf-8"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
        raise RejectedLineError(f"not JSON: {problem} at column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise RejectedLineError(f"not UTF-8 at byte {error.start + 1}") from error
    except RecursionError as error:
        problem = f"nested more than {limits.max_depth} levels deep; flatten the data"
        raise RejectedLineError(problem) from error
    except ValueError as error:  # an integer of too many digits
        raise RejectedLineError(f"not JSON: {one_line(error)}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise RejectedLineError(f"not JSON: {name} is not a JSON number; use null or leave it out")


def for_users(reason: str) -> str:
    """Return a reason without the remedy that needs a change of code."""
    return reason.replace(_REMEDY_IN_CODE, "")
