"""The problems that are found while a machine is compiled."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from arvo_statechart._errors import DefinitionProblem, MachineDefinitionError
from arvo_statechart._messages import cut, short_repr

Place: TypeAlias = tuple["Place", str | int] | None
"""A place in a config: the place around it and the key there; None is the root.

A place is a single pair at any depth. In problems it becomes a path.
"""

A = TypeVar("A")
R = TypeVar("R")

_MOST_PROBLEMS = 20
_PROBLEM_CHARACTERS = 500
_MESSAGE_CHARACTERS = 4_000


class Problems:
    """Collects problems, so that several can be corrected at a time, up to a limit.

    Attributes:
        machine_id: The id of the machine, for the message.
    """

    def __init__(self) -> None:
        self.errors: list[DefinitionProblem] = []
        self.machine_id: str = ""

    def error(self, place: Place, message: str) -> None:
        """Note a problem that prevents the machine from being built.

        Raises:
            MachineDefinitionError: If the limit is reached.
        """
        self.errors.append(problem_at(place, message))
        if len(self.errors) >= _MOST_PROBLEMS:
            self.raise_errors()

    def attempt(self, place: Place, make: Callable[[A], R], argument: A) -> R | None:
        """Return `make(argument)`; if it raises a MachineDefinitionError, note it and return None."""
        try:
            return make(argument)
        except MachineDefinitionError as error:
            message = str(error)
        self.error(place, message)
        return None

    def mapping(self, place: Place, value: object) -> Mapping[str, Any]:
        """Return a mapping with strings as keys; note anything else and return an empty mapping."""
        if type(value) is not dict and not isinstance(value, Mapping):
            self.error(place, f"expected a mapping, got {short_repr(value)}")
            return {}
        for key in value:
            if not isinstance(key, str):
                self.error(place, f"expected strings as keys, got {short_repr(key)}")
                return {}
        return value

    def raise_errors(self) -> None:
        """Raise all problems noted so far as one error.

        Raises:
            MachineDefinitionError: If there is a problem.
        """
        if self.errors:
            found = "".join(f"\n  {problem.location}: {problem.message}" for problem in self.errors)
            if len(self.errors) >= _MOST_PROBLEMS:
                found += f"\n  (the first {_MOST_PROBLEMS} problems; there may be more)"
            raise MachineDefinitionError(
                f"machine {short_repr(self.machine_id)} is not well defined:"
                f"{cut(found, _MESSAGE_CHARACTERS)}",
                problems=tuple(self.errors),
            )


def problem_at(place: Place, message: str) -> DefinitionProblem:
    """Return a problem with its path and with its message cut to 500 characters."""
    return DefinitionProblem(path=path_of(place), message=cut(message, _PROBLEM_CHARACTERS))


def path_of(place: Place) -> tuple[str | int, ...]:
    """Return the keys and list positions from the root of the config to a place."""
    parts: list[str | int] = []
    while place is not None:
        place, part = place
        parts.append(part)
    return tuple(reversed(parts))


def listed(place: Place, value: object) -> list[tuple[Place, object]]:
    """Return the items of a list, or a single value as the only item, with their places."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [(place, value)]
    return [((place, index), item) for index, item in enumerate(value)]
