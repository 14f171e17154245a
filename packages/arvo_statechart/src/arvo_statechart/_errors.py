"""Every exception of arvo_statechart.

* StatechartError
  x MachineDefinitionError      a machine whose definition is wrong; also a `ValueError`
  x InvalidEventError           something that is not an event was sent; also a `ValueError`
  x InvalidSnapshotError        a stored snapshot that does not fit the machine; also a `ValueError`
  x InvalidResultError          a function returned what its place cannot use; also a `TypeError`
  x GuardError                  a guard failed while the transition for an event was chosen
  x MicrostepLimitError         a step that does not come to rest
"""

from dataclasses import dataclass

from ._messages import short_repr

# How many of the outermost and of the innermost parts of a path are written.
_SHOWN_PARTS = 8
_SHOWN_CHARACTERS = 60

# When an exception is unpickled, its class is called with the message alone; its other attributes are
# restored afterwards.


class StatechartError(Exception):
    """The base class of the exceptions of this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionProblem:
    """One thing that is wrong, or doubtful, in the definition of a machine."""

    path: tuple[str | int, ...]
    """Keys and list positions from the root of the config; empty for the root itself."""
    message: str
    """What is wrong, and the remedy."""

    @property
    def location(self) -> str:
        """The path as a string, as in `states.open.on['order.paid'][0].target`.

        The middle of a long path is left out.
        """
        return location_of(self.path)


def location_of(path: tuple[str | int, ...]) -> str:
    """Return a path in a config as a string."""
    if len(path) > 2 * _SHOWN_PARTS:
        head, tail = path[:_SHOWN_PARTS], path[-_SHOWN_PARTS:]
        return f"{location_of(head)}[...]{''.join(map(_path_step, tail))}"
    return "".join(map(_path_step, path)).removeprefix(".") or "(root)"


def _path_step(part: str | int) -> str:
    if (
        isinstance(part, str)
        and len(part) <= _SHOWN_CHARACTERS
        and part.replace("-", "_").isidentifier()
    ):
        return f".{part}"
    return f"[{short_repr(part)}]"


class MachineDefinitionError(StatechartError, ValueError):
    """A machine cannot be built, or `enqueue_actions` chose something that is not an action.

    Attributes:
        problems: The problems that were found, with their places in the config.
    """

    def __init__(self, message: str, *, problems: tuple[DefinitionProblem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class InvalidEventError(StatechartError, ValueError):
    """An event is not a mapping with a string `type`."""


class InvalidSnapshotError(StatechartError, ValueError):
    """A snapshot is not one of this machine.

    Raised when a stored snapshot names a state that the machine does not have or is not a
    snapshot at all, and when a machine is passed the snapshot of another one.
    """


class InvalidResultError(StatechartError, TypeError):
    """A function of the user returned something that cannot be used in its place.

    For example an `assign` that returned a number instead of a mapping.
    """


class GuardError(StatechartError):
    """A guard failed while the transition for an event was chosen.

    The exception of the guard is the `__cause__`, and its message ends this one. Exceptions of guards
    of `always` and of `enqueue_actions` are not wrapped: they propagate unchanged.

    Attributes:
        guard: The name of the guard, of its function, or of the combinator.
        event_type: The type of the event.
        state: The id of the state that owns the transition.
    """

    def __init__(
        self, message: str, *, guard: str = "", event_type: str = "", state: str = ""
    ) -> None:
        super().__init__(message)
        self.guard = guard
        self.event_type = event_type
        self.state = state


class MicrostepLimitError(StatechartError):
    """One event led to more microsteps than the machine allows.

    Usually an `always` transition stays enabled, or events raise each other indefinitely.

    Attributes:
        limit: The number of microsteps that the machine allows for one event.
    """

    def __init__(self, message: str, *, limit: int = 0) -> None:
        super().__init__(message)
        self.limit = limit
