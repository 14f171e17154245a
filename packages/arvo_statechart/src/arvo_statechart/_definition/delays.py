"""The named delays of a machine, and the compilation of delays."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from arvo_statechart._call import Call
from arvo_statechart._delay import Delay, milliseconds_of, number_text
from arvo_statechart._errors import InvalidResultError, MachineDefinitionError
from arvo_statechart._messages import short_repr, unknown

from .checks import check_plain
from .executables import Wait
from .problems import Problems

_MILLISECOND: Final = timedelta(milliseconds=1)


class Delays:
    """The named delays of a machine, and the longest that any may be.

    Args:
        delays: Those that have names.
        longest: The longest one; None for any.
    """

    __slots__ = ("_delays", "_longest")

    def __init__(self, delays: Mapping[str, Delay], *, longest: timedelta | None) -> None:
        self._delays = dict(delays)
        self._longest = longest

    def check_all(self, problems: Problems) -> None:
        """Note invalid delays, even if nothing uses them."""
        for name in self._delays:
            problems.attempt(None, self.of_key, name)

    def of_key(self, name: str) -> Wait:
        """Return the compiled delay that a key of `after` names.

        Raises:
            MachineDefinitionError: If it is unknown or not a delay.
        """
        return self._named(name, "a number of ms is written like '10' or '0.5'")

    def of_number(self, milliseconds: float) -> Wait:
        """Return the compiled delay of a key of `after` that is a number.

        Raises:
            MachineDefinitionError: If it is too long.
        """
        return self._checked(milliseconds, "")

    def of_action(self, delay: object) -> Wait:
        """Return the compiled delay of a `raise_`, which is given by name or as it is.

        Raises:
            MachineDefinitionError: If it is not a delay, or its name is unknown.
        """
        if isinstance(delay, str):
            return self._named(delay, "a number of ms is written without quotes")
        return self._compiled(delay, "delay: ")

    def _named(self, name: str, hint: str) -> Wait:
        if name not in self._delays:
            message = unknown("delay", name, self._delays)
            raise MachineDefinitionError(
                message if name[:1].isidentifier() else f"{message}; {hint}"
            )
        return self._compiled(self._delays[name], f"delay {short_repr(name)}: ")

    def _compiled(self, delay: object, role: str) -> Wait:
        if callable(delay):
            check_plain(role.rstrip(), delay)
            return _computed(delay, role)
        milliseconds = milliseconds_of(delay)
        if milliseconds is None:
            raise MachineDefinitionError(
                f"{role}expected a finite number of ms, a timedelta or a function, "
                f"got {short_repr(delay)}"
            )
        return self._checked(milliseconds, role)

    def _checked(self, milliseconds: float, role: str) -> float:
        if self._longest is not None and milliseconds > self._longest / _MILLISECOND:
            raise MachineDefinitionError(
                f"{role}{number_text(milliseconds)} ms are too long; the limit is {self._longest}"
            )
        return milliseconds


def _computed(function: Callable[[Call], object], role: str) -> Wait:
    def wait(call: Call) -> float | None:
        delay = function(call)
        if delay is None:
            return None
        milliseconds = milliseconds_of(delay)
        if milliseconds is None:
            raise InvalidResultError(
                f"{role}expected the function to return a finite number of ms, a timedelta or "
                f"None, got {short_repr(delay)}"
            )
        return milliseconds

    return wait
