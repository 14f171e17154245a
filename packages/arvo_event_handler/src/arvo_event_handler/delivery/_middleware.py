"""Functions between a broker and its handlers."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeAlias, TypeVar

from arvo_core import ArvoEvent
from arvo_time.settings import check_callable

from ._guarded_call import check_events

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

InputMiddleware: TypeAlias = Callable[[ArvoEvent], ArvoEvent | Awaitable[ArvoEvent | None] | None]
"""Receives an event on its way into the handler; returns what goes in, None for the same."""
OutputMiddleware: TypeAlias = Callable[
    [ArvoEvent, ArvoEvent], ArvoEvent | Awaitable[ArvoEvent | None] | None
]
"""Receives one emitted event and the event it was emitted for; None leaves it as it is."""
BulkFunction: TypeAlias = Callable[
    [list[ArvoEvent], ArvoEvent], list[ArvoEvent] | Awaitable[list[ArvoEvent] | None] | None
]
"""Receives all events of one step and the event they were emitted for; None leaves them."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """Output middleware that sees all events of one step together, even when there are none.

    Raises:
        TypeError: `function` cannot be called.
    """

    function: BulkFunction
    """What to call."""

    def __post_init__(self) -> None:
        check_callable(self.function, name="function")


@dataclass(frozen=True, slots=True, kw_only=True)
class Middleware:
    """What events pass through on their way into a handler and out of it.

    Input middleware is part of each try: when it fails, the try has failed. Output middleware
    runs after the handler has committed: when it fails, the outputs become dead letters.

    Raises:
        TypeError: Something that is to be called cannot be.
    """

    input: InputMiddleware | Sequence[InputMiddleware] | None = None
    """One function or several, called in order. None: what the defaults say."""
    output: OutputMiddleware | Sequence[OutputMiddleware] | Bulk | None = None
    """One function or several, called in order for each event; or `Bulk`. None: what the
    defaults say."""

    def __post_init__(self) -> None:
        _check_side("input", self.input)
        if not isinstance(self.output, Bulk):
            _check_side("output", self.output)

    def over(self, defaults: "Middleware") -> "Middleware":
        """Return this middleware with each side it leaves open taken from `defaults`."""
        return Middleware(
            input=defaults.input if self.input is None else self.input,
            output=defaults.output if self.output is None else self.output,
        )

    async def enter(self, event: ArvoEvent) -> ArvoEvent:
        """Pass an event through the input side."""
        for function in _functions(self.input):
            changed = function(event)
            event = (await changed if isawaitable(changed) else changed) or event
            check_events([event], what="input middleware")
        return event

    async def leave(self, outputs: list[ArvoEvent], *, cause: ArvoEvent) -> list[ArvoEvent]:
        """Pass the outputs of one step through the output side."""
        if isinstance(self.output, Bulk):
            changed = self.output.function([*outputs], cause)
            all_of_them = await changed if isawaitable(changed) else changed
            left = outputs if all_of_them is None else [*all_of_them]
        else:
            functions = _functions(self.output)
            left = [await _passed(event, cause, functions) for event in outputs]
        return check_events(left, what="output middleware")


async def _passed(
    event: ArvoEvent, cause: ArvoEvent, functions: Sequence[OutputMiddleware]
) -> ArvoEvent:
    for function in functions:
        changed = function(event, cause)
        event = (await changed if isawaitable(changed) else changed) or event
    return event


def _functions(side: FunctionT | Sequence[FunctionT] | None) -> Sequence[FunctionT]:
    if side is None:
        return ()
    return side if isinstance(side, Sequence) else (side,)


def _check_side(side: str, given: object) -> None:
    if given is None:
        return
    functions: Sequence[object] = (given,)
    if isinstance(given, Sequence) and not isinstance(given, str):
        functions = given
    for function in functions:
        check_callable(function, name=f"{side} middleware")
