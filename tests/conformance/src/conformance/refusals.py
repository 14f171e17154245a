"""Compares exceptions with what the vector shows: kind and paths, as the wording is ours."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from arvo_core import InvalidValueError, ViolationError

from .comparison import Difference

Path = tuple[str | int, ...]

_VALUE_ERRORS = {"ZodError", "Error", "URIError", "TypeError"}


def same_refusal(
    expected: Mapping[str, Any],
    raised: BaseException,
    *,
    may_miss_arguments: bool = False,
    path: Callable[[Path], Path] = lambda path: path,
) -> None:
    """Compare what was raised with what the vector shows.

    Args:
        expected: The vector's `error`.
        raised: What came out of our API.
        may_miss_arguments: The case left out what is a required argument here.
        path: Where the vector puts a problem that has this path here.

    Raises:
        Difference: Another kind of error, or other paths.
    """
    kind: str = expected["kind"]
    if kind in _VALUE_ERRORS:
        if may_miss_arguments and isinstance(raised, TypeError):
            return
        _expect(_is_our_value_error(raised), f"{kind} as a ValueError of ours", raised)
        if "issues" in expected:
            _same_paths(expected["issues"], raised, path)
    elif kind.startswith("ViolationError"):
        _same_violation(expected, raised)
    else:
        raise ValueError(f"unknown kind of error: {kind!r}")
    for words in expected.get("mentions", ()):
        _expect(words in str(raised), f"an error that mentions {words!r}", raised)


def _is_our_value_error(raised: BaseException) -> bool:
    if isinstance(raised, ValidationError):
        return False
    return isinstance(raised, ValueError) and (
        type(raised) is ValueError or type(raised).__module__.startswith("arvo_")
    )


def _same_paths(
    issues: Iterable[Mapping[str, Any]], raised: BaseException, path: Callable[[Path], Path]
) -> None:
    theirs = {tuple(issue["path"]) for issue in issues}
    problems = raised.problems if isinstance(raised, InvalidValueError) else ()
    ours = {path(problem.path) for problem in problems} or {()}
    _expect(theirs == ours, f"problems at {sorted(theirs, key=str)}, got {ours}", raised)


def _same_violation(expected: Mapping[str, Any], raised: BaseException) -> None:
    _expect(isinstance(raised, ViolationError), "a violation", raised)
    name = expected.get("type") or expected["kind"].removeprefix("ViolationError<").rstrip(">")
    ours = _violation_name(raised)
    _expect(ours == name, f"a violation of type {name}", raised)
    if "cause" in expected:
        cause = str(getattr(raised, "cause", None))
        _expect(cause == expected["cause"], f"the cause {expected['cause']}, got {cause}", raised)


def _violation_name(raised: BaseException) -> str:
    """Return what the original calls the type of a violation; "Custom" is a user's own."""
    named = {
        "ConfigViolation": "Config",
        "ContractViolation": "Contract",
        "ExecutionViolation": "Execution",
        "TransactionViolation": "OrchestratorTransaction",
    }
    for kind in type(raised).__mro__:
        if kind.__name__ in named and kind.__module__.startswith("arvo_"):
            return named[kind.__name__]
    return "Custom"


def _expect(condition: bool, what: str, raised: BaseException) -> None:
    if not condition:
        raise Difference(f"expected {what}, got {type(raised).__name__}: {raised}") from raised
