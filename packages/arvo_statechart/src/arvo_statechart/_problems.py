"""What is found wrong or doubtful while a machine is compiled."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from ._errors import DefinitionProblem, MachineDefinitionError

Path: TypeAlias = tuple[str | int, ...]

A = TypeVar("A")
R = TypeVar("R")


class Problems:
    """Collects problems, so that a definition is put right in one go."""

    def __init__(self) -> None:
        self.errors: list[DefinitionProblem] = []
        self.warnings: list[DefinitionProblem] = []

    def error(self, path: Path, message: str) -> None:
        """Note something that keeps the machine from being built."""
        self.errors.append(DefinitionProblem(path=path, message=message))

    def warn(self, path: Path, message: str) -> None:
        """Note something that is probably not meant."""
        self.warnings.append(DefinitionProblem(path=path, message=message))

    def attempt(self, path: Path, make: Callable[[A], R], argument: A) -> R | None:
        """Return `make(argument)`; note a MachineDefinitionError of it and return None."""
        try:
            return make(argument)
        except MachineDefinitionError as error:
            self.error(path, str(error))
            return None

    def mapping(self, path: Path, value: object) -> Mapping[str, object]:
        """Return a mapping with texts as keys; note what is none and return an empty one."""
        if not isinstance(value, Mapping):
            self.error(path, f"expected a mapping, got {value!r}")
            return {}
        for key in value:
            if not isinstance(key, str):
                self.error(path, f"expected texts as keys, got {key!r}")
                return {}
        return value

    def raise_errors(self, machine_id: str) -> None:
        """Raise all errors noted so far as one.

        Raises:
            MachineDefinitionError: If there is an error.
        """
        if self.errors:
            lines = "".join(f"\n  {problem.location}: {problem.message}" for problem in self.errors)
            raise MachineDefinitionError(
                f"machine {machine_id!r} is not well defined:{lines}",
                problems=tuple(self.errors),
            )


def listed(value: object) -> list[tuple[Path, object]]:
    """Return the items of a list, or the one value that may stand for a list, with their paths."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [((), value)]
    return [((index,), item) for index, item in enumerate(value)]
